"""DICOM files of generated pictures, in the manners that scanners have; nothing in them names a person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import numpy as np

from medseg.images.made_up import MADE_UP
from medseg.samples.radiology_pictures import (
    CLASSES,
    PIXEL,
    Part,
    Picture,
    class_name,
    numbers,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileMetaDataset

_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"  # MR Image Storage
_EXPLICIT = "1.2.840.10008.1.2.1"  # Explicit VR Little Endian
_RLE = "1.2.840.10008.1.2.5"  # RLE Lossless
_ROOT = UUID("6f3c1d5e-9a57-5d0b-8c34-2b1f0e7a4d96")  # names of this data set are hashed under it
_DATE, _TIME = "20000101", "000000"


@dataclass(frozen=True)
class Manner:
    """How a scanner writes a series.

    Attributes:
        inverted: MONOCHROME1: the lowest value is shown white.
        packed: Compressed by RLE without loss.
        signed: Two's complement.
        ending: Of the file's name.
    """

    inverted: bool
    packed: bool
    signed: bool
    ending: str


_MANNERS = (
    Manner(False, False, False, ".dcm"),
    Manner(True, False, False, ".dcm"),
    Manner(False, True, False, ".dcm"),
    Manner(False, False, True, ""),
    Manner(True, True, True, ".dcm"),
    Manner(False, True, False, ""),
)


@dataclass(frozen=True)
class Series:
    """What the files of one series share.

    Attributes:
        seed: Of the data set.
        number: Of the patient, from 1.
        patient: The patient's name, as patient07.
        place: Of the series in the study, from 0 to 5.
        manner: How it is written.
        slope: Scanner units of a stored step.
        offset: Stored value of 0 scanner units, were it unsigned.
    """

    seed: int
    number: int
    patient: str
    place: int
    manner: Manner
    slope: float
    offset: int

    def uid(self, *what: object) -> str:
        """Unique identifier that depends on the seed, the patient and `what`, under the root of UUIDs.

        DICOM PS3.5, B.2: 2.25. and a UUID as a decimal number.
        """
        name = "/".join(map(str, ("radiology", self.seed, self.number, *what)))
        return f"2.25.{uuid5(_ROOT, name).int}"


def series_of(seed: int, number: int, patient: str) -> dict[str, Series]:
    """Draw how the six series of a patient, by class, are written: each manner occurs once."""
    rng = numbers(seed, number, Part.DICOM)
    order = rng.permutation(len(_MANNERS))
    slopes, offsets = rng.uniform(0.2, 1.0, len(order)), rng.integers(0, 200, len(order))
    drawn = zip(CLASSES, order, slopes, offsets, strict=True)
    return {
        name: Series(seed, number, patient, place, _MANNERS[chosen], round(float(slope), 4), int(offset))
        for place, (name, chosen, slope, offset) in enumerate(drawn)
    }


def _decimal(value: float) -> str:
    """Write a number with at most 4 decimals; 16 characters are allowed."""
    return f"{round(value, 4):.12g}"


def _pixels(picture: Picture, series: Series, dataset: Dataset) -> None:
    """Put in the stored values and what leads back from them: Modality LUT, window, interpretation.

    The window is DICOM's linear function (PS3.3, C.11.2.1.2.1), whose lowest value shown is
    centre - 0.5 - (width - 1) / 2. Inverting stored values mirrors it.
    """
    manner, slope = series.manner, series.slope
    stored = np.rint(picture.values / slope).astype(np.int64) + series.offset
    bits = 12 if stored.max() < 2**11 else 16  # of signed values half lie below 0
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if manner.signed else (0, 2**bits - 1)
    stored += lowest
    intercept = -slope * (lowest + series.offset)
    centre = (picture.low + picture.high) / 2 + 0.5
    if manner.inverted:
        stored = lowest + highest - stored
        centre = slope * (lowest + highest) + 2 * intercept - centre + 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if manner.inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = picture.values.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = int(manner.signed)
    dataset.WindowCenter = _decimal(centre)
    dataset.WindowWidth = _decimal(picture.high - picture.low + 1)
    dataset.RescaleIntercept, dataset.RescaleSlope = _decimal(intercept), _decimal(slope)
    dataset.RescaleType = "US"  # unspecified
    dataset.LossyImageCompression = "00"
    dataset.PixelData = stored.astype("<i2" if manner.signed else "<u2").tobytes()


def _origin(picture: Picture, series: Series, dataset: Dataset) -> None:
    """Say who is shown, which is nobody, and where the picture belongs."""
    dataset.PatientName = "GENERATED"
    dataset.PatientID = series.patient
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.PatientComments = "Generated by medseg: there is no such patient."
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "GENERATED"
    dataset.StudyInstanceUID, dataset.StudyID = series.uid("study"), str(series.number)
    dataset.StudyDate, dataset.StudyTime = _DATE, _TIME
    dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "GENERATED"
    dataset.SeriesInstanceUID, dataset.SeriesNumber = series.uid("series", series.place), series.place + 1
    dataset.SeriesDescription = f"GENERATED {class_name(picture.channel, picture.plane)}"
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = series.uid("frame"), ""
    dataset.Modality, dataset.BodyPartExamined, dataset.PatientPosition = "MR", "BRAIN", "HFS"
    dataset.Manufacturer, dataset.ManufacturerModelName = "medseg", "GENERATED"
    dataset.InstanceNumber = picture.n
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    dataset.DerivationDescription = "Cut from a generated brain"
    dataset.ImageComments = MADE_UP
    dataset.BurnedInAnnotation = "NO"


def _geometry(picture: Picture, dataset: Dataset) -> None:
    """Say where the pixels lie, and what an MR image has to say of its making."""
    corner = picture.plane.corner(picture.index)
    dataset.PixelSpacing = [_decimal(PIXEL)] * 2
    dataset.SliceThickness = _decimal(PIXEL)
    dataset.ImageOrientationPatient = [*map(str, picture.plane.right), *map(str, picture.plane.down)]
    dataset.ImagePositionPatient = [_decimal(place) for place in corner]
    dataset.SliceLocation = _decimal(corner[picture.plane.across])
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "RM", "NONE", ""
    dataset.MRAcquisitionType = "3D"
    dataset.RepetitionTime = dataset.EchoTime = dataset.EchoTrainLength = None


def _meta(instance: str) -> FileMetaDataset:
    """The file's head; with a maker of its own, so that the bytes do not name pydicom's version."""
    from pydicom.dataset import FileMetaDataset  # noqa: PLC0415 - only where files are written
    from pydicom.uid import UID  # noqa: PLC0415

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(_MR_IMAGE), UID(instance)
    meta.TransferSyntaxUID = UID(_EXPLICIT)
    meta.ImplementationClassUID = UID(f"2.25.{_ROOT.int}")
    meta.ImplementationVersionName = "MEDSEG"
    return meta


def write_dicom(picture: Picture, series: Series, path: Path) -> None:
    """Write a picture as an MR image of one frame; shown by its own window it is `picture.shown()`."""
    from pydicom.dataset import Dataset  # noqa: PLC0415 - only where files are written

    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = _MR_IMAGE, series.uid("picture", series.place, picture.n)
    dataset.file_meta = _meta(dataset.SOPInstanceUID)
    _origin(picture, series, dataset)
    _geometry(picture, dataset)
    _pixels(picture, series, dataset)
    if series.manner.packed:  # by pydicom's own encoder, as others pack other bytes
        dataset.compress(_RLE, encoding_plugin="pydicom", generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
