"""Differences of two models over patients: against SciPy, an explicit loop over resamples, and simulated models."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, wilcoxon
from sklearn.metrics import roc_auc_score

from medseg.learning.scores.intervals import LEAST, RESAMPLES
from medseg.learning.scores.paired.differences import OfPatients, OfRanks
from medseg.learning.scores.paired.significance import holm

NAN = float("nan")


def scores(seed: int, shift: float = 0.0, *, patients: int = 20, runs: int = 1) -> OfPatients:
    rng = np.random.default_rng(seed)
    hard = rng.uniform(0.4, 0.9, patients)
    a, b = (hard + rng.normal(0, 0.05, (runs, patients)) + gain for gain in (0, shift))
    return OfPatients(a, b)


def test_difference_interval_and_test_are_those_of_an_explicit_loop() -> None:
    compared = scores(1, 0.03)
    found, each = compared.difference(7), compared.b[0] - compared.a[0]
    drawn = np.random.default_rng(7).integers(20, size=(RESAMPLES, 20))
    means = [each[row].mean() for row in drawn]

    assert found.difference == pytest.approx(found.b - found.a)
    assert found.difference == pytest.approx(each.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, (0.025, 0.975))))
    assert found.p == pytest.approx(float(wilcoxon(each).pvalue))
    assert found.larger == np.mean([mean > 0 for mean in means])
    assert found.patient_std == pytest.approx(each.std(ddof=1))


def test_the_other_way_round_everything_is_turned() -> None:
    one = scores(2, 0.02)
    found, turned = one.difference(0), OfPatients(one.b, one.a).difference(0)
    assert turned.difference == -found.difference
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert turned.p == found.p
    assert turned.larger == pytest.approx(1 - found.larger)


def test_of_several_seeds_their_mean_is_compared_and_their_spread_is_apart_from_that_of_patients() -> None:
    several = scores(3, runs=3)
    found = several.difference(0)
    mean = OfPatients(
        several.a.mean(axis=0, keepdims=True), several.b.mean(axis=0, keepdims=True)
    ).difference(0)
    assert (found.difference, found.low, found.p) == pytest.approx((mean.difference, mean.low, mean.p))
    assert found.a_seed_std == pytest.approx(several.a.mean(axis=1).std(ddof=1))
    assert np.isnan(mean.a_seed_std)
    shifted = OfPatients(several.a + np.array([[0.0], [0.1], [0.2]]), several.b).difference(0)
    assert shifted.a_seed_std > found.a_seed_std
    assert shifted.patient_std == pytest.approx(found.patient_std)


def test_a_patient_whom_one_run_gives_no_score_is_left_out_and_counted() -> None:
    a, b = np.array([[0.5, NAN, 0.7, NAN]]), np.array([[0.6, 0.2, 0.9, NAN]])
    found = OfPatients(a, b).difference(0)
    assert (found.patients, found.left_out) == (2, 1)  # the last has a score in neither
    assert found.difference == pytest.approx(0.15)
    assert np.isnan(OfPatients(a, b).of_patients()[0]).tolist() == [False, True, False, True]


@pytest.mark.parametrize("kept", [0, 1])
def test_of_one_patient_or_none_there_is_no_interval_and_no_chance(kept: int) -> None:
    found = OfPatients(np.full((1, kept), 0.4), np.full((1, kept), 0.5)).difference(0)
    assert found.patients == kept
    assert np.isnan([found.low, found.high, found.larger, found.patient_std]).all()
    assert np.isnan(found.p) if kept == 0 else found.p == 1


def test_the_interval_covers_the_true_difference_of_most_simulated_models() -> None:
    shift, times = 0.02, 200
    covered = 0
    for seed in range(times):
        found = scores(seed, shift, patients=40).difference(seed)
        covered += found.low <= shift <= found.high
    assert binomtest(covered, times, 0.92, alternative="less").pvalue > 0.01


def test_of_models_that_do_not_differ_one_is_called_better_no_more_often_than_the_level_says() -> None:
    """Three classes a comparison, as with Holm's correction: any of them counts."""
    called, times = 0, 200
    for seed in range(times):
        found = [scores(1000 * seed + name, patients=12).difference(seed) for name in range(3)]
        corrected = holm([each.p for each in found])
        called += any(
            p < 0.05 and (each.low > 0 or each.high < 0) for p, each in zip(corrected, found, strict=True)
        )
    assert binomtest(called, times, 0.05, alternative="greater").pvalue > 0.05


def ranked(seed: int, gain: float = 0.0, *, images: int = 60, runs: int = 1) -> OfRanks:
    rng = np.random.default_rng(seed)
    truth, groups = rng.random(images) < 0.4, np.arange(images) // 2
    seen = rng.normal(size=images) + truth
    a, b = (seen + more * truth + rng.normal(0, 1, (runs, images)) for more in (0, gain))
    return OfRanks(a, b, truth, groups)


def test_areas_are_those_of_scikit_learn_and_the_interval_that_of_a_loop_over_patients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("medseg.learning.scores.intervals.RESAMPLES", LEAST)
    compared = ranked(1)
    found = compared.difference(5)
    area = [roc_auc_score(compared.truth, side[0]) for side in (compared.a, compared.b)]
    assert (found.a, found.b, found.difference) == pytest.approx((*area, area[1] - area[0]))
    looped = []
    for row in np.random.default_rng(5).integers(30, size=(LEAST, 30)):
        taken = np.concatenate([np.flatnonzero(compared.groups == patient) for patient in row])
        a, b = (roc_auc_score(compared.truth[taken], side[0][taken]) for side in (compared.a, compared.b))
        looped.append(b - a)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(looped, (0.025, 0.975))))
    assert found.patients == 30


def test_a_model_that_is_as_good_and_less_sure_has_no_other_area() -> None:
    compared = ranked(2)
    found = OfRanks(compared.a, compared.a / 100 - 3, compared.truth, compared.groups).difference(0)
    assert found.difference == 0
    assert found.p == 1
    assert found.larger == 0.5


def test_a_better_ranking_is_found() -> None:
    found = ranked(3, 3.0, runs=2).difference(0)
    assert found.p < 0.05
    assert found.low > 0
    assert found.a_seed_std > 0


def test_a_class_that_no_image_has_has_no_area() -> None:
    compared = ranked(4)
    found = OfRanks(compared.a, compared.b, np.zeros(60, dtype=bool), compared.groups).difference(0)
    assert np.isnan([found.difference, found.p, found.low]).all()
    assert found.patients == 0
