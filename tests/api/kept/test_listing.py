"""Runs as frames: all of a folder, and one with its scores; nothing in them is changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import medseg
from medseg.api import show_run
from medseg.cli.main import app
from medseg.errors import RunError
from medseg.pipeline.audit.certificate import digest_of
from medseg.pipeline.process import this_process
from medseg.tracking.mlflow.calls import metrics_call
from medseg.tracking.mlflow.sending.outbox import leave


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_runs_stand_in_a_frame_the_latest_first(made_run) -> None:
    one = made_run("brats2d-20260101-120000-aaaa", {}, definition={"seed": 3})
    made_run("brats2d-20260301-120000-bbbb", {}, data_fingerprint="", status="KILLED")
    made_run("brats2d-20260201-120000-cccc", {}, status="RUNNING", process=this_process())
    (one.path / "metrics.jsonl").write_text(
        '{"step": 1, "metrics": {"val/score": 0.25}}\n{"step": 2, "metrics": {"val/score": 0.75}}\n'
        f'{{"metrics": {{"val/score": 1{"0" * 400}}}}}\n{{"torn'
    )
    leave(one.path, metrics_call({"x": 1.0}, 1, 1), print)
    before = files(Path())
    found = medseg.runs()

    assert files(Path()) == before
    assert [name[-4:] for name in found["run"]] == ["bbbb", "cccc", "aaaa"]
    assert found["status"].tolist() == ["KILLED", "GONE", "FINISHED"]
    row = found.set_index("run").loc[one.path.name]
    assert (row["seed"], row["val_score"], row["waiting"], row["mine"]) == (3, 0.75, 1, True)
    assert str(row["began"])[:16] == "2026-01-01 12:00"


def test_damaged_and_foreign_runs_are_listed_as_such(made_run) -> None:
    broken, other = made_run("broken", {}), made_run("other", {})
    (broken.path / "run.json").write_text("{")
    content = json.loads((other.path / "run.json").read_text())
    (other.path / "run.json").write_text(json.dumps({**content, "data": None}))
    found = medseg.runs().set_index("run")
    assert found.loc["broken", "status"] == "DAMAGED"
    assert found["mine"].to_dict() == {"broken": False, "other": False}
    with pytest.raises(RunError, match=r"run.json of the run broken is damaged"):
        show_run("broken")


def test_without_runs_there_is_an_empty_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert medseg.runs().empty
    assert "run" in medseg.runs().columns


def test_one_run_is_shown_with_its_scores(finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.folder.parents[1])
    before = files(finished.folder)
    found = medseg.show_run("latest")
    assert files(finished.folder) == before
    assert found.facts["run"] == finished.name
    assert found.facts["mlflow_run"] == finished.run_id
    assert found.summaries["test"].equals(finished.summary())
    assert 0 < found.facts["val_score"] < 1


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"name,score\nx,dice\n"])
def test_a_damaged_summary_is_refused(content: bytes, made_run) -> None:
    folder = made_run("run", {})
    (folder.path / "scores" / "test_summary.csv").write_bytes(content)
    with pytest.raises(RunError, match=r"test_summary.csv of the run run is damaged"):
        show_run("run")


@pytest.mark.parametrize(
    ("content", "kinds", "altered"),
    [
        ('{"leaks": {"images": "a and b", "rm -rf": "x"}}', "images, other", True),
        ('{"leaks": {}}', "", True),
        (json.dumps({"leaks": {}, "sha256": digest_of({"leaks": {}})}), "", False),
        ("{", "", True),
        (None, "", False),
    ],
    ids=["leaks", "no digest", "whole", "damaged", "none"],
)
def test_a_leak_stands_in_the_list_and_where_a_run_is_shown(
    content: str | None, kinds: str, altered: bool, made_run
) -> None:
    folder = made_run("run", {})
    if content is not None:
        (folder.path / "audit.json").write_text(content)
    listed, shown = (CliRunner().invoke(app, ["runs", *what]).stdout for what in (["list"], ["show", "run"]))

    assert medseg.runs()["leaks"].tolist() == [kinds]
    assert medseg.runs()["altered"].tolist() == [altered]
    assert ("ALTERED: its leak certificate was changed" in " ".join(listed.split())) == altered
    assert ("ALTERED: its leak certificate was changed" in " ".join(shown.split())) == altered
    assert ("FINISHED, LEAK" in listed) == bool(kinds)
    assert ("LEAK: its scores are too good. See why: medseg runs audit RUN" in listed) == bool(kinds)
    assert (f"LEAK ({kinds}): its scores are too good" in shown) == bool(kinds)
