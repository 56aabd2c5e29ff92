from __future__ import annotations

import numpy as np
import pytest

from medseg.learning.scores.calibration import calibration_error, gaps_by_case
from medseg.learning.scores.probability_counts import ProbabilityCounts


def random_case(seed=0, size=3000, digits=None):
    rng = np.random.default_rng(seed)
    truth = rng.random(size) < 0.3
    p = np.clip(rng.normal(0.35 + 0.3 * truth, 0.2), 0, 1)
    return (p if digits is None else p.round(digits)).astype(np.float32), truth


def test_reliability_is_that_of_scikit_learn():
    from sklearn.calibration import calibration_curve

    p, truth = random_case()
    p[:200] = np.linspace(0, 1, 16, dtype=np.float32)[np.arange(200) % 16]  # on the edges
    found = ProbabilityCounts.of(p, truth).reliability(15)
    observed, probability = calibration_curve(truth, p.astype(float), n_bins=15)
    filled = found.count > 0
    assert found.count.sum() == p.size
    np.testing.assert_allclose(found.observed[filled], observed)
    np.testing.assert_allclose(found.mean_probability[filled], probability, rtol=1e-6)


def test_a_bin_holds_its_right_edge():
    p = np.array([0, 0.25, 0.5, 0.75, 1], np.float32)
    assert ProbabilityCounts.of(p, p > 0.3).reliability(4).count.tolist() == [2, 1, 1, 1]


def test_the_calibration_error_weighs_bins_by_their_pixels():
    p = np.array([0.1, 0.1, 0.1, 0.9], np.float32)
    counts = ProbabilityCounts.of(p, np.array([True, False, False, True]))
    assert counts.calibration_error(2) == pytest.approx((3 * abs(1 / 3 - 0.1) + abs(1 - 0.9)) / 4)
    assert counts.calibration_error(1) == pytest.approx(0.5 - 0.3)
    assert np.isnan(counts.reliability(15).observed).sum() == 13


def test_gaps_by_case_add_up_to_the_error_of_the_bins():
    p, truth = random_case(digits=2)
    gaps = gaps_by_case(p[:, None], truth[:, None])
    assert gaps.shape == (15, p.size)
    found = float(calibration_error(gaps.sum(axis=1), p.size))
    assert found == pytest.approx(ProbabilityCounts.of(p, truth).calibration_error())
    assert 0 < found < 1
