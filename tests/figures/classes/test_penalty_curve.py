from __future__ import annotations

import io

import numpy as np
import pytest

from medseg.figures.classes.penalty_curve import penalty_curve

STRENGTHS, LOSSES = np.array([0.01, 0.1, 1.0]), np.array([0.6, 0.4, 90.0])


def draw(**changes):
    given = {"chosen": 0.1, "chance": 0.69, "heading": "5 folds"} | changes
    return penalty_curve(STRENGTHS, LOSSES, np.array([0.05, 0.04, 9.0]), **given)


def test_the_curve_its_chosen_point_and_chance_are_drawn():
    figure = draw()
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == [
        "mean of the folds",
        "± standard error",
        "chosen, C = 0.1: 0.4000",
        "frequencies alone: 0.6900",
    ]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), np.stack([STRENGTHS, LOSSES], axis=1))
    assert (axes.get_xscale(), axes.get_title()) == ("log", "5 folds")
    figure.savefig(io.BytesIO())


def test_a_loss_without_bounds_does_not_flatten_what_counts():
    assert draw().axes[0].get_ylim()[1] < 2


def test_a_c_that_was_not_tried_is_refused():
    with pytest.raises(ValueError, match="one of the C"):
        draw(chosen=5.0)
