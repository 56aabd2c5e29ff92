"""`medseg runs move`: from the new place a run goes on, predicts, and is tracked where it was."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medseg.api import RunResult, resume_pipeline
from medseg.cli.main import app
from medseg.pipeline.folder import RUNS, RunFolder
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own


def medseg(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_a_run_that_was_moved_goes_on_and_predicts_and_keeps_its_tracking_store(
    workspace: Path, finished: RunResult, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(finished.folder.parents[1] / "mlflow.db", workspace / "mlflow.db")
    folder = RunFolder(RUNS / finished.name)
    shutil.copytree(finished.folder, folder.path)
    # the working folder was moved before, so that the address is not where its file says
    lost = f"sqlite:///{(workspace / 'gone' / 'mlflow.db').as_posix()}"
    folder.write(replace(folder.read(), status="KILLED", done=("fit",), tracking_uri=lost))
    other = workspace.parent / "other"
    other.mkdir()
    told = medseg("runs", "move", finished.name, other)
    monkeypatch.chdir(other)

    assert f"medseg pipeline resume {finished.name}" in told
    assert not (workspace / folder.path).exists()
    result = resume_pipeline(finished.name, jobs=1)
    assert result.folder == other / RUNS / finished.name
    assert result.tracking_uri == f"sqlite:///{(workspace / 'mlflow.db').as_posix()}"
    with open_store(result.tracking_uri) as client:
        assert client.get_run(finished.run_id).info.status == "FINISHED"
    assert not (other / "mlflow.db").exists()
    medseg("predict", finished.name, patients / "Brats_001", "-o", "out", "--device", "cpu")
    assert list((other / "out").rglob("*.nii.gz"))


def test_of_a_run_that_cannot_go_on_no_resume_is_offered(workspace: Path, finished: RunResult) -> None:
    folder = RunFolder(RUNS / finished.name)
    shutil.copytree(finished.folder, folder.path)
    (workspace / "other").mkdir()
    printed = medseg("runs", "move", finished.name, workspace / "other")

    assert "medseg predict" in printed
    assert "resume" not in printed


def test_of_a_damaged_run_that_is_moved_the_damage_is_named_with_what_mends_it(
    workspace: Path, finished: RunResult
) -> None:
    folder = RunFolder(RUNS / finished.name)
    shutil.copytree(finished.folder, folder.path)
    (folder.path / "model" / "weights.safetensors").write_bytes(b"")
    (workspace / "other").mkdir()
    printed = medseg("runs", "move", finished.name, workspace / "other")

    assert (
        "Damaged or missing in it, as it was before, until it is resumed: model/weights.safetensors."
        in printed
    )
    assert f"medseg pipeline resume {finished.name}" in printed


def test_a_run_that_is_not_there_or_has_no_place_is_refused(workspace: Path) -> None:
    for words in (["nonsense", "."], ["latest", "."]):
        result = CliRunner().invoke(app, ["runs", "move", *words])
        assert result.exit_code == 2
        assert "Traceback" not in result.output


def test_a_finished_run_is_audited_as_text_and_as_json_and_a_canary_of_masks_is_refused(
    workspace: Path, finished: RunResult
) -> None:
    shutil.copytree(finished.folder, RUNS / finished.name)

    assert "No leak" in medseg("runs", "audit", "latest")
    assert json.loads(medseg("runs", "audit", "latest", "--json"))["leaks"] == {}
    refused = CliRunner().invoke(app, ["runs", "audit", "latest", "--canary"])
    assert refused.exit_code == 2
    assert "a canary is for classes of whole images" in " ".join(refused.output.split())


@pytest.mark.parametrize("command", ["audit", "reproduce", "servable", "show"])
def test_an_unknown_run_is_named_in_one_sentence(workspace: Path, command: str) -> None:
    done = CliRunner().invoke(app, ["runs", command, "nobody"])

    assert done.exit_code == 2
    assert "nobody" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--alias", "best"), "Add --register"),
        (("--register", "--alias", "latest"), "expected an alias"),
        (("--register", "--tracking-uri", "http://127.0.0.1:9"), "cannot be used"),
    ],
)
def test_what_cannot_be_registered_is_an_error_before_anything_is_run(
    workspace: Path, words: tuple[str, ...], said: str
) -> None:
    done = CliRunner().invoke(app, ["pipeline", "run", "emps", *words])

    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
    assert not RUNS.exists()
