"""With what the page of an experiment begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medseg.tracking.mlflow.page.view import headline_columns, rank, start_of
from medseg.tracking.mlflow.recorder import MlflowRecorder
from medseg.tracking.mlflow.store import open_store


def test_columns_are_scores_of_the_test_part_first_and_of_all_classes_before_each() -> None:
    metrics = [
        *("epoch/train/loss", "epoch/val/score", "system/cpu", "val/score", "val/loss"),
        *("test/dice/core", "test/dice/mean", "test/dice/mean/low", "test/dice/mean/high", "test/accuracy"),
    ]

    assert headline_columns(metrics) == ["test/accuracy", "test/dice/mean", "test/dice/core", "val/score"]
    assert len(headline_columns([f"test/dice/{number}" for number in range(50)])) == 8
    assert headline_columns(["epoch/train/loss"]) == []


def test_all_metrics_have_an_order_with_scores_first_and_the_load_of_the_system_last() -> None:
    metrics = [
        *("system/cpu", "epoch/train/loss", "threshold/f1", "val/score", "test/dice/core", "test/dice/mean"),
    ]

    assert sorted(metrics, key=rank) == [
        *("test/dice/mean", "test/dice/core", "val/score", "epoch/train/loss", "threshold/f1", "system/cpu"),
    ]


@pytest.mark.slow
def test_the_page_begins_with_the_experiment_of_the_latest_run_and_each_with_its_scores(
    tmp_path: Path,
) -> None:
    uri = f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"
    for experiment, name in (("masks", "test/dice/mean"), ("classes", "test/accuracy")):
        run = MlflowRecorder.start(uri, experiment=experiment, name="x", folder=tmp_path / name, system=False)
        run.metrics({name: 0.5, f"{name}/low": 0.4, "epoch/train/loss": 1.0}, 0)
        run.close("FINISHED")

    with open_store(uri) as client:
        start = start_of(client)
        ids = {each.name: each.experiment_id for each in client.search_experiments()}

    assert start.path == f"/#/experiments/{ids['classes']}/runs?workflowType=machine_learning"
    views = {key.split('"')[1]: json.loads(view) for key, view in start.views.items()}
    assert all(view["columnOrder"] == list(view["columnWidths"]) for view in views.values())
    assert views[ids["masks"]]["columnOrder"] == ["metrics.`test/dice/mean`"]
    assert {experiment: view["selectedColumns"] for experiment, view in views.items()} == {
        ids["masks"]: ["attributes.`User`", "metrics.`test/dice/mean`"],
        ids["classes"]: ["attributes.`User`", "metrics.`test/accuracy`"],
    }
