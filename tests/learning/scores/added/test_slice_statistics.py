"""The statistics of the original notebook, against its own way: scikit-learn, image by image."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from medseg.errors import DefinitionError
from medseg.learning.scores.added.slice_statistics import SliceStatistics, statistics
from medseg.learning.scores.counts import confusion, confusions

CLASSES = ("outside", "healthy", "necrotic_core", "oedema", "enhancing")
REGIONS = {"whole_tumour": (2, 3, 4)}


def drawn(slices=12, size=9, seed=0):
    """Truth and prediction that agree more often than not; some slices lack classes, one class is never there."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, (slices, size, size)).astype(np.uint8)
    truth[: slices // 3] = np.minimum(truth[: slices // 3], 1)
    wrong = rng.random(truth.shape) < 0.3
    return truth, np.where(wrong, rng.integers(0, 5, truth.shape), truth).astype(np.uint8)


def looped(truth, predicted, labels):
    """(score, slice, class) and pixels (slice, class), by scikit-learn's loop over images."""
    found = [
        precision_recall_fscore_support(t.ravel(), p.ravel(), labels=labels, zero_division=0)
        for t, p in zip(truth, predicted, strict=True)
    ]
    values = np.array([[each[score] for each in found] for score in range(3)])
    return dict(zip(("precision", "sensitivity", "f1"), values, strict=True)), np.array([e[3] for e in found])


def weighted(values, pixels):
    n, x = pixels.ravel().astype(float), values.ravel()
    mean = (n * x).sum() / n.sum()
    radicand = (n**2 * x**2).sum() / (n**2).sum() - mean**2
    proper = np.sqrt(np.average((x - mean) ** 2, weights=n))
    return mean, np.sqrt(max(radicand, 0)), radicand < 0, proper


def made(truth, predicted):
    matrices = confusions(truth, predicted, 5)
    table = SliceStatistics("whole_tumour").table(matrices, CLASSES, REGIONS)
    return table.set_index(["name", "score"])


def equal(row, expected):
    mean, deviation, negative, proper = expected
    numbers = row[["mean", "deviation", "weighted_deviation"]].astype(float)
    np.testing.assert_allclose(numbers, (mean, deviation, proper), rtol=1e-9, atol=1e-9)
    assert bool(row["negative_radicand"]) == negative


@pytest.mark.parametrize("seed", range(3))
def test_each_class_and_all_of_them_are_those_of_scikit_learns_loop(seed):
    truth, predicted = drawn(seed=seed)
    table, (values, pixels) = made(truth, predicted), looped(truth, predicted, range(5))
    for score, each in values.items():
        for k, name in enumerate(CLASSES[:4]):
            equal(table.loc[name, score], weighted(each[:, k], pixels[:, k]))
            assert table.loc[name, score]["pixels"] == (truth == k).sum()
            assert table.loc[name, score]["slices"] == (truth == k).any(axis=(1, 2)).sum()
        equal(table.loc["all", score], weighted(each, pixels))


def test_tumour_or_not_is_that_of_scikit_learns_loop():
    truth, predicted = drawn()
    table, (values, pixels) = made(truth, predicted), looped(truth >= 2, predicted >= 2, [False, True])
    for score, each in values.items():
        equal(table.loc["not_whole_tumour", score], weighted(each[:, 0], pixels[:, 0]))
        equal(table.loc["whole_tumour", score], weighted(each[:, 1], pixels[:, 1]))
        equal(table.loc["whole_tumour_or_not", score], weighted(each, pixels))


def test_a_class_that_is_nowhere_has_no_statistics_and_no_metric():
    truth, predicted = drawn()
    matrices = confusions(truth, predicted, 5)
    statistic = SliceStatistics("whole_tumour")
    table = statistic.table(matrices, CLASSES, REGIONS)
    row = table[(table["name"] == "enhancing") & (table["score"] == "f1")].iloc[0]
    assert (row["pixels"], row["slices"]) == (0, 0)
    assert np.isnan(row["mean"])
    metrics = statistic.metrics(table)
    assert "f1/enhancing" not in metrics
    assert {"f1/oedema", "f1/oedema/deviation", "sensitivity/all", "precision/whole_tumour"} <= set(metrics)


def test_a_negative_radicand_is_zero_and_marked():
    pixels, values = np.array([10.0, 1.0, 1.0, 1.0, 1.0, 1.0]), np.array([0.5, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert (pixels**2 @ values**2) / (pixels**2).sum() < (pixels @ values / pixels.sum()) ** 2
    found = statistics(pixels, values)
    assert (found["deviation"], found["negative_radicand"]) == (0.0, True)
    assert found["weighted_deviation"] == pytest.approx(
        np.sqrt(np.average((values - 2 / 3) ** 2, weights=pixels))
    )


def test_a_deviation_by_hand():
    found = statistics(np.array([1.0, 3.0]), np.array([1.0, 0.5]))
    assert found["mean"] == pytest.approx(2.5 / 4)
    assert found["deviation"] == 0.0  # 3.25 / 10 - 0.390625 is below 0
    assert found["negative_radicand"] is True
    assert found["weighted_deviation"] == pytest.approx(np.sqrt((0.375**2 + 3 * 0.125**2) / 4))


def test_slices_counted_together_are_those_counted_one_by_one():
    truth, predicted = drawn()
    each = [confusion(t, p, 5) for t, p in zip(truth, predicted, strict=True)]
    np.testing.assert_array_equal(confusions(truth, predicted, 5), each)


@pytest.mark.parametrize("given", [{"binary": ""}, {"binary": 3}, {"binary": "a", "name": "a/b"}])
def test_names_that_are_none_are_refused(given):
    with pytest.raises(ValueError, match="expected a name"):
        SliceStatistics(**given)


def test_a_region_that_is_not_there_is_refused():
    with pytest.raises(DefinitionError, match="binary is 'core', expected one of outside"):
        SliceStatistics("core").check(CLASSES, REGIONS)
