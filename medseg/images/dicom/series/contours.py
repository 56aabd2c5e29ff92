"""RTSTRUCT on the slices of a series: closed contours as the pixels whose centres they hold.

Contours of one region on one slice are joined by exclusive or, so that one within another is a hole, as treatment
planning systems write them. Source: DICOM PS3.3 C.8.8.6.3.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medseg.errors import DataError
from medseg.geometry.grid import StoredImage
from medseg.images.dicom.attributes import COPY
from medseg.images.dicom.header import parsed
from medseg.images.dicom.quiet import quiet
from medseg.images.dicom.series.stack import Series
from medseg.images.dicom.series.structures import OVERLAP, Slices, Structures, named
from medseg.images.refusal import RefusedError

_CLOSED = {"CLOSED_PLANAR", "CLOSED_PLANAR_XOR", "CLOSEDPLANAR_XOR"}

#: Of a pixel: what arithmetic moves a corner, so that one on the centre of a pixel is still on it.
_ROUNDING = 1e-6


def read_contours(path: Path, series: Series, structures: Structures) -> StoredImage:
    """Read a structure set as a label map (I, J, K) on the grid of a series; 0 is background.

    Args:
        path: Of an RTSTRUCT.
        series: On whose slices it was drawn.
        structures: Which names of regions are which value.

    Raises:
        DataError: It cannot be read, lies elsewhere, or has none of the structures.
    """
    with quiet() as caught:
        data, notes = parsed(path, pixels=False)
        try:
            names, references, contours = _regions(data)
            found = named(names, structures, "regions of interest")
            used = {number for _, numbers in found.numbers for number in numbers}
            places = Slices.of(series, [references[number] for number in used])
            drawn = {number: _drawn(contours.get(number, []), places) for number in used}
        except (DataError, MemoryError):
            raise
        except (
            Exception
        ) as error:  # pydicom converts a value as it is asked for, and raises whatever it meets
            raise RefusedError("the structure set is damaged: its contours cannot be read", COPY) from error
    label = np.zeros(series.shape[::-1], dtype=np.int32).T  # slice by slice, as images lie in memory
    overlap = 0
    for value, numbers in found.numbers:
        for region in numbers:
            for slice_number, marked in drawn[region].items():
                plane = label[..., slice_number]
                overlap += int(np.count_nonzero(marked & (plane != 0) & (plane != value)))
                plane[marked] = value
    about = (
        *found.notes(),
        *found.empty({number for number in used if contours.get(number)}, "contour"),
        *_outside({number: each for number, each in drawn.items() if contours.get(number)}),
        *places.notes,
        *((OVERLAP.format(count=overlap),) if overlap else ()),
    )
    return StoredImage(label, series.geometry, (*notes, *about, *dict.fromkeys(caught)))


def _outside(drawn: Mapping[int, Mapping[int, NDArray[np.bool_]]]) -> tuple[str, ...]:
    """That contours hold the centre of no pixel, if those of some structure do."""
    count = sum(not any(marked.any() for marked in slices.values()) for slices in drawn.values())
    if not count:
        return ()
    verb = "structure of a class has" if count == 1 else "structures of a class have"
    return (
        f"{count} {verb} contours that hold no pixel of the series: they lie outside its images, or are too small",
    )


def _regions(data: Dataset) -> tuple[dict[int, str], dict[int, str], dict[int, list[Dataset]]]:
    """Names, frames of reference and contours of the regions, by their numbers."""
    listed = list(data.StructureSetROISequence)
    names = {int(item.ROINumber): str(item.get("ROIName", "")) for item in listed}
    references = {
        int(item.ROINumber): str(item.get("ReferencedFrameOfReferenceUID") or "") for item in listed
    }
    contours = {
        int(item.ReferencedROINumber): list(item.get("ContourSequence") or ())
        for item in data.get("ROIContourSequence") or ()
    }
    return names, references, contours


def _drawn(contours: list[Dataset], places: Slices) -> Mapping[int, NDArray[np.bool_]]:
    """The pixels (I, J) of one region, by the number of their slice."""
    corners: defaultdict[int, list[NDArray[np.float64]]] = defaultdict(list)
    for contour in contours:
        if str(contour.get("ContourGeometricType")) not in _CLOSED:
            raise RefusedError(
                "a structure is drawn by points or open lines, and not by closed contours",
                "Take it from 'layout.mask.structures' of the manifest, or leave the case out.",
            )
        points = np.array([float(each) for each in contour.ContourData], dtype=np.float64).reshape(-1, 3)
        if len(points) != int(contour.get("NumberOfContourPoints") or len(points)):
            raise ValueError("some are missing, or too many")
        if not np.isfinite(points).all():
            raise ValueError("no numbers")
        at = places.indices(points)
        height = float(points[0] @ places.series.planes[0].normal)
        number = places.number(at[:, 2], _references(contour), height, "a contour")
        corners[number].append(at[:, :2])
    columns, rows, _ = places.series.shape
    return {number: filled(polygons, (columns, rows)) for number, polygons in corners.items()}


def _references(contour: Dataset) -> Iterator[tuple[str, int]]:
    for image in contour.get("ContourImageSequence") or ():
        number: Any = image.get("ReferencedFrameNumber")
        yield str(image.get("ReferencedSOPInstanceUID")), 0 if number is None else int(number) - 1


def filled(polygons: list[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels (I, J) whose centres lie within an odd number of polygons.

    Args:
        polygons: Corners (N, 2) of each, as indices (column, row); the last is joined to the first.
        shape: Columns and rows.
    """
    columns, rows = shape
    turns = np.zeros((rows, columns + 1), dtype=np.int32)  # where a line from the left enters or leaves
    for polygon in polygons:
        for (x, y), (to_x, to_y) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            low, high = sorted((y, to_y))
            first, last = max(0, int(np.ceil(low - _ROUNDING))), min(rows, int(np.ceil(high - _ROUNDING)))
            if first >= last:
                continue
            crossed = np.arange(first, last)
            at = np.ceil(x + (crossed - y) * (to_x - x) / (to_y - y) - _ROUNDING)
            turns[crossed, np.clip(at, 0, columns).astype(np.int64)] += 1
    inside: NDArray[np.bool_] = (np.cumsum(turns[:, :columns], axis=1) % 2).astype(bool)
    return inside.T
