"""Scores of each case as a table that MLflow's evaluation view reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from medseg.tracking.mlflow.recorder import MlflowRecorder
from medseg.tracking.mlflow.store import open_store
from medseg.tracking.mlflow.tables import send_table

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


def test_names_that_look_like_numbers_or_like_nothing_stay_what_they_are(tmp_path: Path) -> None:
    names = ["001", "01", "1e5", "NA"]
    table = pd.DataFrame(
        {"case": names, "group": names[::-1], "truth": ["NA", "None", "nan", "1"], "dice": [0.5, None, 1, 0]}
    )
    table.to_csv(tmp_path / "test.csv", index=False)
    sent = []

    class Client:
        def log_artifact(self, run_id: str, path: str, folder: str) -> None:
            sent.append(json.loads(Path(path).read_text(encoding="utf-8")))

        def get_run(self, run_id: str) -> SimpleNamespace:
            return SimpleNamespace(data=SimpleNamespace(tags={}))

        def set_tag(self, run_id: str, key: str, value: str) -> None:
            """Not of interest here."""

    send_table(Client(), "run", tmp_path / "test.csv")

    assert sent[0]["columns"] == list(table)
    assert sent[0]["data"] == [
        ["001", "NA", "NA", 0.5],
        ["01", "1e5", "None", None],
        ["1e5", "01", "nan", 1.0],
        ["NA", "001", "1", 0.0],
    ]
