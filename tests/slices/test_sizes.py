from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medseg.datasets.case import Case
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.reading.volume import read_volume
from medseg.geometry.axes import AXES
from medseg.images.formats import PictureFiles
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.slices.sizes import FITTINGS
from medseg.slices.store.estimate import plan
from medseg.slices.store.fill import prepare
from medseg.splits.split import Split
from medseg.testing.pictures import write_picture

LABELS = LabelRule(("background", "foreground"), {0: "background", 255: "foreground"})
GREY = PictureFiles("grey", ("grey",))
RGB = PictureFiles("rgb", ("red", "green", "blue"))

sides = st.integers(4, 40)
tiles = st.tuples(st.integers(4, 24), st.integers(4, 24))


def l_shape(height=60, width=100):
    """A long stroke down and a short one to the right: no flip and no turn leaves it as it is."""
    mask = np.zeros((height, width), dtype=bool)
    mask[8:52, 10:20] = True
    mask[42:52, 10:46] = True
    return mask


@pytest.fixture
def picture(tmp_path):
    """An L in 60x100, with a grey level for each row and column, so that no pixel is like its neighbour."""
    rows, columns = np.mgrid[:60, :100]
    mask = l_shape()
    grey = (rows + columns + 80 * mask).astype(np.uint8)
    image = write_picture(tmp_path / "a.png", grey)
    truth = write_picture(tmp_path / "a_mask.png", np.where(mask, 255, 0).astype(np.uint8))
    return Case("a", "a", {"grey": image}, truth, position=1), grey, mask


class OfVolumes:
    """A way for volumes (..., I, J, K) of one shape: cut along an axis, then fitted; and back."""

    def __init__(self, fit, size, shape, overlap, axis):
        self.axis = AXES[axis]
        self.fitting = FITTINGS[fit](self.axis.seen(shape), size, overlap)
        self.count, self.crops = self.fitting.count, self.fitting.crops

    def image(self, volume, pad):
        return self.fitting.image(self.axis.cut(volume).swapaxes(0, 1), pad).swapaxes(0, 1)

    def label(self, volume):
        return self.fitting.label(self.axis.cut(volume))

    def undo(self, slices, *, nearest):
        return self.axis.stack(self.fitting.undo(slices.swapaxes(0, 1), nearest=nearest).swapaxes(0, 1))


def fitted(fit, size, shape, *, overlap=0.25, axis="axial"):
    return OfVolumes(fit, size, shape, overlap, axis)


def apply(case, fit, size, **more):
    volume = read_volume(case, ("grey",), LABELS, files=GREY)
    return Preparation(("grey",), SliceRule(size=size, fit=fit, **more), files=GREY).apply(volume)


def rows_first(volume):
    """A map (I, J, K) in the order of a picture's file as (H, W), by the definition of that order."""
    assert volume.shape[2] == 1
    return volume[:, :, 0].T


def test_padding_keeps_rows_and_columns_in_place(picture):
    case, grey, mask = picture
    prepared = apply(case, "pad", (64, 128))
    assert prepared.image.shape == (1, 1, 64, 128)
    np.testing.assert_array_equal(prepared.image[0, 0, 2:62, 14:114], grey)
    np.testing.assert_array_equal(prepared.label[0, 2:62, 14:114], mask)
    assert prepared.label.sum() == mask.sum()


@pytest.mark.parametrize(("fit", "size"), [("pad", (64, 128)), ("pad", (61, 101)), ("tile", (24, 40))])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_a_mask_comes_back_exactly_to_rows_and_columns_of_its_file(picture, fit, size, overlap):
    case, _, mask = picture
    prepared = apply(case, fit, size, overlap=overlap)
    labels = prepared.restore(prepared.label[None], nearest=True)
    np.testing.assert_array_equal(rows_first(labels[0]), mask)
    chances = np.where(prepared.label[None] == 1, 0.8, 0.1).astype(np.float32)
    restored = prepared.restore(chances, nearest=False, outside=(0.0,))
    assert restored.dtype == np.float32
    np.testing.assert_allclose(rows_first(restored[0]), np.where(mask, 0.8, 0.1), rtol=1e-6)


@pytest.mark.parametrize("fit", ["pad", "tile"])
def test_the_picture_itself_comes_back_too(picture, fit):
    case, grey, _ = picture
    prepared = apply(case, fit, (64, 128) if fit == "pad" else (30, 26))
    restored = prepared.restore(prepared.image.transpose(1, 0, 2, 3), nearest=False)
    np.testing.assert_allclose(rows_first(restored[0]), grey, rtol=1e-6)


