"""Reading a DICOM segmentation back by pydicom alone: whether it says what was meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg.images.dicom.header import Header, opened_frames
from medseg.images.dicom.series.plane import Plane, plane_of
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
    head = opened_frames(path, pixels=True, label_maps=True)
    frames = np.reshape(head.data.pixel_array, (-1, *expected.shape[1:]))
    found, seen = np.zeros_like(expected), np.zeros(len(planes), dtype=int)
    places = np.stack([plane.affine for plane in planes])
    labelmap = head.data.SegmentationType == "LABELMAP"
    for number, frame in enumerate(frames):
        each = head.of_frame(number)
        index = _same(plane_of(path, each), places)
        seen[index] += 1
        if labelmap:
            found[index] = frame
        else:
            found[index][frame > 0] = _number(each)
    expected_frames = 1 if labelmap else len(head.data.SegmentSequence)
    if not np.array_equal(found, expected) or (seen != expected_frames).any():
        raise RefusedError(
            "the DICOM segmentation, read back, differs from the mask, and was not kept",
            "Report this with the versions of highdicom and pydicom; write NIfTI meanwhile.",
        )


def _number(head: Header) -> int:
    return int(head.frame_value("SegmentIdentificationSequence", "ReferencedSegmentNumber"))


def _same(plane: Plane, places: NDArray[np.float64]) -> int:
    """Which of the affines (planes, 4, 4) is that of a plane, to a thousandth of a millimetre at every corner."""
    rows, columns = plane.size
    corners = np.array([[0, 0, 0, 1], [columns, 0, 0, 1], [0, rows, 0, 1]]).T
    apart = np.abs((plane.affine - places) @ corners).max(axis=(1, 2))
    nearest = int(np.argmin(apart))
    if apart[nearest] > _NEAR:
        raise RefusedError(
            "a frame of the DICOM segmentation, read back, lies elsewhere, and it was not kept",
            "Report this with the versions of highdicom and pydicom; write NIfTI meanwhile.",
        )
    return nearest
