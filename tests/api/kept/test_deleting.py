"""A run is deleted with its folder, restorable on the tracking store; what goes on or is elsewhere stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medseg.api import delete_run
from medseg.errors import RunError, TrackingError
from medseg.files.lock import take
from medseg.pipeline.options import RunOptions
from medseg.pipeline.process import this_process
from medseg.pipeline.study.cross_validation import CrossValidation
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own


def stage(uri: str, run_id: str) -> str:
    with open_store(uri) as client:
        return str(client.get_run(run_id).info.lifecycle_stage)


def test_a_run_is_gone_and_its_mlflow_run_can_be_restored(tracked_run, uri) -> None:
    folder, beside = tracked_run("run"), tracked_run("beside")
    run_id = folder.read().tracked
    found = delete_run("run")

    assert not folder.path.exists()
    assert beside.path.exists()
    assert (found.name, found.marked) == ("run", run_id)
    assert found.note == f"Restore its MLflow run with: mlflow runs restore --run-id {run_id}"
    assert stage(uri, run_id) == "deleted"
    with open_store(uri) as client:
        client.restore_run(run_id)
    assert stage(uri, run_id) == "active"
    assert stage(uri, beside.read().tracked) == "active"


def test_the_mlflow_run_stays_where_so_wished_and_a_missing_one_keeps_nothing(tracked_run, uri) -> None:
    kept, gone = tracked_run("kept"), tracked_run("gone")
    ids = [folder.read().tracked for folder in (kept, gone)]
    assert delete_run("kept", keep_tracked=True).marked == ""
    assert stage(uri, ids[0]) == "active"
    with open_store(uri) as client:
        client.delete_run(ids[1])
    assert "has no run" in delete_run("gone").note
    assert not gone.path.exists()


def test_where_the_tracking_server_is_away_nothing_is_deleted_and_the_remedy_works(tracked_run) -> None:
    folder = tracked_run("run", tracking_uri="http://127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"nothing was deleted.*--keep-tracked"):
        delete_run("run")
    assert folder.read().mine
    delete_run("run", keep_tracked=True)
    assert not folder.path.exists()


def test_the_store_that_a_run_of_somebody_else_names_is_not_asked(tracked_run, monkeypatch) -> None:
    folder = tracked_run("run")
    path = folder.path / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "data": "/other"}), encoding="utf-8")

    def asked(*_: object) -> None:
        raise AssertionError("a server was asked")

    monkeypatch.setattr("medseg.tracking.mlflow.store.reach", asked)
    assert "was not asked" in delete_run("run").note
    assert not folder.path.exists()


def test_a_run_that_goes_on_stays(made_run) -> None:
    folder = made_run("run", {}, status="RUNNING", process=this_process())
    other = take(folder.path / ".held")
    assert other is not None
    with pytest.raises(RunError, match="is still going on"):
        delete_run("run")
    assert (folder.path / "run.json").exists()
    other.let_go()
    delete_run("run", keep_tracked=True)
    assert not folder.path.exists()


def test_a_fold_that_an_unfinished_cross_validation_needs_stays(made_run) -> None:
    options, declared = RunOptions.of(device="cpu"), {"definition": {}, "manifest": {}}
    made_run("other", {})
    asked = CrossValidation("f", "brats2d", None, 2, (), options, declared, "", "KILLED").write()
    folder = made_run("run", {}, part_of=asked.part(1))
    with pytest.raises(RunError, match="is a fold of f, which has not ended"):
        delete_run("run")
    assert (folder.path / "run.json").exists()


def test_only_the_folder_of_the_run_is_deleted_whatever_links_there_are(made_run, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("stays")
    folder = made_run("run", {})
    (folder.path / "out").symlink_to(tmp_path / "precious")
    link = folder.path.with_name("link")
    link.symlink_to(folder.path.absolute())
    with pytest.raises(RunError, match="link is a link"):
        delete_run(link)
    link.unlink()
    delete_run("run")
    assert not folder.path.exists()
    assert (tmp_path / "precious" / "file").read_text() == "stays"


def test_a_folder_elsewhere_that_holds_a_run_file_may_be_anything_and_stays(made_run, tmp_path: Path) -> None:
    folder = made_run("run", {})
    elsewhere = tmp_path / "home"
    folder.path.rename(elsewhere)
    with pytest.raises(RunError, match="does not lie in a folder medseg-runs/"):
        delete_run(elsewhere)
    assert (elsewhere / "run.json").exists()