def test_resizing_keeps_rows_and_columns_in_place(picture):
    case, grey, mask = picture
    prepared = apply(case, "resize", (30, 50))
    np.testing.assert_array_equal(prepared.label[0], mask[1::2, 1::2])
    expected = np.asarray(
        Image.fromarray(grey.astype(np.float32)).resize((50, 30), Image.Resampling.BILINEAR)
    )
    np.testing.assert_allclose(prepared.image[0, 0], expected, atol=1e-3)
    labels = prepared.restore(prepared.label[None], nearest=True)[0]
    np.testing.assert_array_equal(rows_first(labels), mask)  # its edges lie on even rows and columns
    chances = prepared.restore(prepared.label[None].astype(np.float32), nearest=False)[0]
    np.testing.assert_array_equal(rows_first(chances) >= 0.5, mask)


@pytest.mark.parametrize("size", [(17, 90), (128, 128), (91, 33)])
def test_resizing_to_another_shape_and_back_leaves_nearly_the_mask(picture, size):
    case, _, mask = picture
    prepared = apply(case, "resize", size)
    assert prepared.label.shape == (1, *size)
    back = rows_first(prepared.restore(prepared.label[None].astype(np.float32), nearest=False)[0]) >= 0.5
    assert back.shape == mask.shape
    assert (back & mask).sum() / (back | mask).sum() > 0.8


