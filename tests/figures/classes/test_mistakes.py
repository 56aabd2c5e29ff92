from __future__ import annotations

import io

import numpy as np
import pytest

from medseg.figures.classes.claim import Claim
from medseg.figures.classes.mistakes import mistake_grid

NAN = float("nan")
GREY = np.random.default_rng(1).normal(size=(20, 24))
COLOURS = np.random.default_rng(2).integers(0, 256, (24, 20, 3))


def claims(number):
    random = np.random.default_rng(3)
    return [
        Claim(GREY, f"true {place}", f"other {place}", probability)
        for place, probability in enumerate(random.uniform(0.3, 1, number))
    ]


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_the_surest_come_first_with_truth_prediction_and_probability():
    made = claims(5)
    figure = mistake_grid(made, wrong=5, total=80, heading="test")
    order = sorted(made, key=lambda claim: -claim.probability)
    assert texts(figure) == [
        "test",
        "all mistakes (5) among 80 pictures, the surest first",
        *(f"{one.truth} → {one.predicted}, {one.probability:.3f}" for one in order),
    ]
    assert len(figure.axes) == 5


def test_16_are_shown_at_most_and_it_is_said_of_how_many():
    figure = mistake_grid(claims(20), wrong=1234, total=50_000)
    assert len(figure.axes) == 16
    assert texts(figure)[0] == "16 of 1,234 mistakes among 50,000 pictures, the surest first"


def test_without_mistakes_that_is_said():
    figure = mistake_grid([], wrong=0, total=1200, heading="test")
    assert texts(figure) == ["test", "No mistakes among 1,200 pictures"]
    assert texts(mistake_grid([], wrong=0, total=0)) == ["No pictures were judged"]
    figure.savefig(io.BytesIO())


def test_colour_images_are_drawn_in_their_colours_beside_grey_ones():
    figure = mistake_grid([Claim(COLOURS, "a", "b", 0.9), Claim(GREY, "b", "a", 0.8)], wrong=2, total=2)
    first, second = (np.asarray(axes.images[0].get_array()) for axes in figure.axes)
    assert np.array_equal(first, COLOURS)
    assert second.shape == GREY.shape
    assert (second.min(), second.max()) == (0, 255)


def test_an_unknown_probability_comes_last_and_is_not_written():
    made = [Claim(GREY, "a", "b", NAN), Claim(GREY, "a", "c", 0.0)]
    assert texts(mistake_grid(made, wrong=2, total=2))[1:] == ["a → c, 0.000", "a → b"]


def test_an_unknown_truth_is_not_written():
    assert texts(mistake_grid([Claim(GREY, "", "b", 0.5)], wrong=1, total=1))[1:] == ["predicted: b, 0.500"]


def test_long_names_take_two_lines_and_keep_the_probability():
    made = [Claim(GREY, "Thorax " * 9, "Hand von oben " * 9, 0.98765)]
    first, second = texts(mistake_grid(made, wrong=1, total=1))[1:]
    assert first.startswith("Thorax")
    assert first.endswith("→")
    assert second.startswith("Hand")
    assert second.endswith(", 0.988")


@pytest.mark.parametrize("heading", ["", "é $x$ 猫 " * 30])
@pytest.mark.parametrize("number", [1, 3, 16])
def test_nothing_overlaps_and_nothing_is_cut(number, heading):
    shapes = [(20, 24), (90, 10), (8, 200, 3)]
    made = [
        Claim(np.full(shapes[place % 3], 7), "é $a_b$ 猫" * (1 + place), "y" * 9 * place, 0.5)
        for place in range(number)
    ]
    figure = mistake_grid(made, wrong=40, total=90, heading=heading)
    figure.draw_without_rendering()
    boxes = [part.get_window_extent() for part in (*figure.texts, *figure.axes)]
    for place, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not box.count_overlaps(boxes[place + 1 :])


@pytest.mark.parametrize("changes", [{"wrong": 1}, {"total": 2}, {"columns": 0}])
def test_numbers_that_contradict_each_other_are_refused(changes):
    with pytest.raises(ValueError, match="expected some of the mistakes"):
        mistake_grid(claims(2), **({"wrong": 3, "total": 5} | changes))
    with pytest.raises(ValueError, match="expected some of the mistakes"):
        mistake_grid([], wrong=3, total=5)


def test_a_picture_or_a_probability_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"'a → b': the image is \(2, 2, 4\)"):
        Claim(np.zeros((2, 2, 4)), "a", "b", 0.5)
    with pytest.raises(ValueError, match=r"the probability is 1.5"):
        Claim(GREY, "a", "b", 1.5)
