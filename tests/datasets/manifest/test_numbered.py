from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.spatial import KDTree

from medseg.datasets.manifest.numbered import graded, has_rims, made_up, mostly_in_pieces


def disc(radius: int, size: int = 96) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return np.where((rows - size / 2) ** 2 + (columns - size / 2.2) ** 2 < radius**2, 255, 0).astype(np.uint8)


def resized(mask: np.ndarray, times: float, how: Image.Resampling) -> np.ndarray:
    side = int(len(mask) * times)
    return np.asarray(Image.fromarray(mask).resize((side, side), how))


def through_jpeg(mask: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("radius", [6, 25])
@pytest.mark.parametrize("times", [0.5, 0.9, 1.1, 2, 4, 8])
@pytest.mark.parametrize(
    "how", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS]
)
def test_a_mask_that_was_resized_numbers_no_objects(radius, times, how):
    assert made_up(resized(disc(radius), times, how))
    assert not made_up(resized(disc(radius), times, Image.Resampling.NEAREST))


@pytest.mark.parametrize("radius", [14, 25])
@pytest.mark.parametrize("times", [2, 3, 4, 8])
@pytest.mark.parametrize("smaller", [1, 4])
@pytest.mark.parametrize(
    "how", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS]
)
def test_a_mask_that_was_resized_and_then_enlarged_numbers_no_objects(radius, times, smaller, how):
    """Rims are as broad as a pixel was repeated; a margin moves the grid on which it was."""
    small = resized(disc(radius), 0.9 / smaller, how)
    large = np.pad(np.kron(small, np.ones((times, times), small.dtype)), ((3, 1), (0, 2)))
    assert made_up(large[..., None])

    whole = np.where(small > 127, 1, 0) + np.where(
        np.arange(len(small)) > len(small) / 2, 0, 2 * (small > 127)
    )
    assert not made_up(np.kron(whole, np.ones((times, times), int))[..., None])


@pytest.mark.parametrize("radius", [6, 25])
@pytest.mark.parametrize("quality", [30, 75, 90, 95, 97, 98, 99, 100])
def test_a_mask_that_was_a_jpeg_numbers_no_objects(radius, quality):
    assert made_up(through_jpeg(disc(radius), quality)[None])


