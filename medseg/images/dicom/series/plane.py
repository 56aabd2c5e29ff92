"""Where the slices of a series lie, each by what its own header says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue

from medseg.images.dicom.attributes import COPY
from medseg.images.dicom.header import PIXELS, Header, opened_frames
from medseg.images.dicom.quiet import quiet
from medseg.images.refusal import RefusedError

TELLING: Mapping[str, str] = {
    "TemporalPositionIdentifier": "",
    "TemporalPositionIndex": "FrameContentSequence",
    "AcquisitionNumber": "",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "StackID": "FrameContentSequence",
    "EchoNumbers": "",
    "EchoTime": "",
    "EffectiveEchoTime": "MREchoSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    "TriggerTime": "",
    "NominalCardiacTriggerDelayTime": "CardiacSynchronizationSequence",
    "ImageType": "",
}
"""Attributes that may tell images of one place apart, with the functional group that holds each in an enhanced image.
Their values are numbers and codes: they name nobody."""

_SQUARE = 0.01  # how far direction cosines may be from unit vectors at right angles
_GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
_READ = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "PixelRepresentation", *PIXELS),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *_GROUPS,
)
#: pydicom reads no other attributes than these: a header is then read in half the time.
_TAGS = [tag for keyword in _READ if (tag := tag_for_keyword(keyword)) is not None]
_TELLING_TAGS = [*_TAGS, *(tag for keyword in TELLING if (tag := tag_for_keyword(keyword)) is not None)]

_EXPORT = (
    "Export the series anew as axial, coronal or sagittal slices with their positions, or leave the case out."
)


@dataclass(frozen=True)
class Plane:
    """One slice.

    Attributes:
        path: Its file. Private.
        frame: Which picture of the file, from 0.
        size: Rows and columns.
        corner: Centre of its first pixel, mm, LPS.
        along_row: Unit vector in which columns are counted, LPS.
        along_column: Unit vector in which rows are counted, LPS.
        spacing: Distance of rows, and of columns, mm.
        instance: SOP Instance UID. Private.
        sop_class: SOP Class UID.
        series: Series Instance UID. Private.
        reference: Frame of Reference UID, empty where there is none. Private.
    """

    path: Path
    frame: int
    size: tuple[int, int]
    corner: NDArray[np.float64] = field(compare=False)
    along_row: NDArray[np.float64] = field(compare=False)
    along_column: NDArray[np.float64] = field(compare=False)
    spacing: tuple[float, float]
    instance: str
    sop_class: str
    series: str
    reference: str

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector at right angles to the slice, LPS."""
        return np.cross(self.along_row, self.along_column)

    @property
    def affine(self) -> NDArray[np.float64]:
        """4x4, from (column, row, mm along the normal, 1) to mm, LPS. Source: DICOM PS3.3 C.7.6.2.1.1."""
        found = np.eye(4)
        found[:3, 0] = self.along_row * self.spacing[1]
        found[:3, 1] = self.along_column * self.spacing[0]
        found[:3, 2], found[:3, 3] = self.normal, self.corner
        return found


def planes_of(path: Path) -> list[Plane]:
    """The slices of a file, from its header alone.

    Raises:
        DataError: It cannot be read, or is no image of greys.
        RefusedError: It does not say where its slices lie.
    """
    with quiet():
        return planes_in(path, opened_frames(path, pixels=False, only=_TAGS))


def planes_in(path: Path, head: Header) -> list[Plane]:
    """As `planes_of`, of a file whose header was read, within `quiet`."""
    if head.samples != 1 or head.colours == "PALETTE COLOR":
        raise RefusedError(
            "the DICOM file holds colours, and a volume is of one quantity",
            "Name the series of the images themselves, or read its slices as pictures.",
        )
    if head.frames > 1 and len(head.value(_GROUPS[0]) or ()) != head.frames:
        raise RefusedError(
            f"the DICOM file holds {head.frames} frames, and does not say where each of them lies",
            "Read them as pictures (`pictures: {channels: grey, frames: slices}` in the manifest, not series), "
            "or leave the case out.",
        )
    return [plane_of(path, head.of_frame(number)) for number in range(head.frames)]


def plane_of(path: Path, head: Header) -> Plane:
    """Where the picture lies that is meant of a file.

    Raises:
        RefusedError: The header does not say.
    """
    corner = _numbers(head, "PlanePositionSequence", "ImagePositionPatient", 3)
    cosines = _numbers(head, "PlaneOrientationSequence", "ImageOrientationPatient", 6)
    rows, columns = _numbers(head, "PixelMeasuresSequence", "PixelSpacing", 2)
    along_row, along_column = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(along_row), np.linalg.norm(along_column)
    if max(abs(length - 1) for length in lengths) > _SQUARE or abs(along_row @ along_column) > _SQUARE:
        raise RefusedError(
            "its ImageOrientationPatient is damaged: rows and columns are not at right angles", _EXPORT
        )
    if rows <= 0 or columns <= 0:
        raise RefusedError("its PixelSpacing is not above 0", _EXPORT)
    return Plane(
        path,
        head.frame,
        (head.height, head.width),
        corner,
        along_row / lengths[0],
        along_column / lengths[1],
        (float(rows), float(columns)),
        instance=str(head.value("SOPInstanceUID") or ""),
        sop_class=str(head.value("SOPClassUID") or ""),
        series=str(head.value("SeriesInstanceUID") or ""),
        reference=str(head.value("FrameOfReferenceUID") or ""),
    )


def telling(plane: Plane) -> dict[str, str]:
    """Values of `TELLING` that a slice has; its header is read again, since they are seldom asked for.

    Raises:
        DataError: It cannot be read any more.
    """
    with quiet():
        head = opened_frames(plane.path, pixels=False, only=_TELLING_TAGS).of_frame(plane.frame)
        found = {keyword: _text(head, group, keyword) for keyword, group in TELLING.items()}
    return {keyword: text for keyword, text in found.items() if text}


def _numbers(head: Header, group: str, keyword: str, count: int) -> NDArray[np.float64]:
    """Finite numbers of an attribute, be it of the frame or of the file."""
    value = head.frame_value(group, keyword)
    if value is None:
        raise RefusedError(f"it has no {keyword}: where its voxels lie is not known", _EXPORT)
    try:
        found = np.array([float(each) for each in value], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.empty(0)
    if found.shape != (count,) or not np.isfinite(found).all():
        raise RefusedError(f"its {keyword} is damaged, expected {count} numbers", COPY)
    return found


def _text(head: Header, group: str, keyword: str) -> str:
    value = head.frame_value(group, keyword) if group else head.value(keyword)
    return (
        "\\".join(str(each) for each in value)
        if isinstance(value, MultiValue)
        else ""
        if value is None
        else str(value)
    )
