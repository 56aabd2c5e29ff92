"""Bringing an image to another grid by interpolation, where a definition asks for it; no label map ever is.

Voxels are put where the affines of their files say that they lie. Nothing is registered: whether two images show one
place of the body at one place of the world is not looked at, and cannot be known from the grids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medseg.geometry.background import background_values
from medseg.geometry.grid import Geometry, StoredImage

RESAMPLING = 1
"""Raised whenever resampling gives other values."""

#: How far beyond the centre of its outermost voxels an image reaches, in voxels, and what rounding adds.
_EDGE = 0.5 + 1e-6


def resampled(stored: StoredImage, grid: Geometry) -> StoredImage:
    """An image on another grid: linear between the centres of voxels, float32.

    A voxel of the grid takes the value at its own centre. Within the half voxel that an image reaches beyond the
    centres of its outermost voxels it has the value of these; beyond that it shows nothing, and has the image's
    background (`background_values`), as a margin has. This is SimpleITK's Resample with the identity transform, the
    linear interpolator and that background as default pixel value. Nothing is smoothed before: of a finer image most
    voxels do not count.

    Args:
        stored: The image, without NaN or infinite values.
        grid: Where it goes.
    """
    source = np.asarray(stored.data, dtype=np.float32)
    # slice by slice, as files lie in memory
    found = np.full(grid.shape, background_values(source[None])[0], dtype=np.float32, order="F")
    for plane, (inside, at) in zip(np.moveaxis(found, 2, 0), _planes(stored.geometry, grid), strict=True):
        places = [each[inside] for each in at]
        plane[inside] = ndimage.map_coordinates(source, places, np.float32, order=1, mode="nearest")
    return replace(stored, data=found, geometry=grid)


def coverage(found: Geometry, grid: Geometry) -> float:
    """The share of a grid's voxels whose centres lie within what is stored on another, 0 to 1."""
    return float(np.mean([inside.mean() for inside, _ in _planes(found, grid)]))


def _planes(found: Geometry, grid: Geometry) -> Iterator[tuple[NDArray[np.bool_], list[NDArray[np.float64]]]]:
    """Of each plane (I, J) of a grid, along K: which voxels another reaches to, and where all of them lie in it."""
    there = (np.linalg.inv(found.affine) @ grid.affine)[:3]
    i, j = np.ogrid[: grid.shape[0], : grid.shape[1]]
    for k in range(grid.shape[2]):
        at = [row[0] * i + row[1] * j + (row[2] * k + row[3]) for row in there]
        within = (
            (each >= -_EDGE) & (each <= size - 1 + _EDGE) for each, size in zip(at, found.shape, strict=True)
        )
        yield np.logical_and.reduce(list(within)), at
