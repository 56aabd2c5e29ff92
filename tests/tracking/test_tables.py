"""Scores of each case as a table that MLflow's evaluation view reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from medseg.tracking.mlflow.recorder import MlflowRecorder
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own


def test_a_table_is_read_by_mlflow_and_one_that_is_made_again_replaces_it(
    tmp_path: Path, empty_tracking: Path
) -> None:
    import mlflow

    shutil.copyfile(empty_tracking, tmp_path / "mlflow.db")
    uri = f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"
    recorder = MlflowRecorder.start(
        uri, experiment="tests", name="run", folder=tmp_path / "run", system=False
    )
    table = pd.DataFrame({"case": ["a", "b"], "name": ["x", "é"], "dice": [0.25, float("nan")]})
    path = tmp_path / "run" / "test.csv"
    for half in (1.0, 0.5):
        (table.assign(dice=table["dice"] * half)).to_csv(path, index=False)
        recorder.table(path)
    recorder.close("FINISHED")

    before = mlflow.get_tracking_uri()
    try:
        mlflow.set_tracking_uri(uri)
        with open_store(uri) as client:
            experiment = client.get_run(recorder.run_id).info.experiment_id
        found = client.load_table(experiment, "tables/test.json", [recorder.run_id])
    finally:
        mlflow.set_tracking_uri(before)
    pd.testing.assert_frame_equal(found, table.assign(dice=table["dice"] * 0.5), check_dtype=False)
