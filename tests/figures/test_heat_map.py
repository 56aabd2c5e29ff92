from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps
from scipy.ndimage import zoom

from medseg.figures.heat_map import HeatView, heat_maps, heat_overlay

GREY = np.random.default_rng(1).normal(size=(20, 24))
COLOURS = np.random.default_rng(2).integers(0, 256, (24, 20, 3))
HEAT = np.linspace(0, 1, 12).reshape(3, 4)


def view(image=GREY, heat=HEAT, truth="cat", predicted="dog", probability=0.9):
    return HeatView(image, truth, predicted, probability, heat)


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_hits_stand_on_the_left_and_misses_on_the_right_each_with_its_heat_beside_it():
    figure = heat_maps([view(predicted="cat"), view(predicted="cat")], [view()], heading="test")
    figure.draw_without_rendering()
    assert texts(figure) == [
        "test",
        "hits",
        "cat → cat, 0.900",
        "cat → cat, 0.900",
        "misses",
        "cat → dog, 0.900",
    ]
    *cells, bar = figure.axes
    assert len(cells) == 6
    assert [np.asarray(axes.images[0].get_array()).ndim for axes in cells] == [2, 3] * 3
    lefts = [axes.get_position().x0 for axes in cells]
    assert lefts[:2] == pytest.approx(lefts[2:4])
    assert max(lefts[:4]) < 0.5 < min(lefts[4:])
    assert [tick.get_text() for tick in bar.get_xticklabels()] == [
        "0: least",
        "0.5",
        "1: most of this picture",
    ]


@pytest.mark.parametrize(
    ("hits", "misses", "said"), [(1, 0, ["no misses"]), (0, 1, ["no hits"]), (0, 0, None)]
)
def test_a_side_without_pictures_says_so(hits, misses, said):
    figure = heat_maps([view()] * hits, [view()] * misses)
    figure.draw_without_rendering()
    assert [text for text in texts(figure) if text.startswith("no ")] == (said or ["no hits", "no misses"])


def test_heat_without_a_place_says_so():
    blank = heat_maps([view(heat=np.zeros((3, 3)))], []).axes[1]
    assert [text.get_text() for text in blank.texts] == ["no place stands out"]
    assert not heat_maps([view()], []).axes[1].texts


def test_heat_is_mixed_into_the_picture_in_the_colours_of_the_bar():
    picture = np.array([[0, 100], [200, 255]], np.uint8)
    heat = np.array([[0.0, 0.25], [0.5, 1.0]])
    tints = 255 * colormaps["inferno"](heat)[..., :3]
    expected = 0.45 * picture[..., None] + 0.55 * tints
    assert np.abs(heat_overlay(picture, heat) - expected).max() <= 0.5
    colours = np.repeat(picture[..., None], 3, axis=2)
    assert np.array_equal(heat_overlay(colours, heat), heat_overlay(picture, heat))


def test_heat_of_a_coarser_grid_is_drawn_out_bilinearly_over_the_whole_picture():
    heat = np.random.default_rng(4).random((3, 4))
    wide = np.clip(zoom(heat, (6, 5), order=1, mode="nearest", grid_mode=True), 0, 1)
    blank = np.zeros((18, 20), np.uint8)
    assert np.abs(heat_overlay(blank, heat).astype(int) - heat_overlay(blank, wide)).max() <= 2
    assert np.array_equal(heat_overlay(blank, wide), heat_overlay(blank, wide.astype(np.float32)))


def test_pictures_of_colour_keep_them():
    figure = heat_maps([view(image=COLOURS)], [])
    assert np.array_equal(figure.axes[0].images[0].get_array(), COLOURS)


@pytest.mark.parametrize("rows", [1, 4])
def test_nothing_overlaps_and_nothing_is_cut(rows):
    shapes = [(20, 24), (90, 10), (8, 200, 3)]
    views = [
        view(np.full(shapes[place % 3], 7), truth="é $a_b$ 猫" * (1 + 9 * place), predicted="y" * 60 * place)
        for place in range(rows)
    ]
    figure = heat_maps(views, views[1:], heading="é $x$ 猫 " * 40)
    figure.draw_without_rendering()
    boxes = [part.get_window_extent() for part in (*figure.texts, *figure.axes)]
    for place, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not box.count_overlaps(boxes[place + 1 :])
    bar = figure.axes[-1].get_tightbbox()
    assert bar.y0 >= 0
    assert not bar.count_overlaps(boxes[:-1])


@pytest.mark.parametrize(
    "heat", [np.zeros((2, 2, 1)), np.zeros((0, 2)), np.full((2, 2), 1.1), np.full((2, 2), np.nan)]
)
def test_heat_that_cannot_be_is_refused(heat):
    with pytest.raises(ValueError, match=r"expected \(h, w\), all of it in 0..1"):
        view(heat=heat)
    with pytest.raises(ValueError, match=r"expected \(h, w\), all of it in 0..1"):
        heat_overlay(np.zeros((4, 4)), heat)


@pytest.mark.parametrize("image", [np.zeros((2, 2, 4)), np.full((2, 2), 256.0), np.full((2, 2), np.nan)])
def test_pictures_that_cannot_be_are_refused(image):
    with pytest.raises(ValueError, match="expected"):
        heat_overlay(image, HEAT)
