"""Reading a DICOM segmentation back by pydicom alone: whether it says what was meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from medseg.images.dicom.writing.planes import Plane, planes_of
from medseg.images.refusal import RefusedError

_NEAR = 1e-3  # mm


def refuse_other_voxels(path: Path, expected: NDArray[np.integer], planes: Sequence[Plane]) -> None:
    """Refuse a segmentation that differs from what it was made of in a voxel or a place.

    Args:
        path: Of the segmentation.
        expected: (planes, rows, columns): the number of the segment of each pixel, 0 for background.
        planes: Where they lie.

    Raises:
        RefusedError: It does.
    """
    data = dcmread(path)
    found, seen = np.zeros_like(expected), np.zeros(len(planes), dtype=int)
    frames = np.reshape(data.pixel_array, (-1, *expected.shape[1:]))
    for frame, groups, plane in zip(
        frames, data.PerFrameFunctionalGroupsSequence, planes_of([data]), strict=True
    ):
        index = _same(plane, planes)
        seen[index] += 1
        if data.SegmentationType == "LABELMAP":
            found[index] = frame
        else:
            found[index][frame > 0] = _number(groups, data)
    expected_frames = 1 if data.SegmentationType == "LABELMAP" else len(data.SegmentSequence)
    if not np.array_equal(found, expected) or (seen != expected_frames).any():
        raise RefusedError(
            "the DICOM segmentation, read back, differs from the mask, and was not kept",
            "Report this with the versions of highdicom and pydicom; write NIfTI meanwhile.",
        )


def _number(groups: Dataset, data: Dataset) -> int:
    where = groups if "SegmentIdentificationSequence" in groups else data.SharedFunctionalGroupsSequence[0]
    return int(where.SegmentIdentificationSequence[0].ReferencedSegmentNumber)


def _same(plane: Plane, planes: Sequence[Plane]) -> int:
    """Which of the planes lies where this one does, to a thousandth of a millimetre at every corner."""
    corners = np.array([[0, 0, 0, 1], [plane.shape[0], 0, 0, 1], [0, plane.shape[1], 0, 1]]).T
    apart = [np.abs((plane.affine - each.affine) @ corners).max() for each in planes]
    nearest = int(np.argmin(apart))
    if apart[nearest] > _NEAR:
        raise RefusedError(
            "a frame of the DICOM segmentation, read back, lies elsewhere, and it was not kept",
            "Report this with the versions of highdicom and pydicom; write NIfTI meanwhile.",
        )
    return nearest
