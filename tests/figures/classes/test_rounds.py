from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from medseg.figures.classes.probability_histograms import probability_histograms
from medseg.figures.classes.rounds import rounds_figure

ROUNDS = pd.DataFrame(
    {
        "round": [0, 1, 2],
        "unlabelled": [None, 20, 20],
        "accepted_a": [None, 4, 9],
        "accepted_b": [None, 3, 0],
        "precision_of_accepted": [None, 0.9, None],
        "score": [0.7, 0.8, None],
        "calibration_error": [0.1, 0.5, None],
    }
)


def test_rounds_show_what_was_accepted_the_best_and_where_it_ends():
    figure = rounds_figure(ROUNDS, ("a", "b"), best=1, stop_calibration=0.6, heading="as it was")
    accepted, scores, errors = figure.axes
    assert [bar.get_height() for bar in accepted.patches] == [4, 9, 3, 0]
    assert [bar.get_y() for bar in accepted.patches] == [0, 0, 4, 9]
    curve, star, right = scores.lines
    assert list(curve.get_ydata()) == [0.7, 0.8]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (1, 0.8)
    assert list(right.get_ydata()) == [0.9]
    assert any(list(line.get_ydata()) == [0.6, 0.6] for line in errors.lines)
    assert figure.get_suptitle() == "as it was"


def test_a_limit_far_above_does_not_flatten_the_curve():
    low = ROUNDS.assign(calibration_error=[0.05, 0.06, None])
    errors = rounds_figure(low, ("a", "b"), best=0, stop_calibration=0.6).axes[2]
    assert len(errors.lines) == 1
    assert errors.get_ylim()[1] < 0.1


def test_histograms_count_every_image_and_mark_where_acceptance_begins():
    rng = np.random.default_rng(0)
    tables = {
        number: pd.DataFrame({"label": rng.choice(["a", "b"], 30), "probability": rng.uniform(0.5, 1, 30)})
        for number in (1, 2)
    }
    named = {1: "round 1", 2: "round 2"}
    figure = probability_histograms(tables, ("a", "b"), {1: 0.7, 2: None}, named=named)
    first, second = figure.axes
    for axes in (first, second):
        assert sum(bar.get_height() for bar in axes.patches) == 30
    assert list(first.lines[0].get_xdata()) == [0.7, 0.7]
    assert not second.lines
    assert [axes.get_title() for axes in (first, second)] == ["round 1", "round 2"]


def test_no_round_is_no_histogram():
    with pytest.raises(ValueError, match="at least one round"):
        probability_histograms({}, ("a", "b"), {}, named={})
