"""Bringing what belongs to one case to one grid, without resampling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from numpy.typing import NDArray

from medseg.geometry.grid import Geometry, StoredImage

TURNED = (
    "its axes are stored in another order or direction than those of the first image: it was brought to these"
)

UNTURNED = (
    "Save both without the tag: turned, as Pillow's ImageOps.exif_transpose does, if it was drawn on the other as "
    "programs show it, else as they are stored. Or leave the case out."
)


def on_grid(stored: StoredImage, grid: Geometry) -> StoredImage | None:
    """What is stored, with its voxels in the order of a grid that holds the same places.

    Axes are flipped and permuted alone, so that every value stays the value of its place; if they were, it is
    noted. None where no such order leads to the grid.
    """
    if grid.same_grid(stored.geometry):
        return stored
    order = _order(grid, stored.geometry)
    if order is None or not grid.same_grid(_turned(stored.geometry, order)):
        return None
    data = apply_orientation(stored.data, order)
    return replace(stored, data=data, geometry=grid, notes=(*stored.notes, TURNED))


def same_places(found: Geometry, grid: Geometry) -> bool:
    """Whether a grid holds the places of another, in whatever order and direction of its axes."""
    if grid.same_grid(found):
        return True
    order = _order(grid, found)
    return order is not None and grid.same_grid(_turned(found, order))


def _order(grid: Geometry, other: Geometry) -> NDArray[np.float64] | None:
    """The order and directions of another grid's axes that are nearest to those of a grid; None if there is none."""
    order: NDArray[np.float64] = io_orientation(np.linalg.inv(grid.affine) @ other.affine)
    return None if np.isnan(order).any() else order


def _turned(geometry: Geometry, order: NDArray[np.float64]) -> Geometry:
    """The same places with axes in another order."""
    sizes = dict(zip(order[:, 0].astype(int), geometry.shape, strict=True))
    shape = (sizes[0], sizes[1], sizes[2])
    return replace(geometry, shape=shape, affine=geometry.affine @ inv_ornt_aff(order, geometry.shape))


def turned_apart_message(first: StoredImage, other: StoredImage, whose: str) -> str | None:
    """That two pictures of one size were turned apart by their EXIF blocks, in words; None if they were not.

    A picture that is not square and was turned onto its side (5 to 8) fits one without the tag only as shown: its
    size tells that it was turned rightly.
    """
    one, two = sorted((first.turned, other.turned))
    rows, columns = first.geometry.shape[:2]
    if one == two or (one == 1 and two >= 5 and rows != columns):
        return None
    return (
        f"its EXIF orientation is {other.turned}, where that of {whose} is {first.turned}: whether it was drawn on "
        "the other as stored or as shown is not known"
    )


def other_grid_message(found: Geometry, expected: Geometry, whose: str) -> str:
    """That something lies on another grid, in words, and how far from it once its axes run alike."""
    order, moved = _order(expected, found), ""
    turned = found if order is None else _turned(found, order)
    if turned.shape == expected.shape:
        voxels, alike = (
            expected.apart(turned),
            "" if turned.same_grid(found) else ", with its axes turned alike",
        )
        moved = f" (its voxels lie up to {voxels:.3g} voxels away{alike})"
    return f"it lies on another grid: {found.text()}, where {whose} has {expected.text()}{moved}"
