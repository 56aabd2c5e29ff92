from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.learning.scores.probability_counts import ProbabilityCounts

FEW = settings(max_examples=60, deadline=None)
# few distinct values, so that ties between foreground and background are common
pixels = st.lists(
    st.tuples(st.sampled_from([0.0, 1e-9, 0.1, 0.3, 0.5, 0.7, 0.999, 1.0]), st.booleans()),
    min_size=1,
    max_size=40,
)


def arrays(pairs):
    return np.array([p for p, _ in pairs], dtype=np.float32), np.array([t for _, t in pairs], dtype=bool)


def random_case(seed=0, size=3000, digits=None):
    rng = np.random.default_rng(seed)
    truth = rng.random(size) < 0.3
    p = np.clip(rng.normal(0.35 + 0.3 * truth, 0.2), 0, 1)
    return (p if digits is None else p.round(digits)).astype(np.float32), truth


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("values", "positives", "negatives")
    )


@FEW
@given(pixels)
def test_counts_are_those_of_counting_by_hand(pairs):
    p, truth = arrays(pairs)
    counts = ProbabilityCounts.of(p, truth)
    assert counts.values.dtype == np.float32
    assert counts.positives.dtype == counts.negatives.dtype == np.int64
    assert counts.values.tolist() == sorted(set(p.tolist()))
    assert counts.positives.tolist() == [int((truth & (p == v)).sum()) for v in counts.values]
    assert counts.negatives.tolist() == [int((~truth & (p == v)).sum()) for v in counts.values]


@FEW
@given(pixels, st.sampled_from([-1.0, 0.0, 0.1, 0.30000001, 0.3, 0.5, 0.6, 1.0, 2.0]))
def test_a_threshold_counts_what_numpy_compares(pairs, threshold):
    p, truth = arrays(pairs)
    found = ProbabilityCounts.of(p, truth).at(threshold)
    predicted = p >= threshold
    assert (found.tp, found.fp) == ((predicted & truth).sum(), (predicted & ~truth).sum())
    assert (found.fn, found.tn) == ((~predicted & truth).sum(), (~predicted & ~truth).sum())


def test_cumulative_counts_are_those_at_each_threshold():
    counts = ProbabilityCounts.of(*random_case(digits=2))
    together = counts.cumulative()
    for index, value in enumerate(counts.values):
        one = counts.at(float(value))
        found = [int(getattr(together, name)[index]) for name in ("tp", "fp", "fn", "tn")]
        assert found == [one.tp, one.fp, one.fn, one.tn]


@pytest.mark.parametrize("digits", [None, 3, 1, 0])
def test_areas_and_brier_are_those_of_scikit_learn(digits):
    from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

    p, truth = random_case(digits=digits)
    counts = ProbabilityCounts.of(p, truth)
    assert counts.auroc() == pytest.approx(roc_auc_score(truth, p), rel=1e-12)
    assert counts.average_precision() == pytest.approx(average_precision_score(truth, p), rel=1e-12)
    assert counts.brier() == pytest.approx(brier_score_loss(truth, p.astype(float)), rel=1e-12)


def test_a_constant_probability_ranks_nothing():
    truth = np.arange(10) < 3
    counts = ProbabilityCounts.of(np.full(10, 0.2, np.float32), truth)
    assert counts.auroc() == 0.5
    assert counts.average_precision() == pytest.approx(0.3)


def test_one_class_alone_leaves_areas_undefined():
    p = np.array([0.2, 0.6], np.float32)
    background = ProbabilityCounts.of(p, np.zeros(2, bool))
    foreground = ProbabilityCounts.of(p, np.ones(2, bool))
    assert np.isnan([background.auroc(), foreground.auroc(), background.average_precision()]).all()
    assert foreground.average_precision() == 1
    assert background.roc()[0].size == foreground.roc()[0].size == background.precision_recall()[0].size == 0


def test_no_pixel_leaves_everything_undefined():
    empty = ProbabilityCounts.of(np.empty((0, 3), np.float32), np.empty((0, 3), bool))
    assert np.isnan(
        [empty.auroc(), empty.average_precision(), empty.brier(), empty.calibration_error()]
    ).all()
    assert same(empty, ProbabilityCounts.merged([]))
    assert same(empty, empty.coarse())
    assert same(empty, empty.rounded())


