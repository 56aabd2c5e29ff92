from __future__ import annotations

import numpy as np
import pytest

from medseg.learning.scores.summaries import metrics_of, summarise
from medseg.learning.scores.volumes import SCORES, VolumeScorer

NAN = float("nan")


def table(dice, groups=None, name="core"):
    import pandas as pd

    cases = [f"case{index:02d}" for index in range(len(dice))]
    return pd.DataFrame({"case": cases, "group": groups or cases, "name": name, "dice": dice})


def only(summary):
    (row,) = summary.to_dict("records")
    return row


def test_statistics_are_those_of_numpy_over_patients():
    values = [0.9, 0.5, 0.7, 0.8]
    row = only(summarise(table(values)))
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["median"] == pytest.approx(0.75)
    assert row["std"] == pytest.approx(np.std(values, ddof=1))
    assert row["patients"] == 4


def test_a_patient_with_two_cases_counts_once():
    row = only(summarise(table([0.2, 0.4, 0.9], groups=["a", "a", "b"])))
    assert row["mean"] == pytest.approx((0.3 + 0.9) / 2)
    assert row["patients"] == 2


def test_an_undefined_case_does_not_hide_the_other_case_of_its_patient():
    row = only(summarise(table([NAN, 0.4, 0.9, NAN], groups=["a", "a", "b", "c"])))
    assert row["mean"] == pytest.approx((0.4 + 0.9) / 2)
    assert row["patients"] == 2


def test_one_patient_has_no_deviation_and_an_interval_of_no_width():
    row = only(summarise(table([0.6])))
    assert row["mean"] == row["low"] == row["high"] == row["median"] == 0.6
    assert np.isnan(row["std"])


def test_a_score_that_no_patient_defines_has_no_value_and_no_patients():
    row = only(summarise(table([NAN, NAN])))
    assert row["patients"] == 0
    assert all(np.isnan(row[statistic]) for statistic in ("mean", "median", "std", "low", "high"))


def test_the_interval_is_near_that_of_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(1).beta(8, 2, size=60)
    row = only(summarise(table(list(values))))
    wanted = bootstrap((values,), np.mean, method="percentile", n_resamples=20000, rng=2).confidence_interval
    width = wanted.high - wanted.low
    assert row["low"] == pytest.approx(wanted.low, abs=0.1 * width)
    assert row["high"] == pytest.approx(wanted.high, abs=0.1 * width)
    assert row["low"] < row["mean"] < row["high"]


def test_the_interval_depends_on_the_seed_and_not_on_the_order_of_patients():
    frame = table(list(np.random.default_rng(2).random(9)))
    first = summarise(frame, seed=3)
    assert first.equals(summarise(frame.iloc[::-1], seed=3))
    assert only(first)["low"] != only(summarise(frame, seed=4))["low"]


def scored():
    random = np.random.default_rng(5)
    scorer = VolumeScorer(["outside", "core", "absent"], {"all": [1, 2]})
    for case, group in (("a1", "a"), ("a2", "a"), ("b", "b")):
        scorer.add(case, group, *random.integers(2, size=(2, 5, 5, 5)), (1, 1, 2))
    return summarise(scorer.frame())


def test_every_name_and_score_has_a_row():
    summary = scored()
    assert list(zip(summary["name"], summary["score"], strict=True)) == [
        (name, score) for name in ("outside", "core", "absent", "all") for score in SCORES
    ]


def test_metrics_are_named_by_role_score_and_name_and_never_undefined():
    summary = scored()
    metrics = metrics_of(summary, "test")
    row = summary[(summary["name"] == "core") & (summary["score"] == "hd95")].iloc[0]
    assert metrics["test/hd95/core"] == row["mean"]
    for statistic in ("median", "low", "high", "patients"):
        assert metrics[f"test/hd95/core/{statistic}"] == row[statistic]
    assert "test/dice/absent" not in metrics
    assert metrics["test/dice/absent/patients"] == 0
    assert all(np.isfinite(value) for value in metrics.values())
    assert {type(value) for value in metrics.values()} == {float}


def test_no_case_gives_no_rows_and_no_metrics():
    empty = summarise(VolumeScorer(["a", "b"], {}).frame())
    assert len(empty) == 0
    assert metrics_of(empty, "val") == {}
