"""Which series a file is of, by a few attributes of its header."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from medseg.errors import DataError
from medseg.files.content import stamp_of
from medseg.images.dicom.sniff import is_dicom
from medseg.images.refusal import RefusedError

_MOST = 1 << 16  # headers that are remembered

#: Objects of a study that are no images, and not what is drawn on them either.
_NO_IMAGES = {"SR", "PR", "KO", "DOC", "RTPLAN", "RTDOSE", "RTRECORD", "REG", "FID", "SMR", "ASMT", "PLAN"}

LABELS = {"SEG", "RTSTRUCT"}
"""Modalities of objects that are label maps, or may become some."""

MAKER = "medseg"
"""Manufacturer of the segmentations that this package writes."""

#: A DICOMDIR, which lists the files of a disc. Source: DICOM PS3.4, annex B.5.
_DIRECTORY = "1.2.840.10008.1.3.10"

#: What is read of every file, so that who asks for some of these finds them remembered.
_ALWAYS = (
    *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "Modality", "SeriesNumber"),
    *(
        "SeriesDescription",
        "ProtocolName",
        "SequenceName",
        "ScanningSequence",
        "SequenceVariant",
        "ImageType",
    ),
    *("ContrastBolusAgent", "BodyPartExamined", "ConvolutionKernel", "AcquisitionNumber", "EchoNumbers"),
    *("TemporalPositionIdentifier", "ImagePositionPatient", "NumberOfFrames", "Manufacturer"),
)


@dataclass(frozen=True)
class Instance:
    """A DICOM file. Private: it holds what names a patient.

    Attributes:
        path: The file.
        tags: Texts of attributes, by keyword.
    """

    path: Path
    tags: Mapping[str, str]

    @property
    def study(self) -> tuple[str, str]:
        """Patient and study."""
        return self.tags["PatientID"], self.tags["StudyInstanceUID"]

    @property
    def series(self) -> str:
        """UID of its series."""
        return self.tags["SeriesInstanceUID"]

    @property
    def place(self) -> str:
        """Where a slice lies, or how many frames there are, as a text; empty where neither is said."""
        frames = self.tags["NumberOfFrames"]
        several = frames.isdecimal() and frames.lstrip("0") not in {"", "1"}
        return frames if several else self.tags["ImagePositionPatient"]

    @property
    def is_image(self) -> bool:
        """Whether it is a slice, or several."""
        return holds_images(self.tags["Modality"])

    @property
    def is_labels(self) -> bool:
        """Whether it is a segmentation or a structure set."""
        return self.tags["Modality"] in LABELS

    @property
    def is_predicted(self) -> bool:
        """Whether a model of ours predicted it: a model that learned from it would learn from itself."""
        return self.is_labels and self.tags["Manufacturer"] == MAKER


def holds_images(modality: str) -> bool:
    """Whether objects of a modality are images, as far as it tells."""
    return modality not in _NO_IMAGES | LABELS


def holds_pictures(modality: str) -> bool:
    """Whether objects of a modality are images, or label maps over them."""
    return modality not in _NO_IMAGES


def instance_of(path: Path, keywords: tuple[str, ...] = ()) -> Instance | None:
    """What a file says of itself; None if it is no DICOM, or a directory of others.

    What was read is remembered while the program runs, and read again once the file changed. It is never written:
    it names patients.

    Args:
        path: The file.
        keywords: Attributes that are asked for, which have a text (`medseg.images.dicom.header.text_tag`).

    Raises:
        DataError: Its header cannot be read.
    """
    try:
        stamp = stamp_of(path)
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}") from error
    further = tuple(dict.fromkeys(keyword for keyword in keywords if keyword not in _ALWAYS))
    found = _read(path, further, stamp)
    return None if found is None else Instance(path, found)


@lru_cache(maxsize=_MOST)
def _read(path: Path, further: tuple[str, ...], stamp: tuple[int, ...]) -> Mapping[str, str] | None:  # noqa: ARG001
    from medseg.images.dicom.attributes import COPY  # noqa: PLC0415 - imports pydicom
    from medseg.images.dicom.header import parsed, text_of, text_tag  # noqa: PLC0415 - as above
    from medseg.images.dicom.quiet import quiet  # noqa: PLC0415

    if not is_dicom(path):
        return None
    keywords = (*_ALWAYS, *further)
    with quiet():
        data, _ = parsed(path, pixels=False, only=[text_tag(keyword) for keyword in keywords])
        try:
            # Slices of a series have most texts in common: each is kept once.
            found = {keyword: sys.intern(text_of(data, keyword)) for keyword in keywords}
            directory = getattr(data, "file_meta", {}).get("MediaStorageSOPClassUID") == _DIRECTORY
        except Exception as error:  # pydicom converts a value as it is asked for, and raises whatever
            raise RefusedError("the DICOM header is damaged: an attribute cannot be read", COPY) from error
    if directory:
        return None
    if not found["SeriesInstanceUID"]:
        raise RefusedError(
            "the DICOM file names no series (`SeriesInstanceUID`): it ends early or is damaged", COPY
        )
    return found
