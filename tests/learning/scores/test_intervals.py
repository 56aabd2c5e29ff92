from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from medseg.learning.scores import intervals
from medseg.learning.scores.classes import ClassScorer
from medseg.learning.scores.intervals import LEAST, summarise
from medseg.learning.tasks.exclusive import OneClass
from medseg.learning.tasks.multilabel import AnyClasses

NAN = float("nan")


def images(seed=0, count=40, classes=3, exclusive=True):
    """Probabilities in sixteenths, so that there are ties; the last class is rare."""
    rng = np.random.default_rng(seed)
    if exclusive:
        y = np.append(np.full(3, classes - 1), rng.integers(classes - 1, size=count - 3))
        truth = np.eye(classes, dtype=np.uint8)[y]
        p = rng.multinomial(16, (truth + 0.5) / (1 + 0.5 * classes)) / 16
    else:
        truth = (rng.random((count, classes)) < 0.3).astype(np.uint8)
        p = (rng.integers(0, 11, size=truth.shape) + 5 * truth) / 16
    return truth, p.astype(np.float32)


def scored(truth, p, groups, *, exclusive=True, classes=None):
    names = classes or [f"c{k}" for k in range(truth.shape[1])]
    scorer = ClassScorer(names, OneClass().with_top(None, len(names)) if exclusive else AnyClasses())
    for i, group in enumerate(groups):
        scorer.add(f"case{i:03}", group, truth[i], p[i])
    return scorer


def records(summary):
    return {(row["name"], row["score"]): row for row in summary.to_dict("records")}


def looped(truth, p, groups, seed, *, exclusive):
    """Each resample scored by itself, as a data set in which drawn patients stand as often as drawn."""
    names = sorted(set(groups))
    members = [[i for i, group in enumerate(groups) if group == name] for name in names]
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(names), size=(intervals.RESAMPLES, len(names)))
    found = {}
    for row in drawn:
        taken = [i for patient in row for i in members[patient]]
        again = scored(truth[taken], p[taken], ["g"] * len(taken), exclusive=exclusive)
        for key, value in again.measures.point.items():
            found.setdefault(key, []).append(float(value[0]))
    return {key: np.array(series) for key, series in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("exclusive", [True, False])
def test_intervals_are_those_of_an_explicit_loop_over_resampled_patients(exclusive, monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 250)  # the loop takes five seconds for as many as there are
    truth, p = images(exclusive=exclusive)
    groups = [f"g{i % 12}" for i in range(len(truth))]
    scorer = scored(truth, p, groups, exclusive=exclusive)
    rows = records(scorer.summary(5))
    series = looped(truth, p, groups, 5, exclusive=exclusive)
    for (k, score), each in series.items():
        row = rows["" if k is None else f"c{k}", score]
        kept = each[~np.isnan(each)]
        if k is None and score in scorer.measures.means:
            # all classes have these scores here; a resample in which one lacks it is left out
            of = scorer.measures.means[score]
            whole = np.all([~np.isnan(series[c, of]) for c in range(truth.shape[1])], axis=0)
            kept = each[whole]
        if k is None and score == "auroc_weighted":
            kept = each[np.all([~np.isnan(series[c, "auroc"]) for c in range(truth.shape[1])], axis=0)]
        if score == "calibration_error":
            kept = np.clip(kept + row["mean"] - np.median(kept), 0, 1)
        assert row["resamples"] == len(kept)
        low, high = np.quantile(kept, (0.025, 0.975))
        if low == high and scorer.measures.is_share(k, score):
            right = round(row["mean"]) * int(row["patients"])
            low, high = binomtest(right, int(row["patients"])).proportion_ci(0.95, "exact")
        elif low == high:
            low, high = np.nan, np.nan
        assert (row["low"], row["high"]) == pytest.approx((low, high), nan_ok=True)
    # the rare class is missing in some resamples
    assert np.isnan(series[2, "recall"]).any() == exclusive


def test_an_interval_is_wider_where_images_of_a_patient_resemble_each_other():
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(30) < 0.7, 20)
    truth = np.eye(2, dtype=np.uint8)[rng.integers(2, size=600)]
    p = np.where(right[:, None], truth, 1 - truth).astype(np.float32)
    by_patient = records(scored(truth, p, [f"g{i // 20}" for i in range(600)]).summary())
    by_image = records(scored(truth, p, [f"g{i}" for i in range(600)]).summary())
    wide, narrow = by_patient["", "accuracy"], by_image["", "accuracy"]
    assert wide["mean"] == narrow["mean"]
    assert wide["high"] - wide["low"] > 3 * (narrow["high"] - narrow["low"])
    assert (wide["patients"], wide["cases"], narrow["patients"]) == (30, 600, 600)


