from __future__ import annotations

import numpy as np
import pytest

from medseg.figures.bland_altman import bland_altman, limits_of_agreement

TRUTH, FIRST, SECOND = np.array([10.0, 20.0, 30.0]), np.array([12.0, 19.0, 33.0]), np.array([9.0, 18.0, 30.0])


def drawn(amounts=None):
    amounts = {"oedema": (TRUTH, (FIRST, SECOND))} if amounts is None else amounts
    return bland_altman(amounts, sides=("A", "B"), unit="mL", heading="Volumes")


def test_limits_are_mean_and_196_standard_deviations():
    off = FIRST - TRUTH
    mean, low, high = limits_of_agreement(off)
    assert mean == pytest.approx(4 / 3)
    assert (high - mean, mean - low) == pytest.approx((1.96 * np.std(off, ddof=1),) * 2)
    assert np.isnan(limits_of_agreement(off[:1])[1:]).all()
    assert np.isnan(limits_of_agreement(off[:0])).all()


def test_points_are_differences_over_means_of_truth_and_prediction():
    points = {
        line.get_label(): line.get_xydata().tolist()
        for line in drawn().axes[0].lines
        if line.get_marker() in "o^"
    }
    assert points["A"] == [[11.0, 2.0], [19.5, -1.0], [31.5, 3.0]]
    assert points["B"] == [[9.5, -1.0], [19.0, -2.0], [30.0, 0.0]]


def test_lines_are_those_of_the_limits_and_the_unit_is_said():
    axes = drawn().axes[0]
    levels = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "None"]
    assert set(limits_of_agreement(FIRST - TRUTH)) | set(limits_of_agreement(SECOND - TRUTH)) | {0} == set(
        levels
    )
    assert axes.get_ylabel() == "predicted - true (mL)"


def test_patients_without_an_amount_are_left_out():
    truth = np.array([10.0, np.nan, 30.0])
    (axes,) = drawn({"oedema": (truth, (FIRST, SECOND))}).axes
    assert [len(line.get_xdata()) for line in axes.lines if line.get_marker() in "o^"] == [2, 2]


def test_without_a_panel_there_is_no_figure():
    with pytest.raises(ValueError, match="at least one"):
        drawn({})
