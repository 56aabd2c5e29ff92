"""What waits for the tracking server is sent once; of runs of others nothing is."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from medseg.api import resume_pipeline, sync_runs
from medseg.errors import RunError
from medseg.pipeline.options import RunOptions
from medseg.pipeline.process import this_process
from medseg.pipeline.study.cross_validation import CrossValidation
from medseg.recorder import Status
from medseg.tracking.mlflow.calls import metrics_call
from medseg.tracking.mlflow.recorder import MlflowRecorder
from medseg.tracking.mlflow.sending.outbox import UNTRACKED, leave
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own


def wait(folder: Path) -> None:
    leave(folder, metrics_call({"test/dice": 0.5}, 2, 1_700_000_000_000), print)


def stranger(folder: object) -> None:
    """Change the file of a run, whose signature then is of something else."""
    path = folder.path / "run.json"  # type: ignore[attr-defined]
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "data": "/other"}), encoding="utf-8")


def history(uri: str, run_id: str) -> list[float]:
    with open_store(uri) as client:
        return [metric.value for metric in client.get_metric_history(run_id, "test/dice")]


def test_what_waits_is_sent_once_and_the_run_ends_there_as_it_did_here(tracked_run, uri) -> None:
    runs = {
        status: tracked_run(f"run-{status}", status=status) for status in ("FINISHED", "FAILED", "KILLED")
    }
    for folder in runs.values():
        wait(folder.path)
    assert sorted((each.name, each.sent, each.note) for each in sync_runs()) == [
        (f"run-{status}", True, "") for status in sorted(runs)
    ]
    assert sync_runs() == []
    with open_store(uri) as client:
        for status, folder in runs.items():
            run_id = folder.read().tracked
            assert client.get_run(run_id).info.status == status
            assert history(uri, run_id) == [0.5]
            assert not (folder.path / UNTRACKED).exists()


def test_a_line_that_is_sent_twice_makes_no_double(tracked_run, uri) -> None:
    """As after a kill between sending and writing down what still waits."""
    folder = tracked_run("run")
    for _ in range(2):
        wait(folder.path)
    (found,) = sync_runs("run")
    assert found.sent
    wait(folder.path)
    assert sync_runs("run")[0].sent
    assert history(uri, folder.read().tracked) == [0.5]


def test_of_runs_of_others_nothing_is_sent_and_no_other_waits_for_them(tracked_run, uri, monkeypatch) -> None:
    mine, other = tracked_run("mine"), tracked_run("other")
    for folder in (mine, other):
        wait(folder.path)
    stranger(other)
    found = {each.name: each for each in sync_runs()}
    assert found["mine"].sent
    assert not found["other"].sent
    assert "nothing of it is sent to the address that it names" in found["other"].note
    assert (other.path / UNTRACKED).exists()

    def asked(*_: object) -> None:
        raise AssertionError("a server was asked")

    monkeypatch.setattr("medseg.tracking.mlflow.store.reach", asked)
    with pytest.raises(RunError, match="made by somebody else"):
        sync_runs("medseg-runs/other")


def test_where_the_server_is_away_all_waits_on(tracked_run) -> None:
    folder = tracked_run("run", tracking_uri="http://127.0.0.1:9")
    wait(folder.path)
    before = (folder.path / UNTRACKED).read_bytes()
    (found,) = sync_runs()
    assert not found.sent
    assert "127.0.0.1:9 cannot be used" in found.note
    assert (folder.path / UNTRACKED).read_bytes() == before


def test_a_server_that_has_moved_can_be_named_and_is_kept(tracked_run, uri) -> None:
    folder = tracked_run("run", tracking_uri="http://127.0.0.1:9")
    wait(folder.path)
    assert sync_runs("run", tracking_uri=uri)[0].sent
    assert folder.read().tracking_uri == uri
    assert folder.read().mine


def test_a_run_that_goes_on_sends_for_itself(tracked_run, monkeypatch) -> None:
    folder = tracked_run("run", status="RUNNING", process=this_process())
    wait(folder.path)
    monkeypatch.setattr("medseg.api.kept.syncing.alive", lambda *_: True)
    monkeypatch.setattr("medseg.api.kept.syncing.mark_gone", lambda _: [])
    with pytest.raises(RunError, match="still going on, and sends what waits itself"):
        sync_runs("run")


def test_a_run_that_was_deleted_there_or_has_no_run_there_says_so(tracked_run, uri) -> None:
    deleted, none = tracked_run("deleted"), tracked_run("none", tracked="")
    with open_store(uri) as client:
        client.delete_run(deleted.read().tracked)
    for folder in (deleted, none):
        wait(folder.path)
    notes = {each.name: each.note for each in sync_runs()}
    assert "was deleted. Restore it" in notes["deleted"]
    assert "has no MLflow run to send to" in notes["none"]


def test_a_database_of_another_mlflow_is_refused_with_what_mlflow_says(tracked_run, tmp_path: Path) -> None:
    folder = tracked_run("run")
    wait(folder.path)
    newer = tmp_path / "newer.db"
    shutil.copyfile(tmp_path / "work" / "mlflow.db", newer)
    with closing(sqlite3.connect(newer)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    (found,) = sync_runs("run", tracking_uri=f"sqlite:///{newer.as_posix()}")
    assert not found.sent
    assert "newer.db cannot be used" in found.note
    assert "schema" in found.note
    assert (folder.path / UNTRACKED).exists()


class Stranger(BaseHTTPRequestHandler):
    """A server that is there, and speaks another REST interface."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_server_of_another_mlflow_is_refused_and_all_waits_on(tracked_run) -> None:
    folder = tracked_run("run")
    wait(folder.path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        (found,) = sync_runs("run", tracking_uri=f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
    assert not found.sent
    assert f"127.0.0.1:{server.server_port} cannot be used" in found.note
    assert (folder.path / UNTRACKED).exists()


def test_what_waits_of_the_run_above_folds_is_sent_too(tracked_run, uri) -> None:
    tracked_run("fold")  # makes the working folder
    declared = {"definition": {"name": "brats2d"}, "manifest": {}}
    status: Status = "FINISHED"
    asked = CrossValidation(
        "f", "brats2d", "/d", 2, (), RunOptions.of(device="cpu"), declared, uri, status
    ).write()
    recorder = MlflowRecorder.start(uri, experiment="brats2d", name="f", folder=asked.folder, system=False)
    wait(asked.folder)
    assert [(each.name, each.sent) for each in sync_runs()] == [("f", True)]
    assert history(uri, recorder.run_id) == [0.5]
    wait(asked.folder)
    replace(asked, folds=3, signature="").write()
    (asked.folder / "folds.json").write_text(
        (asked.folder / "folds.json").read_text(encoding="utf-8").replace("/d", "/e"), encoding="utf-8"
    )
    assert sync_runs() == []  # that of somebody else is left alone


def test_resume_of_a_finished_run_sends_in_the_same_way(tracked_run, uri) -> None:
    folder = tracked_run("run")
    (folder.path / "split.json").write_text('{"by": "group"}', encoding="utf-8")
    wait(folder.path)
    assert resume_pipeline("run").run_id == folder.read().tracked
    assert history(uri, folder.read().tracked) == [0.5]
    with pytest.raises(RunError, match="nothing to go on with"):
        resume_pipeline("run")