def test_one_patient_gives_no_interval():
    truth, p = images()
    for row in scored(truth, p, ["g"] * len(truth)).summary().to_dict("records"):
        if row["score"] in ("support", "predicted"):
            assert np.isnan(row["low"])
            continue
        assert row["patients"] == 1
        assert np.isnan([row["low"], row["high"]]).all()
        assert np.isfinite(row["mean"])


def test_every_value_of_calibration_lies_in_its_interval():
    truth, p = images(count=200)
    for row in scored(truth, p, [f"g{i}" for i in range(200)]).summary().to_dict("records"):
        if row["score"] == "calibration_error":
            assert row["low"] <= row["mean"] <= row["high"]
            assert row["low"] < row["high"]


def test_patients_behind_a_score_are_those_in_its_denominator():
    truth = np.eye(2, dtype=np.uint8)[[0, 0, 0, 1, 1]]
    p = np.float32([[1, 0], [0.75, 0.25], [0.25, 0.75], [0.25, 0.75], [1, 0]])
    rows = records(scored(truth, p, ["a", "a", "b", "b", "c"]).summary())
    behind = {key: (row["patients"], row["cases"]) for key, row in rows.items()}
    assert behind["c0", "recall"] == behind["c0", "support"] == (2, 3)
    assert behind["c0", "specificity"] == behind["c1", "recall"] == (2, 2)
    assert behind["c0", "precision"] == behind["c0", "predicted"] == (2, 3)
    assert behind["c1", "precision"] == (1, 2)
    assert behind["c1", "f1"] == (2, 3)
    assert behind["c1", "auroc"] == behind["", "accuracy"] == (3, 5)
    assert rows["c0", "support"]["mean"] == 3
    assert rows["c1", "predicted"]["mean"] == 2


def test_a_score_of_no_class_has_no_interval_and_nobody_behind_it():
    truth = np.eye(2, dtype=np.uint8)[[0, 0]]
    rows = records(scored(truth, np.float32([[1, 0], [0.75, 0.25]]), ["a", "b"]).summary())
    for key in (("c1", "recall"), ("c1", "precision"), ("", "auroc"), ("c1", "average_precision")):
        row = rows[key]
        assert np.isnan([row["mean"], row["low"], row["high"]]).all()
        assert (row["patients"], row["cases"], row["resamples"]) == (0, 0, 0)


def test_too_few_defined_resamples_give_no_interval():
    # each patient has a class of its own: nearly every resample lacks one
    truth = np.eye(9, dtype=np.uint8)
    p = np.full((9, 9), 1 / 16, np.float32)
    np.fill_diagonal(p, 0.5)
    rows = records(scored(truth, p, [f"g{i}" for i in range(9)]).summary())
    row = rows["", "balanced_accuracy"]
    assert row["mean"] == 1
    assert row["resamples"] < LEAST
    assert np.isnan([row["low"], row["high"]]).all()
    assert rows["", "accuracy"]["low"] == pytest.approx(0.025 ** (1 / 9))


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("patients", [2, 9, 40])
def test_a_perfect_share_still_has_an_interval(right, patients):
    truth = np.tile(np.eye(2, dtype=np.uint8), (patients, 1))
    p = np.where(truth == right, 0.9, 0.1).astype(np.float32)
    rows = records(scored(truth, p, [f"g{i // 2}" for i in range(2 * patients)]).summary())
    low, high = binomtest(patients * right, patients).proportion_ci(0.95, "exact")
    for key in (("", "accuracy"), ("c0", "recall"), ("c0", "specificity")):
        assert (rows[key]["low"], rows[key]["high"]) == pytest.approx((low, high)), key
    for score in ("balanced_accuracy", "auroc"):  # of no width, as if it were certain
        assert np.isnan([rows["", score]["low"], rows["", score]["high"]]).all(), score


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_resamples_that_agree_but_for_their_last_bits_are_no_interval(classes):
    truth = np.eye(classes, dtype=np.uint8)[np.arange(60 * classes) % classes]
    p = np.full(truth.shape, 1 / classes, np.float32)  # of a network that has learned nothing
    rows = records(scored(truth, p, [f"g{i}" for i in range(len(truth))]).summary())
    for score in ("average_precision", "auroc", "brier", "log_loss"):
        assert np.isnan([rows["", score]["low"], rows["", score]["high"]]).all(), score
    assert rows["", "accuracy"]["high"] > rows["", "accuracy"]["low"]


