"""Tests of no difference keep their level; p is that of SciPy, and corrected as Holm defined it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, wilcoxon

from medseg.learning.scores.paired.significance import SWAPS, holm, least_p, swapped_p, wilcoxon_p

PS = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.parametrize("patients", [1, 2, 5, 9, 14, 30, 80])
def test_p_is_that_of_scipy(patients: int) -> None:
    rng = np.random.default_rng(patients)
    for digits in (1, 9):  # with ties and zeros, and without
        differences = rng.normal(0.1, 1, patients).round(digits)
        assert wilcoxon_p(differences) == pytest.approx(float(wilcoxon(differences).pvalue))


def test_means_in_another_order_break_no_tie() -> None:
    differences = np.array([0.1, 0.2, 0.3, -0.3, 0.5, 0.6, 0.7])
    rounded = np.array([1e-16, 0, 5e-17, 0, 0, -1e-16, 0])
    assert wilcoxon_p(differences + rounded) == wilcoxon_p(differences)


def test_where_nothing_differs_p_is_one_and_of_nobody_there_is_none() -> None:
    assert wilcoxon_p(np.zeros(9)) == 1
    assert wilcoxon_p(np.full(9, 1e-17)) == 1
    assert np.isnan(wilcoxon_p(np.zeros(0)))


@pytest.mark.parametrize("patients", [1, 2, 5, 9])
def test_the_smallest_p_is_that_of_patients_who_all_differ_in_one_direction(patients: int) -> None:
    assert wilcoxon_p(np.arange(1.0, patients + 1)) == pytest.approx(least_p(patients))


def stepwise(values: list[float], level: float) -> list[bool]:
    """Holm's procedure as he gave it: reject the smallest while p <= level / (tests that are left)."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    rejected = [False] * len(values)
    for left, place in zip(range(len(values), 0, -1), order, strict=True):
        if values[place] * left > level:
            break
        rejected[place] = True
    return rejected


@given(PS, st.floats(0.01, 0.99))
def test_what_is_rejected_is_what_holms_steps_reject(values: list[float], level: float) -> None:
    assert (holm(values) <= level).tolist() == stepwise(values, level)


@given(PS)
def test_corrected_p_are_no_smaller_stay_in_order_and_do_not_count_what_is_no_test(
    values: list[float],
) -> None:
    corrected = holm(values)
    assert (corrected >= values).all()
    assert (corrected <= 1).all()
    assert (np.diff(corrected[np.argsort(values, kind="stable")]) >= 0).all()
    beside = holm([np.nan, *values])
    assert np.isnan(beside[0])
    assert beside[1:].tolist() == corrected.tolist()


def test_holm_of_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def mean_of(runs: np.ndarray) -> float:
    return float(runs.mean())


def test_swaps_find_a_difference_and_none_where_there_is_none() -> None:
    values, groups = np.random.default_rng(0).random((2, 30)), np.arange(30) // 2
    assert swapped_p(np.stack([values[0], values[0] + 1]), 1, groups, mean_of, 0) == 1 / (SWAPS + 1)
    assert swapped_p(np.stack([values[0], values[0]]), 1, groups, mean_of, 0) == 1


def test_swaps_keep_the_images_of_a_patient_together() -> None:
    """One patient gains 3, the other loses 1: no swap gives a mean nearer to 0 than 1."""
    groups = np.repeat([0, 1], 20)
    assert swapped_p(np.stack([np.zeros(40), np.where(groups, -1, 3)]), 1, groups, mean_of, 3) == 1
    both_gain = np.stack([np.zeros(40), np.ones(40)])  # of four ways to swap, two give as much
    assert swapped_p(both_gain, 1, groups, mean_of, 3) == pytest.approx(0.5, abs=0.06)


def test_swaps_keep_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medseg.learning.scores.paired.significance.SWAPS", 99)
    rng, groups = np.random.default_rng(5), np.arange(12) // 2
    found = sum(swapped_p(rng.random((2, 12)), 1, groups, mean_of, seed) <= 0.05 for seed in range(200))
    assert binomtest(found, 200, 0.05, alternative="greater").pvalue > 0.01
