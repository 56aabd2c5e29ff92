"""Bringing what belongs to one case to one grid, without resampling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from medseg.geometry.grid import Geometry, StoredImage

TURNED = (
    "its axes are stored in another order or direction than those of the first image: it was brought to these"
)


def on_grid(stored: StoredImage, grid: Geometry) -> StoredImage | None:
    """What is stored, with its voxels in the order of a grid that holds the same places.

    Axes are flipped and permuted alone, so that every value stays the value of its place; if they were, it is
    noted. None where no such order leads to the grid.
    """
    if grid.same_grid(stored.geometry):
        return stored
    order = io_orientation(np.linalg.inv(grid.affine) @ stored.geometry.affine)
    if np.isnan(order).any():
        return None
    data = apply_orientation(stored.data, order)
    affine = stored.geometry.affine @ inv_ornt_aff(order, stored.geometry.shape)
    if not grid.same_grid(replace(stored.geometry, shape=data.shape, affine=affine)):
        return None
    return replace(stored, data=data, geometry=grid, notes=(*stored.notes, TURNED))


def other_grid_message(found: Geometry, expected: Geometry, whose: str) -> str:
    """That something lies on another grid, in words, and how far from it."""
    moved = ""
    if found.shape == expected.shape:
        voxels = expected.apart(found)
        moved = f" (voxels of one number lie up to {voxels:.3g} voxels apart)"
    return f"it lies on another grid: {found.text()}, where {whose} has {expected.text()}{moved}"