def test_a_resample_that_lacks_a_class_has_no_mean_over_classes():
    truth, p = images()
    measures = scored(truth, p, [f"g{i}" for i in range(len(truth))]).measures
    lacking, whole = (truth[:, 2] == 0).astype(float), np.ones(len(truth))
    found = measures.resampled(np.stack([lacking, whole], axis=1))
    for score in ("balanced_accuracy", "auroc", "auroc_weighted", "average_precision"):
        assert np.isnan(found[None, score]).tolist() == [True, False]
    assert not np.isnan(found[None, "accuracy"]).any()


# --- of scores that each patient has


def table(dice, groups=None, name="core"):
    import pandas as pd

    cases = [f"case{index:02d}" for index in range(len(dice))]
    return pd.DataFrame({"case": cases, "group": groups or cases, "name": name, "dice": dice})


def only(summary):
    (row,) = summary.to_dict("records")
    return row


def test_statistics_are_those_of_numpy_over_patients():
    values = [0.9, 0.5, 0.7, 0.8]
    row = only(summarise(table(values), ["dice"]))
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["median"] == pytest.approx(0.75)
    assert row["std"] == pytest.approx(np.std(values, ddof=1))
    assert row["patients"] == 4


def test_a_patient_with_two_cases_counts_once():
    row = only(summarise(table([0.2, 0.4, 0.9], groups=["a", "a", "b"]), ["dice"]))
    assert row["mean"] == pytest.approx((0.3 + 0.9) / 2)
    assert row["patients"] == 2


def test_an_undefined_case_does_not_hide_the_other_case_of_its_patient():
    row = only(summarise(table([NAN, 0.4, 0.9, NAN], groups=["a", "a", "b", "c"]), ["dice"]))
    assert row["mean"] == pytest.approx((0.4 + 0.9) / 2)
    assert row["patients"] == 2


def test_one_patient_has_neither_a_deviation_nor_an_interval():
    row = only(summarise(table([0.6, NAN]), ["dice"]))
    assert row["mean"] == row["median"] == 0.6
    assert row["patients"] == 1
    assert all(np.isnan(row[statistic]) for statistic in ("std", "low", "high"))


def test_a_score_that_no_patient_defines_has_no_value_and_no_patients():
    row = only(summarise(table([NAN, NAN]), ["dice"]))
    assert row["patients"] == 0
    assert all(np.isnan(row[statistic]) for statistic in ("mean", "median", "std", "low", "high"))


def test_the_interval_is_near_that_of_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(1).beta(8, 2, size=60)
    row = only(summarise(table(list(values)), ["dice"]))
    expected = bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20000, rng=2
    ).confidence_interval
    width = expected.high - expected.low
    assert row["low"] == pytest.approx(expected.low, abs=0.1 * width)
    assert row["high"] == pytest.approx(expected.high, abs=0.1 * width)
    assert row["low"] < row["mean"] < row["high"]


def test_the_interval_depends_on_the_seed_and_not_on_the_order_of_patients():
    frame = table(list(np.random.default_rng(2).random(9)))
    first = summarise(frame, ["dice"], seed=3)
    assert first.equals(summarise(frame.iloc[::-1], ["dice"], seed=3))
    assert only(first)["low"] != only(summarise(frame, ["dice"], seed=4))["low"]
