from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)

from medseg.geometry.grid import Geometry, StoredImage
from medseg.geometry.placing import TURNED, on_grid, other_grid_message

SHAPE = (4, 5, 6)


def tilted(degrees: float) -> np.ndarray:
    turn = np.radians(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([1.0, 2.0, 3.0])
    affine[:3, 3] = [-7, 11, 5]
    return affine


def stored_as(image: StoredImage, codes: str) -> StoredImage:
    """The same places in another order of axes, as nibabel turns them."""
    order = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    affine = image.geometry.affine @ inv_ornt_aff(order, image.geometry.shape)
    data = apply_orientation(image.data, order)
    return StoredImage(data, Geometry(data.shape, affine))


@pytest.mark.parametrize("degrees", [0, 20, 45])
@pytest.mark.parametrize("codes", ["LPS", "SAR", "PIL", "RAI"])
def test_what_is_stored_in_another_order_comes_to_the_same_places_exactly(codes: str, degrees: float) -> None:
    data = np.random.default_rng(0).integers(0, 5, SHAPE).astype(np.uint8)
    image = StoredImage(data, Geometry(SHAPE, tilted(degrees)))
    found = on_grid(stored_as(image, codes), image.geometry)
    assert found is not None
    np.testing.assert_array_equal(found.data, data)
    assert found.data.dtype == np.uint8
    assert found.notes == (TURNED,)
    assert found.geometry == image.geometry


def test_what_lies_there_already_is_left_as_it_is() -> None:
    image = StoredImage(np.zeros(SHAPE), Geometry(SHAPE, tilted(10)))
    assert on_grid(image, image.geometry) is image


def test_what_lies_elsewhere_is_brought_nowhere() -> None:
    """Mirrored about the origin of the scanner, half a voxel aside, or turned a little: no flip leads there."""
    grid = Geometry(SHAPE, tilted(0))
    aside = tilted(0) + np.array([[0, 0, 0, 0.5], *[[0.0] * 4] * 3])
    for affine in (np.diag([-1.0, -1, 1, 1]) @ tilted(0), aside, tilted(5)):
        assert on_grid(StoredImage(np.zeros(SHAPE), replace(grid, affine=affine)), grid) is None
    told = other_grid_message(replace(grid, affine=aside), grid, "the image")
    assert "(its voxels lie up to 0.5 voxels away)" in told
    assert io_orientation(tilted(0))[:, 1].tolist() == [1, 1, 1]


@pytest.mark.parametrize("codes", ["LPS", "RAI"])
def test_of_what_is_turned_and_moved_the_move_alone_is_told(codes: str) -> None:
    grid = Geometry(SHAPE, tilted(0))
    found = stored_as(StoredImage(np.zeros(SHAPE), grid), codes).geometry
    moved = replace(found, affine=found.affine + np.array([[0, 0, 0, 0.4], *[[0.0] * 4] * 3]))

    told = other_grid_message(moved, grid, "the image")

    assert told.endswith("(its voxels lie up to 0.4 voxels away, with its axes turned alike)")


def test_of_another_size_no_distance_is_told() -> None:
    grid = Geometry(SHAPE, tilted(0))
    assert other_grid_message(replace(grid, shape=(4, 5, 7)), grid, "the image").endswith("mm, RAS")


def test_leaning_axes_are_measured() -> None:
    affine = np.diag([1.0, 2, 3, 1])
    assert Geometry(SHAPE, affine).lean == 0
    affine[0, 1] = 2 * np.tan(np.radians(10))
    assert Geometry(SHAPE, affine).lean == pytest.approx(10)