@given(height=sides, width=sides, size=tiles)
@settings(max_examples=40, deadline=None)
def test_stretched_pictures_are_those_of_pillow(height, width, size):
    """Both follow the triangle filter, widened where a side shrinks."""
    grey = np.random.default_rng(0).normal(size=(height, width)).astype(np.float32)
    fitting = fitted("resize", size, AXES["axial"].volume_size((height, width), 1))
    volume = AXES["axial"].stack(grey[None])
    found = fitting.image(volume[None], "constant")[0, 0]
    expected = Image.fromarray(grey).resize(size[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_allclose(found, np.asarray(expected), atol=1e-5)
    back = AXES["axial"].cut(fitting.undo(found[None, None], nearest=False))[0, 0]
    expected = Image.fromarray(found).resize((width, height), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(back, np.asarray(expected), atol=1e-5)


def test_shrinking_by_two_loses_no_thin_line():
    """Without smoothing every second line would vanish; with it the mean stays."""
    volume = np.zeros((1, 40, 60, 1), dtype=np.float32)
    volume[0, 7, 4:50, 0], volume[0, 5:30, 21, 0] = 1, 1
    small = fitted("resize", (30, 20), (40, 60, 1)).image(volume, "constant")
    assert small.shape == (1, 1, 30, 20)
    assert small.mean() == pytest.approx(volume.mean(), rel=1e-5)


@given(height=sides, width=sides, size=tiles, values=st.lists(st.integers(0, 255), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_stretched_labels_hold_only_values_that_occur_each_where_it_was(height, width, size, values):
    label = np.random.default_rng(1).choice(np.array(values, dtype=np.uint8), (height, width))
    fitting = fitted("resize", size, AXES["axial"].volume_size((height, width), 1))
    found = fitting.label(AXES["axial"].stack(label[None]))[0]
    assert found.dtype == label.dtype
    for row in range(size[0]):
        for column in range(size[1]):
            # the pixel under the middle of the new one
            y, x = ((2 * row + 1) * height) // (2 * size[0]), ((2 * column + 1) * width) // (2 * size[1])
            assert found[row, column] == label[y, x]
    back = AXES["axial"].cut(fitting.undo(found[None, None], nearest=True))[0, 0]
    assert back.shape == label.shape
    assert set(np.unique(back)) <= set(values)


def places(fitting, height, width, size):
    """Where each tile begins, found by cutting a map of the pixels' own numbers; padding is 0."""
    numbers = np.arange(1, height * width + 1, dtype=np.int64).reshape(1, height, width)
    tiles = fitting.label(AXES["axial"].stack(numbers))
    # rows and columns run against their axes, so that of an odd border the larger half comes first
    missing = [max(0, side - length) for side, length in zip(size, (height, width), strict=True)]
    top, left = (each - each // 2 for each in missing)
    found = []
    for tile in tiles:
        row, column = np.argwhere(tile)[0]
        y, x = divmod(int(tile[row, column]) - 1, width)
        found.append((y - row + top, x - column + left))
    return found, tiles


@given(height=sides, width=sides, size=tiles, overlap=st.floats(0, 0.9))
@settings(max_examples=60, deadline=None)
def test_tiles_cover_every_pixel_and_overlap_at_least_as_said(height, width, size, overlap):
    fitting = fitted("tile", size, (width, height, 1), overlap=overlap)
    begins, tiles = places(fitting, height, width, size)
    assert fitting.count(1) == len(tiles)
    assert not fitting.crops
    np.testing.assert_array_equal(np.unique(tiles[tiles > 0]), np.arange(1, height * width + 1))
    for along, length in enumerate((height, width)):
        starts = sorted({begin[along] for begin in begins})
        assert starts[0] == 0
        assert starts[-1] == max(length, size[along]) - size[along]
        shared = [size[along] - (b - a) for a, b in pairwise(starts)]
        assert all(each >= min(overlap * size[along], size[along] - 1) - 1e-9 for each in shared)
        # no more of them than the overlap asks for
        step = max(1, int(size[along] * (1 - overlap)))
        assert len(starts) == 1 + int(np.ceil((max(length, size[along]) - size[along]) / step))


@given(
    shape=st.tuples(st.integers(3, 20), st.integers(3, 20), st.integers(1, 4)).flatmap(st.permutations),
    size=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    overlap=st.floats(0, 0.9),
    axis=st.sampled_from(list(AXES)),
)
@settings(max_examples=60, deadline=None)
def test_tiles_of_a_volume_come_back_exactly_along_every_axis(shape, size, overlap, axis):
    random = np.random.default_rng(2)
    label = random.integers(0, 5, shape).astype(np.uint8)
    fitting = fitted("tile", size, tuple(shape), overlap=overlap, axis=axis)
    tiles = fitting.label(label)
    assert tiles.shape == (fitting.count(shape[AXES[axis].along]), *size)
    back = fitting.undo(tiles[:, None], nearest=True)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back[0], label)
    image = random.normal(size=(2, *shape)).astype(np.float32)
    restored = fitting.undo(fitting.image(image, "edge"), nearest=False)
    np.testing.assert_allclose(restored, image, rtol=1e-4, atol=1e-6)


@given(height=sides, width=sides, size=tiles, overlap=st.floats(0, 0.9), value=st.floats(0, 1, width=32))
@settings(max_examples=40, deadline=None)
def test_averaging_a_constant_gives_it_and_never_more_than_one(height, width, size, overlap, value):
    fitting = fitted("tile", size, (width, height, 1), overlap=overlap)
    constant = np.full((fitting.count(1), 2, *size), value, dtype=np.float32)
    constant[:, 1] = 1
    found = fitting.undo(constant, nearest=False)
    assert found.shape == (2, width, height, 1)
    np.testing.assert_allclose(found[0], value, rtol=1e-5, atol=1e-30)
    np.testing.assert_array_equal(found[1], 1)


@given(height=sides, width=sides, size=tiles, overlap=st.floats(0, 0.8))
@settings(max_examples=40, deadline=None)
def test_an_average_weighs_every_tile_of_a_pixel_above_zero(height, width, size, overlap):
    """Tile by tile a map of ones among zeros: what comes back are the weights, which add up to one."""
    fitting = fitted("tile", size, (width, height, 1), overlap=overlap)
    _, tiles = places(fitting, height, width, size)
    count = len(tiles)
    weights = fitting.undo(
        np.broadcast_to(np.eye(count, dtype=np.float32)[:, :, None, None], (count, count, *size)).copy(),
        nearest=False,
    )
    numbers = np.arange(1, height * width + 1).reshape(1, height, width)
    seen = np.stack([np.isin(AXES["axial"].stack(numbers), tile) for tile in tiles])
    np.testing.assert_array_equal(weights > 0, seen)
    np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=1e-5)


def test_where_tiles_overlap_the_label_is_that_of_the_tile_in_whose_middle_a_pixel_lies():
    height, width, size = 21, 34, (12, 12)
    fitting = fitted("tile", size, (width, height, 1), overlap=0.5)
    begins, tiles = places(fitting, height, width, size)
    named = np.broadcast_to(
        np.arange(len(tiles), dtype=np.uint8)[:, None, None, None], (len(tiles), 1, *size)
    )
    chosen = AXES["axial"].cut(fitting.undo(named, nearest=True))[0, 0]

    def depth(tile, row, column):
        y, x = row - begins[tile][0], column - begins[tile][1]
        return min(y, size[0] - 1 - y, x, size[1] - 1 - x)  # below 0 outside the tile

    for row in range(height):
        for column in range(width):
            deepest = max(depth(tile, row, column) for tile in range(len(tiles)))
            assert depth(chosen[row, column], row, column) == deepest


@pytest.mark.parametrize("fit", ["tile", "resize", "pad"])
def test_a_plan_counts_the_slices_exactly(tmp_path, fit):
    """In tiles of 24x40 that share a quarter, 60x100 makes 3 rows of 3, and 30x41 makes 2 of 2."""
    sizes = {"a": (60, 100), "b": (24, 40), "c": (30, 41)}
    cases = []
    for number, (name, size) in enumerate(sizes.items(), start=1):
        grey = np.random.default_rng(number).integers(0, 255, size).astype(np.uint8)
        image = write_picture(tmp_path / f"{name}.png", grey)
        mask = write_picture(tmp_path / f"{name}_mask.png", np.where(grey > 99, 255, 0).astype(np.uint8))
        cases.append(Case(name, name, {"grey": image}, mask, position=number))
    split = Split("group", 1, {}, {case.id: case.id for case in cases}, dict.fromkeys(sizes, "train"))
    rule = SliceRule(size=(24, 40), fit=fit, keep={"contains": "all"})
    given = (cases, split, Preparation(("grey",), rule, files=GREY), LABELS)
    more = {"regions": {}, "seed": 1, "root": tmp_path / "stores"}
    planned = plan(*given, **more)
    store = prepare(*given, **more)
    assert planned.exact
    assert planned.slices == len(store.samples)
    assert planned.bytes == store.nbytes("train")
    counts = {name: sum(sample.case == name for sample in store.samples) for name in sizes}
    assert counts == ({"a": 9, "b": 1, "c": 4} if fit == "tile" else dict.fromkeys(sizes, 1))
    assert [sample.position for sample in store.samples if sample.case == "a"] == list(range(counts["a"]))


def test_a_truth_of_tiles_lies_where_its_tile_was_cut(tmp_path, picture):
    """The tiles of the picture hold what tells row and column, and the mask is brighter by 80 there."""
    case, _, mask = picture
    prepared = apply(case, "tile", (16, 24), overlap=0.3)
    rows, columns = np.mgrid[:60, :100]
    plain = rows + columns
    found = 0
    for image, label in zip(prepared.image[:, 0], prepared.label, strict=True):
        flat = image - 80 * label
        np.testing.assert_array_equal(flat - flat[0, 0], np.add.outer(np.arange(16), np.arange(24)))
        assert flat[0, 0] in plain
        found += int(label.sum())
    assert found >= mask.sum()


def test_colours_come_as_three_planes_in_order(tmp_path):
    rows, columns = np.mgrid[:60, :100]
    colours = np.stack([rows, columns, 2 * rows], axis=-1).astype(np.uint8)
    path = write_picture(tmp_path / "a.png", colours)
    case = Case("a", "a", dict.fromkeys(RGB.planes, path), position=1)
    volume = read_volume(case, ("blue", "red"), None, files=RGB)
    prepared = Preparation(("blue", "red"), SliceRule(size=(60, 100)), files=RGB).apply(volume)
    np.testing.assert_array_equal(prepared.image[0, 0], 2 * rows)
    np.testing.assert_array_equal(prepared.image[0, 1], rows)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("fit", list(FITTINGS))
def test_a_picture_of_one_row_or_column_goes_through_and_comes_back(tmp_path, fit, height, width):
    grey = np.random.default_rng(4).integers(1, 255, (height, width)).astype(np.uint8)
    case = Case("a", "a", {"grey": write_picture(tmp_path / "a.png", grey)}, position=1)
    volume = read_volume(case, ("grey",), None, files=GREY)
    prepared = Preparation(("grey",), SliceRule(size=(18, 18), fit=fit), files=GREY).apply(volume)
    assert prepared.image.shape == (1, 1, 18, 18)
    restored = rows_first(prepared.restore(prepared.image.transpose(1, 0, 2, 3), nearest=False)[0])
    assert restored.shape == (height, width)
    if fit != "resize":
        np.testing.assert_array_equal(restored, grey)
    elif height == width == 1:
        np.testing.assert_allclose(restored, grey)
