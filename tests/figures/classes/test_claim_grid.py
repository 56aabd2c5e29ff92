from __future__ import annotations

import numpy as np
import pytest

from medseg.figures.classes.claim import Claim
from medseg.figures.classes.claim_grid import claim_grid

NAN = float("nan")
GREY = np.random.default_rng(1).normal(size=(20, 24))
COLOURS = np.random.default_rng(2).integers(0, 256, (24, 20, 3))


def claims(count):
    return [Claim(GREY + place, f"class {place}", "other", place / 100) for place in range(count)]


def texts(figure):
    return [text.get_text() for text in figure.texts]


def corners(figure):
    """Left and upper edge of each picture, in hundredths of an inch."""
    width, height = figure.get_size_inches()
    boxes = [axes.get_position(original=True) for axes in figure.axes]
    return [(round(100 * box.x0 * width), round(100 * box.y1 * height)) for box in boxes]


@pytest.mark.parametrize(("count", "columns"), [(1, 4), (4, 4), (7, 4), (5, 2), (3, 1)])
def test_pictures_stand_in_rows_in_the_order_given(count, columns):
    figure = claim_grid(claims(count), columns=columns)
    assert texts(figure) == [f"class {place} → other, {place / 100:.3f}" for place in range(count)]
    found = corners(figure)
    assert found == sorted(found, key=lambda corner: (-corner[1], corner[0]))
    across = min(columns, count)
    assert len({left for left, _ in found}) == across
    assert [list(found).index(corner) // across for corner in found] == [
        place // across for place in range(count)
    ]
    assert len({up for _, up in found}) == -(-count // across)


def test_heading_and_note_stand_above_and_a_bare_claim_is_its_class_alone():
    made = [Claim(GREY, "cat", "", NAN), Claim(COLOURS, "", "dog", 0.5), Claim(GREY, "", "", NAN)]
    figure = claim_grid(made, heading="data $x$", note="3 of 9")
    assert texts(figure) == ["data $x$", "3 of 9", "cat", "predicted: dog, 0.500", ""]
    assert texts(claim_grid(made, note="3 of 9"))[0] == "3 of 9"


def test_without_pictures_that_is_said():
    figure = claim_grid([], heading="data")
    figure.draw_without_rendering()
    assert texts(figure) == ["data", "no pictures"]
    assert texts(claim_grid([], empty="nothing")) == ["nothing"]
    assert not figure.axes


def test_pictures_are_shown_whole_and_in_their_own_shape():
    shapes = [(20, 24), (90, 10), (8, 200), (1, 1)]
    figure = claim_grid([Claim(np.zeros(shape), "a", "b", 1.0) for shape in shapes])
    figure.draw_without_rendering()
    for axes, (height, width) in zip(figure.axes, shapes, strict=True):
        assert sorted(axes.get_xlim()) == [0, width]
        assert sorted(axes.get_ylim()) == [0, height]
        box = axes.get_window_extent()
        assert box.height / box.width == pytest.approx(height / width, rel=1e-6)


@pytest.mark.parametrize("columns", [1, 3])
def test_nothing_overlaps_and_nothing_is_cut(columns):
    made = [
        Claim(np.full(shape, 7), "é $a_b$ 猫" * (1 + 9 * place), "y" * 60 * place, 0.5)
        for place, shape in enumerate([(20, 24), (90, 10), (8, 200, 3), (20, 24)])
    ]
    figure = claim_grid(made, columns=columns, heading="é $x$ 猫 " * 40, note="z" * 300)
    figure.draw_without_rendering()
    boxes = [part.get_window_extent() for part in (*figure.texts, *figure.axes)]
    for place, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not box.count_overlaps(boxes[place + 1 :])


def test_no_columns_are_refused():
    with pytest.raises(ValueError, match="0 columns; expected 1 or more"):
        claim_grid(claims(1), columns=0)
