"""Which voxels of a volume are the pixels of the slices that it was made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medseg.geometry.grid import TOLERANCE_VOXELS
from medseg.images.dicom.series.plane import Plane
from medseg.images.dicom.series.stack import LPS_TO_RAS
from medseg.images.refusal import RefusedError

_ANEW = "Give the images of the series that the mask was made of, all of them and no others."


def on_planes(
    volume: NDArray[np.integer], affine: NDArray[np.float64], planes: Sequence[Plane]
) -> NDArray[np.integer]:
    """The values of a volume on the pixels of planes that are its slices, whatever the order of its axes.

    Args:
        volume: (I, J, K).
        affine: 4x4, from voxel indices to millimetres, RAS+.
        planes: Of equal shape.

    Returns:
        (planes, rows, columns).

    Raises:
        RefusedError: They are not the slices of the volume, or lie off its grid.
    """
    pixels = sum(plane.size[0] * plane.size[1] for plane in planes)
    if pixels != volume.size:
        raise RefusedError(
            f"the mask has {volume.size} voxels, its source images have {pixels} pixels in {len(planes)} frames",
            _ANEW,
        )
    if len({plane.size for plane in planes}) > 1:
        raise RefusedError("the source images differ in rows or columns", _ANEW)
    seen = np.zeros(volume.shape, dtype=bool)
    inverse = np.linalg.inv(affine).astype(np.float64)
    found = np.stack([_gathered(volume, inverse, plane, seen) for plane in planes])
    if not seen.all():
        raise RefusedError("two source images lie at the same place", _ANEW)
    return found


def _gathered(
    volume: NDArray[np.integer], inverse: NDArray[np.float64], plane: Plane, seen: NDArray[np.bool_]
) -> NDArray[np.integer]:
    rows, columns = plane.size
    way = inverse @ LPS_TO_RAS @ plane.affine  # from (column, row, 0, 1) to voxels
    step, start = np.rint(way[:3, :2]).astype(np.int64), np.rint(way[:3, 3]).astype(np.int64)
    corners = np.array([(column, row, 0, 1) for column in (0, columns - 1) for row in (0, rows - 1)]).T
    exact, there = (way @ corners)[:3], step @ corners[:2] + start[:, None]
    # Both lead along straight lines: nothing between the corners is farther off, nor farther out.
    within = (there >= 0).all() and (there < np.reshape(volume.shape, (3, 1))).all()
    if not within or np.abs(exact - there).max() > TOLERANCE_VOXELS:
        raise RefusedError("the mask does not lie on the grid of its source images", _ANEW)
    down, across = np.arange(rows)[:, None], np.arange(columns)
    at = tuple(start[axis] + step[axis, 0] * across + step[axis, 1] * down for axis in range(3))
    seen[at] = True
    values: NDArray[np.integer] = volume[at]
    return values
