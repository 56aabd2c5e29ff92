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
from medseg.tracking.mlflow.tables import one_row_a_case, send_table

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
    expected = pd.DataFrame({"case": ["a", "b"], "dice/é": [None, float("nan")], "dice/x": [0.125, None]})
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_the_view_has_one_row_a_case_with_dice_first_and_the_background_and_the_group_last() -> None:
    table = pd.DataFrame(
        {
            "case": ["b", "b", "a", "a"],
            "group": ["p", "p", "q", "q"],
            "name": ["outside", "core", "core", "outside"],
            "iou": [0.1, 0.2, 0.3, 0.4],
            "dice": [0.5, 0.6, 0.7, 0.8],
        }
    )
    found = one_row_a_case(table)

    assert list(found) == ["case", "dice/core", "dice/outside", "iou/core", "iou/outside", "group"]
    assert found.to_numpy().tolist() == [["b", 0.6, 0.5, 0.2, 0.1, "p"], ["a", 0.7, 0.8, 0.3, 0.4, "q"]]


def test_a_table_without_classes_or_with_one_twice_keeps_its_rows() -> None:
    images = pd.DataFrame({"case": ["a"], "group": ["p"], "truth": ["yes"], "predicted": ["no"]})
    twice = pd.DataFrame({"case": ["a", "a"], "name": ["x", "x"], "dice": [0.1, 0.2]})

    assert list(one_row_a_case(images)) == ["case", "predicted", "truth", "group"]
    pd.testing.assert_frame_equal(one_row_a_case(twice), twice)


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

    assert sent[0]["columns"] == ["case", "truth", "dice", "group"]
    assert sent[0]["data"] == [
        ["001", "NA", 0.5, "NA"],
        ["01", "None", None, "1e5"],
        ["1e5", "nan", 1.0, "01"],
        ["NA", "1", 0.0, "001"],
    ]
