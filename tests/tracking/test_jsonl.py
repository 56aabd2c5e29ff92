from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.errors import RunError
from medseg.recorder import DataInput
from medseg.tracking.jsonl import FolderRecorder, note_status, read_metrics


def content(folder: Path, name: str) -> object:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_a_run_is_written_as_plain_files(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path / "run")
    recorder.params({"steps.fit.epochs": 3, "path": Path("a")})
    recorder.params({"seed": 7})
    recorder.tags({"data.kind": "generated"})
    recorder.metrics({"val/dice/oedema": 0.5}, 1)
    recorder.data([DataInput("brats", "abc", "train", {"cases": 3}, "CBICA")])
    assert content(tmp_path / "run", "status.json")["status"] == "RUNNING"
    recorder.close("FINISHED")
    assert content(tmp_path / "run", "params.json") == {"steps.fit.epochs": 3, "path": "a", "seed": 7}
    assert content(tmp_path / "run", "tags.json") == {"data.kind": "generated"}
    assert content(tmp_path / "run", "inputs.json") == [
        {"name": "brats", "digest": "abc", "context": "train", "profile": {"cases": 3}, "source": "CBICA"}
    ]
    assert content(tmp_path / "run", "status.json")["status"] == "FINISHED"
    (line,) = read_metrics(tmp_path / "run", print)
    assert (line["step"], line["metrics"]) == (1, {"val/dice/oedema": 0.5})
    assert line["time"] > 1.6e9


def test_a_second_process_merges_and_repeats_nothing(tmp_path: Path) -> None:
    first = FolderRecorder(tmp_path)
    first.params({"a": 1, "b": 2})
    first.tags({"t": "1"})
    first.data([DataInput("d", "x", "train", {}), DataInput("d", "x", "val", {})])
    first.metrics({"loss": 1.0}, 1)
    second = FolderRecorder(tmp_path)
    second.params({"b": 3})
    second.tags({"u": "2"})
    second.data([DataInput("d", "y", "train", {})])
    second.metrics({"loss": 9.0, "dice": 0.1}, 1)
    second.metrics({"loss": 0.5}, 2)
    assert content(tmp_path, "params.json") == {"a": 1, "b": 3}
    assert content(tmp_path, "tags.json") == {"t": "1", "u": "2"}
    assert {(one["context"], one["digest"]) for one in content(tmp_path, "inputs.json")} == {
        ("train", "y"),
        ("val", "x"),
    }
    assert [(line["step"], line["metrics"]) for line in read_metrics(tmp_path, print)] == [
        (1, {"loss": 1.0}),
        (1, {"dice": 0.1}),
        (2, {"loss": 0.5}),
    ]