def test_curves_are_those_of_scikit_learn():
    from sklearn.metrics import precision_recall_curve, roc_curve

    p, truth = random_case(digits=2)
    counts = ProbabilityCounts.of(p, truth)
    fpr, tpr, _ = roc_curve(truth, p, drop_intermediate=False)
    np.testing.assert_allclose(counts.roc(), (fpr, tpr))
    precision, recall, _ = precision_recall_curve(truth, p)
    np.testing.assert_allclose(counts.precision_recall(), (recall[::-1], precision[::-1]))


@pytest.mark.parametrize("curve", ["roc", "precision_recall"])
def test_thinned_curves_keep_their_ends_and_lie_on_the_curve(curve):
    counts = ProbabilityCounts.of(*random_case(size=5000))
    x, y = getattr(counts, curve)(points=10**6)
    thin_x, thin_y = getattr(counts, curve)(points=50)
    assert 25 < thin_x.size <= 52
    assert (thin_x[0], thin_y[0], thin_x[-1], thin_y[-1]) == (x[0], y[0], x[-1], y[-1])
    assert set(zip(thin_x, thin_y, strict=True)) <= set(zip(x, y, strict=True))
    assert (np.diff(thin_x) >= 0).all()


@FEW
@given(st.lists(pixels, min_size=1, max_size=4))
def test_merged_counts_are_those_of_all_pixels_in_any_order(parts):
    counts = [ProbabilityCounts.of(*arrays(part)) for part in parts]
    whole = ProbabilityCounts.of(*arrays([pair for part in parts for pair in part]))
    assert same(ProbabilityCounts.merged(counts), whole)
    assert same(ProbabilityCounts.merged(iter(counts[::-1])), whole)


def test_rounding_keeps_counts_at_multiples_of_the_step():
    counts = ProbabilityCounts.of(*random_case(size=5000))
    rounded = counts.rounded(1 / 64)
    assert rounded.values.size <= 65
    assert all(rounded.at(step / 64) == counts.at(step / 64) for step in range(65))


@FEW
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=50), st.integers(0, 23))
def test_the_coarse_grid_rounds_down_in_order_and_by_little(values, bits):
    p = np.array(values, np.float32)
    for value in p:
        (coarse,) = ProbabilityCounts.of(np.array([value]), np.array([True])).coarse(bits).values
        assert coarse <= value
        near = min(float(value), 1 - float(coarse))
        assert float(value) - float(coarse) <= near * 2.0**-bits + 1e-38  # subnormal
    counts = ProbabilityCounts.of(p, np.zeros(p.size, bool)).coarse(bits)
    assert (np.diff(counts.values) > 0).all()
    assert counts.background == p.size
    assert counts.at(0.5) == ProbabilityCounts.of(p, np.zeros(p.size, bool)).at(0.5)


def test_the_coarse_grid_hardly_moves_the_areas_of_a_saturated_network():
    rng = np.random.default_rng(0)
    truth = rng.random(100_000) < 0.1
    p = (1 / (1 + np.exp(-rng.normal(np.where(truth, 4, -11), 3)))).astype(np.float32)
    counts = ProbabilityCounts.of(p, truth)
    coarse = counts.coarse()
    assert coarse.values.size < counts.values.size / 20
    assert abs(coarse.auroc() - counts.auroc()) < 1e-5
    assert abs(coarse.average_precision() - counts.average_precision()) < 1e-4


@pytest.mark.parametrize(
    ("p", "truth", "said"),
    [
        (np.array([0.5, np.nan], np.float32), np.zeros(2, bool), "NaN"),
        (np.array([0.5, 1.01], np.float32), np.zeros(2, bool), r"\[0, 1\]"),
        (np.array([-0.1], np.float32), np.zeros(1, bool), r"\[0, 1\]"),
        (np.array([0.5]), np.zeros(1, bool), "float32"),
        (np.array([0.5], np.float32), np.zeros(1, int), "bool"),
        (np.zeros((2, 3), np.float32), np.zeros((3, 2), bool), "grid"),
    ],
)
def test_what_is_no_probability_is_refused(p, truth, said):
    with pytest.raises(ValueError, match=said):
        ProbabilityCounts.of(p, truth)


def test_negative_zero_is_zero():
    counts = ProbabilityCounts.of(np.array([-0.0, 0.0], np.float32), np.array([True, False]))
    assert counts.values.tolist() == [0]
    assert counts.at(0).tp == 1


def test_senseless_arguments_are_refused():
    counts = ProbabilityCounts.of(*random_case(size=10))
    for call in (
        lambda: counts.at(float("nan")),
        lambda: counts.rounded(0),
        lambda: counts.coarse(24),
        lambda: counts.reliability(0),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()
