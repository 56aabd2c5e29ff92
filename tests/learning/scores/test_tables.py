from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medseg.class_names import key_name
from medseg.errors import RunError
from medseg.learning.scores import tables
from medseg.learning.scores.classes import ClassScorer
from medseg.learning.scores.intervals import summarise
from medseg.learning.scores.tables import metrics_of
from medseg.learning.scores.volumes import VOLUME_SCORES, VolumeScorer
from medseg.learning.tasks.exclusive import OneClass

ALL = {"accuracy", "f1", "support"}


def volumes():
    random = np.random.default_rng(5)
    scorer = VolumeScorer(["outside", "core", "absent"], {"all": [1, 2]})
    for case, group in (("a1", "a"), ("a2", "a"), ("b", "b")):
        scorer.add(case, group, *random.integers(2, size=(2, 5, 5, 5)), (1, 1, 2))
    return summarise(scorer.frame(), VOLUME_SCORES)


def test_every_name_and_score_has_a_row():
    summary = volumes()
    assert list(zip(summary["name"], summary["score"], strict=True)) == [
        (name, score) for name in ("outside", "core", "absent", "all") for score in VOLUME_SCORES
    ]


def test_metrics_are_named_by_role_score_and_name_and_never_undefined():
    summary = volumes()
    metrics = metrics_of(summary, "test", {"hd95", "dice"})
    row = summary[(summary["name"] == "core") & (summary["score"] == "hd95")].iloc[0]
    assert metrics["test/hd95/core"] == row["mean"]
    for statistic in ("low", "high"):
        assert metrics[f"test/hd95/core/{statistic}"] == row[statistic]
    assert "test/dice/absent" not in metrics
    assert {name.split("/")[1] for name in metrics} == {"hd95", "dice"}
    assert all(np.isfinite(value) for value in metrics.values())
    assert {type(value) for value in metrics.values()} == {float}


def test_no_case_gives_no_rows_and_no_metrics():
    empty = summarise(VolumeScorer(["a", "b"], {}).frame(), VOLUME_SCORES)
    assert len(empty) == 0
    assert metrics_of(empty, "val", VOLUME_SCORES) == {}


def images():
    """Summary of twenty images of three classes, of five patients, by the names that are given."""
    rng = np.random.default_rng(0)
    truth = np.eye(3, dtype=np.uint8)[np.arange(20) % 3]
    return truth, rng.dirichlet(np.ones(3), size=20).astype(np.float32)


def scored(classes):
    scorer = ClassScorer(classes, OneClass())
    for i, (truth, p) in enumerate(zip(*images(), strict=True)):
        scorer.add(f"case{i:02}", f"g{i % 5}", truth, p)
    return scorer.summary()


def records(summary):
    return {(row["name"], row["score"]): row for row in summary.to_dict("records")}


def test_metrics_are_named_after_role_score_and_class():
    summary = scored(["a", "low", "c:d"])
    found, rows = metrics_of(summary, "test", ALL, key_name), records(summary)
    assert found["test/accuracy"] == rows["", "accuracy"]["mean"]
    for statistic in ("low", "high"):
        assert found[f"test/f1/{statistic}"] == rows["", "f1"][statistic]
        assert found[f"test/f1/a/{statistic}"] == rows["a", "f1"][statistic]
    assert found["test/f1/class low"] == rows["low", "f1"]["mean"]
    assert found["test/support/c_d"] == rows["c:d", "support"]["mean"]
    assert "test/support/a/low" not in found
    assert not any(np.isnan(value) for value in found.values())


def test_classes_that_share_a_key_are_refused():
    summary = scored(["a", "c?d", "c:d"])
    with pytest.raises(ValueError, match="c_d"):
        metrics_of(summary, "test", ALL, key_name)


@pytest.mark.parametrize(
    ("bound", "content", "what"),
    [
        ("MOST_BYTES", "name,dice\na,1\n", "7 bytes"),
        ("MOST_ROWS", "name\n" + "a\n" * 20, "7 rows"),
        ("MOST_CELLS", "name,dice\n" + "a,1\n" * 7, "7 cells"),
        ("MOST_COLUMNS", "\n \n" + '"a\n",' * 7, "7 columns"),
        ("MOST_COLUMNS", "name" + "," * 7, "7 columns"),
    ],
)
def test_a_table_that_is_larger_than_any_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, content: str, what: str
) -> None:
    monkeypatch.setattr(tables, bound, 7)
    monkeypatch.setattr(pd, "read_csv", lambda *_, **__: pytest.fail("it is parsed"))
    path = tmp_path / "test_summary.csv"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(RunError, match=rf"test_summary\.csv is damaged: it has more than {what},"):
        tables.read_scores(path)


def test_a_table_of_thousands_of_columns_and_names_with_commas_is_read(tmp_path: Path) -> None:
    names = ["case", *(f"probability_a, {n}" for n in range(1000))]
    made = pd.DataFrame([["c", *(n / 1000 for n in range(1000))]], columns=names)
    made.to_csv(tmp_path / "test.csv", index=False)

    assert list(tables.read_scores(tmp_path / "test.csv")) == names