@pytest.mark.parametrize("quality", [97, 98, 99, 100])
@pytest.mark.parametrize("white", [100, 200, 255])
@pytest.mark.parametrize("place", range(4))
def test_the_few_numbers_that_jpeg_of_high_quality_makes_up_number_no_objects(quality, white, place):
    mask = np.maximum(
        np.roll(disc(8, 48), (2 * place - 10, place - 8), (0, 1)),
        np.roll(disc(5, 48), (12, 8 - place), (0, 1)),
    )
    grey = through_jpeg(mask // 255 * np.uint8(white), quality)
    assert 3 <= np.unique(grey).size <= 16
    assert made_up(grey[None])
    assert not made_up(np.where(grey > white / 2, white, 0)[None])  # the remedy


def test_few_numbers_that_lie_near_each_other_are_true_where_each_is_an_object():
    crop = np.zeros((64, 64), dtype=int)  # of a larger map
    for number, (top, left) in zip((1, 2, 3, 252, 253, 255), PLACES, strict=True):
        crop[top + 32 :, left + 32 :][:9, :9] = number
    crop[:, 0] = 251
    crop[10:12, 0] = 0  # a sliver at the border, in two pieces
    rim = disc(20) // 255 * 255 - disc(18) // 255  # 254 in a rim of 255
    tumour = sum((disc(radius) > 0) * step for radius, step in ((30, 2), (20, -1), (10, 3)))  # 0, 1, 2, 4
    few = np.where(disc(25) > 0, 255, 0)
    few[5, 5], few[48, 44] = 1, 254  # single voxels in one piece each
    assert not any(made_up(each[None].astype(int)) for each in (crop, rim, tumour, few))


def test_resizing_makes_numbers_up_between_true_objects_as_well():
    numbers = np.zeros((90, 90), dtype=np.uint8)
    for n in range(25):
        numbers[18 * (n // 5) :, 18 * (n % 5) :] = n + 1
    assert not made_up(numbers)
    assert made_up(resized(numbers, 1.3, Image.Resampling.BILINEAR))


def test_objects_that_touch_or_are_single_pixels_apart_from_each_other_are_objects():
    cells = np.kron(np.arange(1, 401).reshape(20, 20), np.ones((2, 2), int))
    spots = np.zeros((60, 60), dtype=int)
    spots[::3, ::3] = np.arange(1, 401).reshape(20, 20)
    fibre = np.zeros((60, 60), dtype=int)
    fibre[30], fibre[:, 30] = 1, 2
    volume = np.kron(np.arange(1, 65).reshape(4, 4, 4), np.ones((3, 3, 3), int))
    assert not any(made_up(each) or mostly_in_pieces(each) for each in (cells, spots, volume))
    assert not made_up(fibre)


def test_many_tiny_or_thin_objects_that_touch_are_objects():
    random = np.random.default_rng(0)
    spots = np.zeros((256, 256), dtype=int)
    spots.flat[random.choice(spots.size, 4000, replace=False)] = np.arange(1, 4001)
    fibres = np.zeros((64, 64), dtype=int)
    fibres[10:30] = np.arange(1, 21)[:, None]
    places = random.random((3000, 2)) * 256
    pixels = np.stack(np.mgrid[:256, :256], axis=-1).reshape(-1, 2)
    grains = KDTree(places).query(pixels)[1].reshape(256, 256) + 1
    assert not any(made_up(each) for each in (spots, fibres, grains))


def test_numbers_in_several_pieces_are_odd_but_one_number_is_a_plain_mask():
    classes = np.zeros((40, 40), dtype=int)
    classes[2:8, 2:8] = classes[20:30, 20:30] = 1
    assert not mostly_in_pieces(classes)
    classes[2:8, 20:26] = classes[20:30, 2:8] = 2
    assert mostly_in_pieces(classes)
    classes[36:, 36:], classes[36:, 30:34], classes[36:, :4] = 3, 4, 5
    assert not mostly_in_pieces(classes)  # two of five
    assert not mostly_in_pieces(np.zeros((4, 4), dtype=int))


def halved(mask: np.ndarray) -> np.ndarray:
    side = len(mask) // 2
    return np.floor(mask.reshape(side, 2, side, 2).mean((1, 3)) + 0.5).astype(np.uint8)


def shifted(mask: np.ndarray) -> np.ndarray:
    return ndimage.shift(mask, (0.5, 0), float, order=1).astype(np.uint8)


@pytest.mark.parametrize("change", [halved, shifted], ids=["halved", "shifted"])
@pytest.mark.parametrize("radius", [12, 25])
def test_a_grey_mask_of_few_shades_numbers_no_objects(radius, change):
    grey = change(disc(radius))
    assert np.unique(grey).size < 8
    assert made_up(grey)
    assert not made_up(np.where(grey > 127, 255, 0))  # the remedy


def test_few_numbers_of_objects_that_were_resized_are_made_up():
    numbers = sum(np.roll(disc(8) // 255, (a, b), (0, 1)) * n for n, (a, b) in enumerate(PLACES, start=1))
    assert not made_up(numbers)
    assert made_up(resized(numbers.astype(np.uint8), 2, Image.Resampling.BILINEAR))


def test_few_thin_objects_side_by_side_and_a_ring_in_one_piece_are_objects():
    fibres = np.zeros((40, 40), dtype=int)
    fibres[10:15] = np.arange(1, 6)[:, None]
    cell = np.where(disc(20) > 0, 1, 0) + np.where(disc(19) > 0, 1, 0)
    assert not made_up(fibres)
    assert not made_up(cell)


PLACES = ((-30, -30), (-30, 0), (-30, 25), (0, 25), (20, -20), (25, 20))


def test_classes_that_were_resized_have_rims_and_classes_within_each_other_have_none():
    classes = sum(np.roll(disc(8) // 255, (a, b), (0, 1)) * (n % 3 + 1) for n, (a, b) in enumerate(PLACES))
    assert has_rims(resized(classes.astype(np.uint8), 2, Image.Resampling.BILINEAR)[None])
    assert not has_rims(resized(classes.astype(np.uint8), 2, Image.Resampling.NEAREST)[None])
    ventricle = sum((disc(radius) > 0).astype(int) for radius in (12, 15, 30))
    assert not has_rims(ventricle[None])
    assert not has_rims(np.zeros((1, 4, 4), dtype=int))


@pytest.mark.parametrize("radius", [8, 20, 40])
@pytest.mark.parametrize("shape", ["cone", "slope", "distance"])
def test_shades_within_an_object_are_graded(radius, shape):
    rows, columns = np.mgrid[:96, :96]
    away = np.hypot(rows - 48, columns - 43)
    value = {
        "cone": 255 - 200 * away / radius,
        "slope": 40 + 200 * (rows - 48 + radius) / (2 * radius),
        "distance": 20 * ndimage.distance_transform_edt(away < radius),
    }[shape]
    soft = np.where(away < radius, value, 0).clip(0, 255).astype(np.uint8)[..., None]

    assert graded(soft) or made_up(soft)


def test_objects_that_touch_are_not_graded():
    random = np.random.default_rng(3)
    seeds = random.random((60, 2)) * 96
    cells = (
        KDTree(seeds).query(np.moveaxis(np.mgrid[:96, :96], 0, -1).reshape(-1, 2))[1].reshape(96, 96, 1) + 1
    )
    tiny = np.kron(random.permutation(24 * 24).reshape(24, 24), np.ones((1, 2), int))[..., None] + 1

    assert not graded(cells)
    assert not graded(tiny)
    assert not graded(np.where(disc(20) > 0, 1, 0)[..., None])
