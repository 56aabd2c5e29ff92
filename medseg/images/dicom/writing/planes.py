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
    rows, columns = np.indices(plane.size)
    pixels = np.stack([columns, rows, np.zeros_like(rows), np.ones_like(rows)]).reshape(4, -1)
    exact = (inverse @ LPS_TO_RAS @ plane.affine @ pixels)[:3]
    index = np.rint(exact).astype(np.int64)
    within = (index >= 0).all() and (index < np.reshape(volume.shape, (3, 1))).all()
    if not within or np.abs(exact - index).max() > TOLERANCE_VOXELS:
        raise RefusedError("the mask does not lie on the grid of its source images", _ANEW)
    at = tuple(index)
    seen[at] = True
    values: NDArray[np.integer] = volume[at].reshape(plane.size)
    return values