@given(cut=st.integers(1, 60))
def test_a_line_torn_at_any_byte_is_dropped_and_recorded_anew(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    recorder = FolderRecorder(folder)
    recorder.metrics({"löss": 1.0}, 1)
    recorder.metrics({"löss": 2.0}, 2)
    whole = (folder / "metrics.jsonl").read_bytes()
    start = whole.index(b"\n") + 1
    (folder / "metrics.jsonl").write_bytes(whole[: max(start, len(whole) - cut)])
    again = FolderRecorder(folder)
    again.metrics({"löss": 7.0}, 1)
    again.metrics({"löss": 2.0}, 2)
    assert [(line["step"], line["metrics"]) for line in read_metrics(folder, print)] == [
        (1, {"löss": 1.0}),
        (2, {"löss": 2.0}),
    ]


@pytest.mark.parametrize(
    "damage", [b"\0" * 5000, b"\0\n", b'{"step": 3, "ti', b'{"step": 3, "time": 0, "metr\0\0\0\n']
)
def test_what_a_power_cut_left_at_the_end_is_cut_off_and_said(tmp_path: Path, damage: bytes) -> None:
    FolderRecorder(tmp_path).metrics({"loss": 1.0}, 1)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(damage)

    said: list[str] = []
    FolderRecorder(tmp_path, said.append).metrics({"loss": 2.0}, 2)

    assert [line["metrics"] for line in read_metrics(tmp_path, print)] == [{"loss": 1.0}, {"loss": 2.0}]
    assert said == [
        f"The last {len(damage)} bytes of metrics.jsonl were damaged, as by a power cut, and are cut off."
    ]


def test_numbers_that_json_lacks_become_null_and_are_not_repeated(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path)
    recorder.metrics({"a": math.nan, "b": math.inf, "c": 1.0}, 0)
    FolderRecorder(tmp_path).metrics({"a": 1.0}, 0)
    (line,) = (json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert line["metrics"] == {"a": None, "b": None, "c": 1.0}


def test_a_spoilt_line_of_metrics_is_an_error_that_names_the_file_and_not_its_folder(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("{]\n", encoding="utf-8")
    with pytest.raises(RunError, match=r"metrics\.jsonl") as caught:
        FolderRecorder(tmp_path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *product(["params.json", "tags.json", "inputs.json"], ["", "{]\n", "7", '"a"', "[1]"]),
        ("inputs.json", '[{"name": "train"}]'),
        ("inputs.json", '[{"name": [], "context": "train"}]'),
    ],
)
def test_a_damaged_file_is_made_again_and_that_is_said(tmp_path: Path, name: str, damage: str) -> None:
    FolderRecorder(tmp_path).params({"epochs": 3})
    (tmp_path / name).write_text(damage, encoding="utf-8")
    said: list[str] = []

    again = FolderRecorder(tmp_path, said.append)
    again.params({"epochs": 3})
    again.tags({"device": "cpu"})
    again.data([])

    assert len(said) == 1
    assert said[0].startswith(f"{name} is damaged and is made again.")
    assert json.loads((tmp_path / "params.json").read_text()) == {"epochs": 3}
    assert json.loads((tmp_path / "tags.json").read_text()) == {"device": "cpu"}


def test_metrics_that_were_emptied_are_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b"")
    said: list[str] = []

    FolderRecorder(tmp_path, said.append).metrics({"loss": 1.0}, 1)

    assert said == [
        "metrics.jsonl is empty. What was recorded in it before is lost here; MLflow may have it."
    ]


def test_who_notes_how_a_run_ended_cuts_nothing_off_in_silence(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 3, "ti')

    note_status(tmp_path, "KILLED")

    assert (tmp_path / "metrics.jsonl").read_bytes() == b'{"step": 3, "ti'
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "KILLED"


def test_artifacts_inside_stay_and_those_outside_are_copied(tmp_path: Path) -> None:
    run = tmp_path / "run"
    recorder = FolderRecorder(run)
    (run / "scores.csv").write_text("a")
    (tmp_path / "figure.png").write_bytes(b"1")
    (tmp_path / "predictor").mkdir()
    (tmp_path / "predictor" / "weights").write_bytes(b"2")
    recorder.artifact(run / "scores.csv", "tables")
    recorder.artifact(tmp_path / "figure.png", "figures")
    recorder.model(tmp_path / "predictor")
    assert not (run / "tables").exists()
    assert (run / "figures" / "figure.png").read_bytes() == b"1"
    assert (run / "predictor" / "weights").read_bytes() == b"2"


def test_a_score_that_has_changed_counts_again_and_a_curve_does_not(tmp_path: Path) -> None:
    FolderRecorder(tmp_path).metrics({"test/dice/mean": 0.5, "epoch/train/loss": 1.0}, 0)
    longer = FolderRecorder(tmp_path)
    for _ in range(2):
        longer.metrics({"test/dice/mean": 0.75, "epoch/train/loss": 9.0}, 0)

    lines = [line["metrics"] for line in read_metrics(tmp_path, print)]
    assert lines == [{"test/dice/mean": 0.5, "epoch/train/loss": 1.0}, {"test/dice/mean": 0.75}]
