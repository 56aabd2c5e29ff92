"""DICOM SEG on the slices of a series: frames are placed by their positions and references, never by their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.errors import DataError
from medseg.geometry.grid import TOLERANCE_VOXELS, StoredImage
from medseg.images.dicom.attributes import COPY
from medseg.images.dicom.header import Header, opened_frames
from medseg.images.dicom.pixels import stored_values
from medseg.images.dicom.quiet import quiet
from medseg.images.dicom.series.plane import plane_of
from medseg.images.dicom.series.stack import Series
from medseg.images.dicom.series.structures import OVERLAP, Named, Slices, Structures, named
from medseg.images.refusal import RefusedError

FRACTIONS = "it holds fractions (FRACTIONAL): half and more count as marked"

_ANEW = "Export it on the grid of the series, or leave the case out."
_NAMED = 5  # slices in a message
_VOXEL = "marked voxel"
_ONE_EACH = "Export it with one frame for each slice, or leave the case out."
_PER_FRAME = "PerFrameFunctionalGroupsSequence"


def read_segments(path: Path, series: Series, structures: Structures) -> StoredImage:
    """Read a segmentation as a label map (I, J, K) on the grid of a series; 0 is background.

    Args:
        path: Of a DICOM SEG: BINARY, FRACTIONAL or LABELMAP.
        series: Whose slices it marks.
        structures: Which segment labels are which value.

    Raises:
        DataError: It cannot be read, lies elsewhere, or has none of the structures.
    """
    try:
        with quiet() as caught:
            label, notes = _read(path, series, structures)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # pydicom converts a value as it is asked for, and raises whatever it meets
        raise RefusedError(
            "the segmentation is damaged: its segments or frames cannot be read", COPY
        ) from error
    return StoredImage(label, series.geometry, (*notes, *dict.fromkeys(caught)))


def _read(path: Path, series: Series, structures: Structures) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    head = opened_frames(path, pixels=True, label_maps=True)
    if len(head.value(_PER_FRAME) or ()) != head.frames:
        raise RefusedError(f"it does not say where each of its {head.frames} frames lies", COPY)
    labels = _labels(head)
    found = named(labels, structures, "segments")
    places = Slices.of(series, [str(head.value("FrameOfReferenceUID") or "")])
    kind = str(head.value("SegmentationType") or "")
    if kind not in _KINDS:
        raise RefusedError("its SegmentationType is none of BINARY, FRACTIONAL and LABELMAP", COPY)
    each = [head.of_frame(number) for number in range(head.frames)]
    frames = [_Frame(one, _slice_of(one, path, places), series) for one in each]
    label = np.zeros(series.shape[::-1], dtype=np.int32).T  # slice by slice, as images lie in memory
    notes = _KINDS[kind](label, frames, found, labels.keys())
    return label, (*found.notes(), *places.notes, *notes)


@dataclass(frozen=True)
class _Frame:
    """One picture of a segmentation, and the slice that it lies on."""

    head: Header
    number: int
    series: Series

    @property
    def at(self) -> float:
        """Where it lies, mm along the normal of the slices."""
        return float(self.series.planes[self.number].corner @ self.series.planes[0].normal)

    @property
    def segment(self) -> int:
        return int(self.head.frame_value("SegmentIdentificationSequence", "ReferencedSegmentNumber") or 0)

    def values(self) -> NDArray[Any]:
        """(I, J), as volumes are."""
        return stored_values(self.head).T


def _labels(head: Header) -> dict[int, str]:
    """Labels of the segments, without the background that a LABELMAP may name as its segment 0."""
    try:
        found = {int(item.SegmentNumber): str(item.SegmentLabel) for item in head.value("SegmentSequence")}
    except (AttributeError, TypeError, ValueError) as error:
        raise RefusedError("its list of segments is missing or damaged", COPY) from error
    return {number: label for number, label in found.items() if number > 0}


def _slice_of(head: Header, path: Path, places: Slices) -> int:
    """The slice of a series that a frame lies on, pixel on pixel."""
    plane, series = plane_of(path, head), places.series
    rows, columns = plane.size
    what = "its frame"
    if (columns, rows) != series.shape[:2]:
        raise RefusedError(
            f"it has frames of {rows} x {columns} (rows x columns), where the series has {series.shape[1]} x "
            f"{series.shape[0]}",
            _ANEW,
        )
    corners = np.array([(0, 0, 0, 1), (columns - 1, 0, 0, 1), (0, rows - 1, 0, 1)], dtype=np.float64)
    at = places.indices((corners @ plane.affine.T)[:, :3])
    height = float(plane.corner @ plane.normal)
    if np.abs(at[:, :2] - corners[:, :2]).max() > TOLERANCE_VOXELS:
        raise RefusedError(f"{what} at {height:.2f} mm lies on another grid than the series", _ANEW)
    return places.number(at[:, 2], _references(head), height, what)


def _references(head: Header) -> Iterator[tuple[str, int]]:
    """Images that a frame says it was made from."""
    for source in head.frame_value("DerivationImageSequence", "SourceImageSequence") or ():
        numbers = source.get("ReferencedFrameNumber")
        each = [numbers] if isinstance(numbers, int | str | None) else list(numbers)
        for number in each:
            yield str(source.get("ReferencedSOPInstanceUID")), 0 if number is None else int(number) - 1


def _marked(
    label: NDArray[np.int32], frames: list[_Frame], found: Named, listed: AbstractSet[int], half: float
) -> tuple[str, ...]:
    """Mark the frames of each segment; notes on those that mark nothing, and on voxels of several classes."""
    if any(frame.segment not in listed for frame in frames):
        raise RefusedError("it has frames of segments that its list of segments does not hold", COPY)
    overlap, filled = 0, set()
    for value, numbers in found.numbers:
        for frame in frames:
            if frame.segment in numbers:
                marked = frame.values() >= half
                plane = label[..., frame.number]
                overlap += int(np.count_nonzero(marked & (plane != 0) & (plane != value)))
                plane[marked] = value
                if marked.any():
                    filled.add(frame.segment)
    return (*found.empty(filled, _VOXEL), *((OVERLAP.format(count=overlap),) if overlap else ()))


def _binary(
    label: NDArray[np.int32], frames: list[_Frame], found: Named, listed: AbstractSet[int]
) -> tuple[str, ...]:
    return _marked(label, frames, found, listed, 1)


def _fractional(
    label: NDArray[np.int32], frames: list[_Frame], found: Named, listed: AbstractSet[int]
) -> tuple[str, ...]:
    most = frames[0].head.value("MaximumFractionalValue") if frames else 1
    if not isinstance(most, int) or most < 1:
        raise RefusedError("its MaximumFractionalValue is missing or damaged", COPY)
    return (FRACTIONS, *_marked(label, frames, found, listed, most / 2))


def _label_map(
    label: NDArray[np.int32], frames: list[_Frame], found: Named, listed: AbstractSet[int]
) -> tuple[str, ...]:
    """Every pixel is the number of a segment, 0 or the padding value, which is background where it is no segment."""
    _refuse_repeated(frames)
    padding = frames[0].head.value("PixelPaddingValue") if frames else None
    known = np.array(sorted({0, *listed, *([padding] if isinstance(padding, int) else [])}))
    values, filled = np.zeros(len(known), dtype=np.int32), np.zeros(len(known), dtype=bool)
    for value, numbers in found.numbers:
        values[np.isin(known, numbers)] = value
    for frame in frames:
        pixels = frame.values()
        at = np.searchsorted(known, pixels).clip(max=len(known) - 1)
        if (known[at] != pixels).any():
            raise RefusedError("it has pixels of segments that its list of segments does not hold", COPY)
        label[..., frame.number] = values[at]
        filled[at] = True
    return found.empty(set(known[filled].tolist()), _VOXEL)


def _refuse_repeated(frames: list[_Frame]) -> None:
    """Refuse several frames of a label map on one slice: none says which of them counts."""
    counts = Counter(frame.number for frame in frames)
    if twice := sorted({frame.at for frame in frames if counts[frame.number] > 1}):
        more = f" and {len(twice) - _NAMED} more" if len(twice) > _NAMED else ""
        where = ", ".join(f"{at:.2f}" for at in twice[:_NAMED])
        raise RefusedError(
            f"it is a label map with several frames on one slice, at {where} mm{more}", _ONE_EACH
        )


_KINDS = {"BINARY": _binary, "FRACTIONAL": _fractional, "LABELMAP": _label_map}
