from __future__ import annotations

import io

import numpy as np
import pytest

from medseg.figures.threshold_curve import telling, threshold_curve

NAN = float("nan")
COARSE = [(0.0, 0.2), (0.5, 0.6), (1.0, NAN)]
CURVE = [(0.9, 0.1), (0.1, 0.3), (0.4, 0.8), (0.6, NAN)]


def draw(coarse=COARSE, curve=CURVE, **changes):
    told = {"chosen": 0.4, "value": 0.8, "value_at_half": 0.6, "score_name": "F1", "heading": "validation"}
    return threshold_curve(coarse, curve, **(told | changes))


def line(figure, label):
    (found,) = [one for one in figure.axes[0].lines if one.get_label() == label]
    return [(float(x), float(y)) for x, y in zip(found.get_xdata(), found.get_ydata(), strict=True)]


def test_both_searches_are_drawn_in_order_without_what_is_undefined():
    figure = draw()
    figure.draw_without_rendering()
    assert line(figure, "first search") == COARSE[:2]
    assert line(figure, "all distinct probabilities") == [(0.1, 0.3), (0.4, 0.8), (0.9, 0.1)]
    assert (figure.axes[0].get_ylabel(), figure.axes[0].get_title()) == ("F1", "validation")


def test_the_chosen_threshold_and_a_half_are_marked_with_their_scores():
    figure = draw()
    assert line(figure, "chosen, 0.4: 0.8000") == [(0.4, 0.8)]
    assert line(figure, "at 0.5: 0.6000") == [(0.5, 0.6)]


def test_what_is_undefined_everywhere_is_said():
    figure = draw([(0.5, NAN)], [], chosen=NAN, value=NAN, value_at_half=NAN)
    figure.draw_without_rendering()
    assert not figure.axes[0].lines
    assert [text.get_text() for text in figure.axes[0].texts] == ["undefined at every threshold"]


def test_scores_beyond_zero_and_one_are_seen():
    bottom, top = draw(curve=[(0.2, -0.5), (0.3, 1.5)]).axes[0].get_ylim()
    assert bottom < -0.5
    assert top > 1.5


@pytest.mark.parametrize("chosen", [-0.1, 1.1])
def test_thresholds_that_are_no_probabilities_are_refused(chosen):
    with pytest.raises(ValueError, match=r"expected them in \[0, 1\]"):
        draw(chosen=chosen)


def test_a_title_of_any_length_and_signs_stays_on_the_figure():
    figure = draw(heading="é $a_b$ \\frac " * 20, score_name="mean $F_1$ \\x \U0010fffd")
    figure.savefig(io.BytesIO())  # a letter that is missing is a warning, and so an error
    assert figure.axes[0].get_ylabel() == "mean $F_1$ \\x [U+10FFFD]"
    parts = (figure.axes[0].title, figure.axes[0].yaxis.label, figure.axes[0].get_legend())
    for part in parts:
        box = part.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


def test_a_curve_of_many_points_is_thinned_without_being_seen():
    across = np.sort(np.random.default_rng(1).random(200_000))
    up = np.where(across < 0.5, across**2, 1 - across)
    keep = telling(across, up)
    assert len(keep) < 6000
    assert (keep[0], keep[-1]) == (0, len(across) - 1)
    assert np.all(np.diff(keep) > 0)
    assert np.abs(np.interp(across, across[keep], up[keep]) - up).max() < 2e-3


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_few_points_are_all_kept(number):
    places = np.arange(number) / 4
    assert telling(places, places).tolist() == list(range(number))
