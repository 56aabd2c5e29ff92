from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

from medseg.geometry.background import background_values
from medseg.geometry.grid import Geometry, StoredImage
from medseg.geometry.resampling import coverage, resampled

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def affine(spacing, corner, turn=0.0, lean=0.0):
    (c, s), (d, e) = (np.cos(turn), np.sin(turn)), (np.cos(lean), np.sin(lean))
    found = np.eye(4)
    found[:3, :3] = (
        np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ [[1, 0, 0], [0, d, -e], [0, e, d]] @ np.diag(spacing)
    )
    found[:3, 3] = corner
    return found


IMAGE = affine((0.9, 1.1, 4.0), (-12, -14, -11))
GRIDS = {
    "finer and wider": ((26, 30, 24), affine((1.2, 1.2, 1.5), (-16, -18, -17))),
    "turned and oblique": ((22, 20, 18), affine((1.3, 1.0, 2.0), (-10, -16, -8), turn=0.4, lean=-0.3)),
    "other directions": ((20, 24, 9), affine((-1.5, -1.25, 3.0), (12, 14, -11))),
    "axes swapped": ((14, 20, 22), affine((1.0, 1.0, 1.0), (-9, -9, -9)) @ np.eye(4)[[2, 0, 1, 3]]),
    "one slice": ((20, 20, 1), affine((1.0, 1.0, 5.0), (-9, -9, -6))),
}


def stored(dtype=np.int16, shape=(24, 22, 7), where=IMAGE):
    rng = np.random.default_rng(3)
    data = rng.integers(1, 1000, shape).astype(dtype)
    data[0], data[-1] = 40, 40  # its background
    return StoredImage(data, Geometry(shape, where), ("odd",), made_up=True)


def of_itk(data, where):
    placed = LPS @ where
    image, sizes = SimpleITK.GetImageFromArray(data.T), np.linalg.norm(placed[:3, :3], axis=0)
    image.SetSpacing(sizes.tolist())
    image.SetOrigin(placed[:3, 3].tolist())
    image.SetDirection((placed[:3, :3] / sizes).ravel().tolist())
    return image


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("dtype", [np.int16, np.float64])
def test_an_image_has_the_values_that_simpleitk_gives_it_on_another_grid(name, dtype):
    shape, where = GRIDS[name]
    image = stored(dtype)
    given = of_itk(image.data.astype(np.float32), IMAGE)
    onto = of_itk(np.zeros(shape, np.float32), where)
    expected = SimpleITK.Resample(given, onto, SimpleITK.Transform(), SimpleITK.sitkLinear, 40.0)

    found = resampled(image, Geometry(shape, where))

    np.testing.assert_allclose(found.data.T, SimpleITK.GetArrayFromImage(expected), atol=1e-3)
    assert (found.data.dtype, found.data.shape) == (np.float32, shape)
    assert (found.notes, found.made_up) == (("odd",), True)
    assert background_values(image.data[None])[0] == 40


@pytest.mark.parametrize("name", GRIDS)
def test_the_share_that_is_covered_is_that_of_the_voxels_that_simpleitk_finds_inside(name):
    shape, where = GRIDS[name]
    ones, onto = of_itk(np.ones((24, 22, 7), np.float32), IMAGE), of_itk(np.zeros(shape, np.float32), where)
    inside = SimpleITK.GetArrayFromImage(SimpleITK.Resample(ones, onto, SimpleITK.Transform()))
    assert coverage(Geometry((24, 22, 7), IMAGE), Geometry(shape, where)) == pytest.approx(inside.mean())


def test_a_plane_in_space_stays_one_and_ends_half_a_voxel_beyond_the_outermost_centres():
    # voxel centres at 0, 2, ..., 18 mm: what is linear in space is met exactly, the half voxel beyond has the edge
    data = np.broadcast_to(np.arange(10.0)[:, None, None] * 2, (10, 3, 3))
    image = StoredImage(np.array(data), Geometry((10, 3, 3), np.diag([2.0, 1, 1, 1])))
    grid = Geometry((24, 3, 3), np.array([[1.0, 0, 0, -2.4], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    at = np.arange(24) - 2.4
    expected = np.where((at < -1) | (at > 19), 0.0, at.clip(0, 18))
    np.testing.assert_allclose(resampled(image, grid).data[:, 1, 1], expected, atol=1e-5)


def test_an_image_that_lies_nowhere_near_is_all_background():
    far = Geometry((5, 5, 5), affine((1, 1, 1), (500, 0, 0)))
    assert coverage(stored().geometry, far) == 0
    assert (resampled(stored(), far).data == 40).all()
