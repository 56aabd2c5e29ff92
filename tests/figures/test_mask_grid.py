from __future__ import annotations

import numpy as np
import pytest

from medseg.figures.mask_grid import MOST_PIXELS, MaskView, mask_grid, shrunk, shrunk_mask
from medseg.figures.palette import colours


def view(title="particle", shape=(20, 30), *, truth=True, colour=False):
    random = np.random.default_rng(1)
    image = random.integers(256, size=(*shape, 3)).astype(np.uint8) if colour else random.random(shape)
    mask = np.zeros(shape, bool)
    mask[: shape[0] // 2, : shape[1] // 3] = True
    return MaskView(title, image, mask, mask[::-1] if truth else None)


def shown(axes):
    return np.asarray(axes.images[0].get_array())


def labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize(("number", "columns"), [(1, 3), (2, 3), (5, 3), (9, 3), (4, 1)])
def test_there_is_one_cell_a_view_and_none_besides(number, columns):
    figure = mask_grid([view(f"v{one}") for one in range(number)], columns=columns, heading="test")
    figure.draw_without_rendering()
    assert len(figure.axes) == number
    assert [text.get_text() for text in figure.texts] == ["test", *(f"v{one}" for one in range(number))]
    assert len({round(axes.get_position().x0, 6) for axes in figure.axes}) == min(number, columns)
    assert not any(axes.axison for axes in figure.axes)


def test_the_mask_is_tinted_and_the_rest_left_as_it_is():
    image = np.full((12, 12, 3), (10, 20, 200), np.uint8)
    mask = np.zeros((12, 12), bool)
    mask[2:5, 3:9] = True
    picture = shown(mask_grid([MaskView("", image, mask)]).axes[0])
    assert (picture[~mask] == (10, 20, 200)).all()
    halfway = (np.array((10, 20, 200)) + colours(2)[1].astype(int)) / 2
    assert np.abs(picture[mask] - halfway).max() <= 1


def test_the_truth_is_outlined_where_it_is_given():
    bare, outlined = mask_grid([view(truth=False)]), mask_grid([view(truth=False), view()])
    assert labels(bare) == ["predicted mask"]
    assert labels(outlined) == ["predicted mask", "outline of the truth"]
    assert [len(axes.collections) for axes in outlined.axes] == [0, 1]


@pytest.mark.parametrize("shape", [(40, 60), (1500, 60)])
def test_the_outline_runs_along_the_edge_of_the_truth_in_pixels_of_the_image(shape):
    truth = np.zeros(shape, bool)
    truth[shape[0] // 4 : shape[0] // 2, 30:] = True
    axes = mask_grid([MaskView("", np.zeros(shape), ~truth, truth)]).axes[0]
    points = np.concatenate([path.vertices for path in axes.collections[0].get_paths()])
    slack = 1 + shape[0] / MOST_PIXELS
    assert points.min(axis=0) == pytest.approx((30, shape[0] // 4), abs=slack)
    assert points.max(axis=0) == pytest.approx((60, shape[0] // 2), abs=slack)


@pytest.mark.parametrize("filled", [False, True])
def test_empty_and_full_masks_are_drawn(filled):
    mask = np.full((9, 9), filled)
    figure = mask_grid([MaskView("", np.ones((9, 9)), mask, mask)])
    figure.draw_without_rendering()
    assert (len(figure.axes[0].lines) + len(figure.axes[0].collections) > 0) is filled


@pytest.mark.parametrize("shape", [(3, 3), (20, 30), (30, 20), (10, 900), (900, 10), (1500, 2000)])
def test_pictures_keep_their_shape_in_cells_of_one_size(shape):
    figure = mask_grid([view(shape=shape), view(shape=(20, 20))])
    figure.draw_without_rendering()
    box = figure.axes[0].get_window_extent()
    assert box.height / box.width == pytest.approx(shape[0] / shape[1], rel=0.02)
    cells = [axes.get_position(original=True) for axes in figure.axes]
    assert cells[0].width == pytest.approx(cells[1].width)
    assert cells[0].height == pytest.approx(cells[1].height)


def test_large_pictures_are_shown_smaller_with_mask_and_image_in_step():
    mask = np.zeros((2000, 1001), bool)
    mask[601:1400, 300:700] = True
    small = shrunk(np.where(mask, 200.0, 10.0) + np.random.default_rng(3).random(mask.shape))
    assert max(small.shape) <= MOST_PIXELS
    assert small.shape == shrunk_mask(mask).shape
    # a block is averaged over three rows and two columns, and its mask is that of its middle
    assert np.array_equal(shrunk_mask(mask), np.pad(mask, ((0, 1), (0, 1)), mode="edge")[1::3, 1::2])
    assert np.array_equal(small > 127, shrunk_mask(mask))
    assert set(np.unique(shrunk_mask(np.arange(1500)[:, None] % 7))) <= set(range(7))


def test_a_picture_that_is_grey_in_three_channels_is_brought_to_light_and_colours_are_kept():
    dark = np.repeat(np.random.default_rng(2).integers(20, size=(16, 16, 1)), 3, axis=2).astype(np.uint8)
    assert shrunk(dark).shape == (16, 16)
    assert shrunk(dark).max() == 255
    dark[0, 0] = (3, 4, 5)
    assert np.array_equal(shrunk(dark), dark)


def test_long_titles_are_shortened_in_the_middle_and_nothing_overlaps_or_is_cut():
    name = "é $a_b$ \\frac " * 12
    views = [view(f"{name} 0.87", colour=bool(one % 2)) for one in range(7)]
    figure = mask_grid(views, heading=name * 3)
    figure.draw_without_rendering()
    parts = [*figure.axes, *figure.texts, *figure.legends]
    boxes = [part.get_window_extent().padded(-0.5) for part in parts]
    for number, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not box.count_overlaps(boxes[number + 1 :])
    said = figure.texts[1].get_text()
    assert said.startswith("é $a_b$")
    assert said.endswith(" 0.87")
    assert "…" in said


@pytest.mark.parametrize(
    ("image", "mask", "expected"),
    [
        (np.zeros((4, 5, 4)), np.zeros((4, 5), bool), "expected \\(H, W\\) or"),
        (np.zeros(4), np.zeros(4, bool), "expected \\(H, W\\) or"),
        (np.zeros((0, 5)), np.zeros((0, 5), bool), "expected \\(H, W\\) or"),
        (np.zeros((4, 5)), np.zeros((5, 4), bool), "mask is \\(5, 4\\)"),
        (np.zeros((4, 5)), np.zeros((4, 5), np.uint8), "expected bool"),
        (np.full((4, 5, 3), 300), np.zeros((4, 5), bool), "expected 0..255"),
        (np.full((4, 5, 3), np.nan), np.zeros((4, 5), bool), "expected 0..255"),
    ],
)
def test_what_does_not_fit_is_refused(image, mask, expected):
    with pytest.raises(ValueError, match=expected):
        MaskView("odd", image, mask)


def test_a_truth_of_another_size_is_refused():
    with pytest.raises(ValueError, match="truth is"):
        MaskView("odd", np.zeros((4, 5)), np.zeros((4, 5), bool), np.zeros((4, 4), bool))


@pytest.mark.parametrize(("views", "columns"), [([], 3), ([view()], 0)])
def test_a_grid_of_nothing_is_refused(views, columns):
    with pytest.raises(ValueError, match="at least one view"):
        mask_grid(views, columns=columns)


def test_pixels_that_nobody_annotated_are_hatched_and_the_legend_says_so():
    known = np.ones((20, 30), dtype=bool)
    known[:, 15:] = False
    mask, image = np.ones((20, 30), dtype=bool), np.full((20, 30, 3), 128.0)
    figure = mask_grid([MaskView("a", image, mask, mask, known)])

    hatched = shown(figure.axes[0])[:, 15:]
    assert (hatched == hatched[..., :1]).all()
    assert len(np.unique(hatched)) == 2
    assert "not annotated" in labels(figure)
