"""Going on with a run that was interrupted, by Ctrl-C at any stage or by a kill."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from medseg.api import RunResult, find_run_folder, load_model, mark_gone, resume_pipeline, run_pipeline
from medseg.api.finding import with_credentials
from medseg.cli.main import app
from medseg.errors import RunError, TrackingError
from medseg.pipeline.folder import RunFolder, all_runs
from medseg.tracking.jsonl import FolderRecorder
from medseg.tracking.mlflow.calls import Call
from medseg.tracking.mlflow.sending.outbox import UNTRACKED, leave
from medseg.tracking.mlflow.store import open_store

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
    pytest.mark.usefixtures("figureless"),
]


def only_run() -> RunFolder:
    ((folder, _),) = all_runs()
    return folder


def same_end(folder: Path, finished: RunResult) -> None:
    """Weights and tables of a run are, to the byte, those of the run that was never interrupted."""
    for name in ("model/weights.safetensors", "scores/test.csv", "scores/test_summary.csv", "split.json"):
        assert (folder / name).read_bytes() == (finished.folder / name).read_bytes(), name


def status_in_mlflow(uri: str, run_id: str) -> str:
    with open_store(uri) as client:
        return str(client.get_run(run_id).info.status)


def interrupt(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def once(call: Callable[..., Any], number: int) -> Callable[..., Any]:
    """Pass calls on, except one, which is interrupted."""
    seen = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal seen
        seen += 1
        return interrupt() if seen == number else call(*args, **kwargs)

    return wrapped


STAGES = {
    "while slices are prepared": ("medseg.slices.store.fill", "make_slices", 3),
    "before the first step": ("medseg.pipeline.run", "_log_data_picture", 1),
    "after the first epoch, before its checkpoint": (
        "medseg.learning.training.checkpoint.Checkpoints",
        "save",
        1,
    ),
    "in the second epoch": ("medseg.learning.training.engine.epochs.Epochs", "_train", 2),
    "when the scores are written": ("medseg.steps.evaluate.Evaluate", "_write", 1),
    "when the tracker is told that it is finished": (
        "medseg.tracking.mlflow.recorder.MlflowRecorder",
        "close",
        1,
    ),
    "when the model is logged": ("medseg.tracking.jsonl.FolderRecorder", "model", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.usefixtures("workspace")
def test_a_run_interrupted_at_any_stage_ends_as_if_it_had_not_been(
    stage: str,
    finished: RunResult,
    patients: Path,
    tiny: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pydoc import locate

    import medseg.learning.training.engine.epochs
    import medseg.pipeline.run
    import medseg.steps.evaluate
    import medseg.tracking.mlflow.recorder  # noqa: F401

    where, name, number = STAGES[stage]
    owner = locate(where)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, once(getattr(owner, name), number))
        with pytest.raises(KeyboardInterrupt):
            run_pipeline("brats2d", patients, set=tiny, device="cpu")
    folder = only_run()
    state = folder.read()
    uri = state.tracking_uri

    assert state.status == "KILLED"
    assert status_in_mlflow(uri, state.tracked) == "KILLED"
    found = resume_pipeline()

    assert found.run_id == state.tracked
    assert folder.read().status == "FINISHED"
    assert status_in_mlflow(uri, found.run_id) == "FINISHED"
    same_end(folder.path, finished)
    with open_store(uri) as client:
        assert len(client.get_metric_history(found.run_id, "epoch/train/loss")) == 2


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
def test_a_run_killed_in_training_is_marked_and_ends_bit_for_bit_as_if_it_had_not_been(
    workspace: Path, patients: Path, tiny: tuple[str, ...]
) -> None:
    settings = [*tiny, "steps.fit.epochs=4", "loading.batch_size=2"]
    words = [word for each in settings for word in ("--set", each)]
    command = [sys.executable, "-c", "from medseg.cli.main import app; app()"]
    command += ["pipeline", "run", "brats2d", "--data", str(patients), "--device", "cpu", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            _wait_for(lambda: list(Path("medseg-runs").glob("*/steps/fit/last.pt")), process)
        finally:
            os.kill(process.pid, signal.SIGKILL)
    folder = only_run()
    state = folder.read()
    assert state.status == "RUNNING"  # nobody could say otherwise
    assert status_in_mlflow(state.tracking_uri, state.tracked) == "RUNNING"

    listed = CliRunner().invoke(app, ["pipeline", "list"])
    assert listed.exit_code == 0, listed.output
    assert folder.read() == state  # those commands alone that run, go on or compare mark it
    assert mark_gone() == [state.name]
    assert folder.read().status == "KILLED"
    assert status_in_mlflow(state.tracking_uri, state.tracked) == "KILLED"

    resumed = CliRunner().invoke(app, ["pipeline", "resume"])
    assert resumed.exit_code == 0, resumed.output
    assert folder.read().status == "FINISHED"
    assert folder.read().tracked == state.tracked
    assert status_in_mlflow(state.tracking_uri, state.tracked) == "FINISHED"

    whole = run_pipeline("brats2d", patients, set=settings, device="cpu")
    weights, expected = (
        load_file(each / "model" / "weights.safetensors") for each in (folder.path, whole.folder)
    )
    assert weights.keys() == expected.keys()
    for name, values in expected.items():
        assert (weights[name] == values).all(), name
    same_end(folder.path, whole)
    with open_store(state.tracking_uri) as client:
        for key in (
            "epoch/train/loss",
            "epoch/val/score",
            "epoch/val/dice/oedema",
            "epoch/work/learning_rate",
        ):
            points, once = (client.get_metric_history(run, key) for run in (state.tracked, whole.run_id))
            assert [point.step for point in points] == list(range(1, 5)), key
            assert [point.value for point in points] == [point.value for point in once], key


def _wait_for(there: Callable[[], Any], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 240
    while not there():
        if process.poll() is not None:
            complaint = process.stderr.read().decode() if process.stderr else ""
            pytest.fail(f"the run ended before it could be killed: {complaint}")
        assert time.monotonic() < end, "the run wrote no checkpoint"
        time.sleep(0.02)


@pytest.mark.parametrize("form", ["folder", "name", "prefix of the name", "id", "prefix of the id", "latest"])
def test_a_run_is_resumed_by_whatever_names_it(
    form: str, killed: RunFolder, finished: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {
        "folder": str(killed.path),
        "name": finished.name,
        "prefix of the name": finished.name[:-2],
        "id": finished.run_id,
        "prefix of the id": finished.run_id[:8],
        "latest": "latest",
    }[form]

    assert find_run_folder(named).path == killed.path


@pytest.mark.slow
def test_a_step_that_is_done_is_recalled_not_done_again(
    killed: RunFolder, finished: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    import medseg.learning.training.engine.epochs

    monkeypatch.setattr(medseg.learning.training.engine.epochs.Epochs, "run", interrupt)
    found = resume_pipeline(str(killed.path))

    assert killed.read().done == ("fit", "evaluate")
    assert found.run_id == finished.run_id
    same_end(killed.path, finished)


def test_a_finished_run_is_refused(killed: RunFolder) -> None:
    killed.write(replace(killed.read(), status="FINISHED"))

    with pytest.raises(RunError, match="finished"):
        resume_pipeline(str(killed.path))
    with pytest.raises(RunError, match="no unfinished run"):
        resume_pipeline()


@pytest.mark.slow
def test_a_run_whose_data_changed_is_refused_and_can_still_be_resumed_with_the_old_ones(
    killed: RunFolder, patients: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(patients, changed)
    shutil.rmtree(changed / "Brats_006")

    with pytest.raises(RunError, match="data have changed"):
        resume_pipeline(str(killed.path), data=changed)
    assert killed.read().status == "KILLED"


@pytest.mark.slow
def test_moved_data_are_the_same_data(killed: RunFolder, patients: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(patients, moved)
    resume_pipeline(str(killed.path), data=moved)

    assert killed.read().status == "FINISHED"


HOLD = """
import sys
from pathlib import Path
from medseg.files.lock import take
kept = take(Path(sys.argv[1]))
print("held", flush=True)
input()
"""


@pytest.mark.slow
def test_a_working_folder_that_was_moved_goes_on_where_it_is_now(
    killed: RunFolder, finished: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Path.cwd(), tmp_path / "moved here"
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        first = (finished.folder.parents[1] / "mlartifacts").as_uri()
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            there = (old / "mlartifacts").as_uri()
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (first, there))  # noqa: S608
    old.rename(new)
    monkeypatch.chdir(new)

    result = resume_pipeline(killed.path.name)

    assert RunFolder(Path("medseg-runs") / result.name).read().status == "FINISHED"
    assert result.tracking_uri == f"sqlite:///{(new / 'mlflow.db').as_posix()}"
    assert not old.exists()
    assert list((new / "mlartifacts").rglob("MLmodel"))
    assert load_model(result.run_id, tracking_uri=result.tracking_uri, device="cpu")


def test_a_tracking_database_that_is_gone_is_said_to_be_and_none_is_made(killed: RunFolder) -> None:
    Path("mlflow.db").rename("renamed.db")

    with pytest.raises(TrackingError, match=r"mlflow\.db of the run .* is not where it was.*--tracking-uri"):
        resume_pipeline(killed.path.name)
    assert not Path("mlflow.db").exists()
    assert killed.read().status == "KILLED"


def test_a_run_that_still_goes_on_is_refused_and_left_alone(killed: RunFolder) -> None:
    command = [sys.executable, "-c", HOLD, str(killed.path / ".held")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        who = {"host": platform.node(), "pid": other.pid}
        killed.write(replace(killed.read(), status="RUNNING", process=who))
        assert mark_gone() == []
        with pytest.raises(RunError, match="still going on"):
            resume_pipeline(str(killed.path))
        assert killed.read().process["pid"] == other.pid
        other.communicate(b"\n")
    assert mark_gone() == [killed.path.name]
    assert killed.read().status == "KILLED"


def test_a_process_that_got_the_number_of_a_dead_one_is_told_apart(killed: RunFolder) -> None:
    who = {"host": platform.node(), "pid": os.getppid()}
    killed.write(replace(killed.read(), status="RUNNING", process=who))

    assert mark_gone() == [killed.path.name]


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize("damaged", ["last.pt", "best-*.safetensors"])
def test_a_training_whose_checkpoint_is_damaged_begins_anew_and_says_so(
    damaged: str, killed: RunFolder, finished: RunResult
) -> None:
    killed.write(replace(killed.read(), done=()))
    (path,) = (killed.path / "steps" / "fit").glob(damaged)
    path.write_bytes(b"")

    resumed = CliRunner().invoke(app, ["pipeline", "resume", str(killed.path)])

    assert resumed.exit_code == 0, resumed.output
    assert f"checkpoint of this training is damaged ({path.name})" in " ".join(resumed.output.split())
    same_end(killed.path, finished)
    with open_store(killed.read().tracking_uri) as client:
        points = client.get_metric_history(finished.run_id, "epoch/train/loss")
    assert [point.step for point in points] == [1, 2], "what was recorded before is not recorded again"


def test_an_unknown_run_is_refused_with_those_there_are(killed: RunFolder) -> None:
    with pytest.raises(RunError, match=killed.path.name):
        find_run_folder("nonsense")


def test_several_runs_of_a_prefix_are_listed(killed: RunFolder) -> None:
    shutil.copytree(killed.path, killed.path.with_name("brats2d-20990101-000000-ffff"))
    other = RunFolder(killed.path.with_name("brats2d-20990101-000000-ffff"))
    other.write(replace(killed.read(), name=other.path.name, tracked="0" * 32))

    with pytest.raises(RunError, match="Give more"):
        find_run_folder("brats2d")
    assert find_run_folder("latest").path == other.path


def test_a_damaged_run_file_is_passed_over_or_named(killed: RunFolder) -> None:
    (killed.path / "run.json").write_text("{", encoding="utf-8")

    assert list(all_runs()) == []
    with pytest.raises(RunError, match="damaged"):
        resume_pipeline(str(killed.path))


def test_run_json_is_private_to_this_machine_and_holds_what_resuming_needs(killed: RunFolder) -> None:
    state = json.loads((killed.path / "run.json").read_text())

    assert set(state) >= {"name", "pipeline", "data", "options", "tracked", "status", "process", "done"}


GONE = {"host": platform.node(), "pid": 2**22 - 3}
NOWHERE = "http://127.0.0.1:1"


def set_in_mlflow(folder: RunFolder, status: str) -> None:
    with open_store(folder.read().tracking_uri) as client:
        client.update_run(folder.read().tracked, status=status)


def test_records_of_a_finished_run_that_wait_are_sent_and_its_end_with_them(
    killed: RunFolder, finished: RunResult
) -> None:
    state = killed.write(replace(killed.read(), status="FINISHED"))
    set_in_mlflow(killed, "RUNNING")
    leave(killed.path, Call("tags", {"late": "µ"}), print)

    with pytest.raises(TrackingError, match="127"):
        resume_pipeline(state.name, tracking_uri=NOWHERE)
    assert (killed.path / UNTRACKED).exists()
    found = resume_pipeline(state.name)

    assert (found.run_id, found.generated, found.leaking) == (finished.run_id, False, False)
    assert not (killed.path / UNTRACKED).exists()
    with open_store(state.tracking_uri) as client:
        run = client.get_run(found.run_id)
    assert (run.info.status, run.data.tags["late"]) == ("FINISHED", "µ")
    assert killed.read() == state
    with pytest.raises(RunError, match="nothing to go on with"):
        resume_pipeline(state.name)


@pytest.mark.parametrize("told", ["RUNNING", "FINISHED"])
def test_a_run_killed_while_it_told_how_it_ended_has_ended_so(told: str, killed: RunFolder) -> None:
    set_in_mlflow(killed, told)
    state = killed.write(replace(killed.read(), status="RUNNING", ending="FINISHED", process=GONE))

    assert mark_gone() == []
    assert (killed.read().status, killed.read().ending) == ("FINISHED", "")
    assert status_in_mlflow(state.tracking_uri, state.tracked) == "FINISHED"


@pytest.mark.slow
def test_an_end_that_the_server_did_not_hear_waits_for_it(killed: RunFolder) -> None:
    uri = killed.read().tracking_uri
    set_in_mlflow(killed, "RUNNING")
    state = replace(killed.read(), status="RUNNING", ending="FINISHED", process=GONE, tracking_uri=NOWHERE)
    killed.write(state)

    assert mark_gone() == []
    assert killed.read().status == "FINISHED"
    resume_pipeline(state.name, tracking_uri=uri)
    assert status_in_mlflow(uri, state.tracked) == "FINISHED"
    assert killed.read().tracking_uri == uri  # where it is from now on


@pytest.mark.slow
def test_a_run_whose_steps_are_all_done_only_ends_at_its_own_address_in_its_own_mlflow_run(
    killed: RunFolder, finished: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    import medseg.learning.training.engine.epochs
    import medseg.steps.evaluate

    shutil.copytree(finished.folder / "scores", killed.path / "scores")
    killed.write(replace(killed.read(), done=("fit", "evaluate"), tracked=""))  # nor was the id noted
    monkeypatch.setattr(medseg.learning.training.engine.epochs.Epochs, "run", interrupt)
    monkeypatch.setattr(medseg.steps.evaluate.Evaluate, "__call__", interrupt)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    found = resume_pipeline()

    assert found.run_id == finished.run_id == killed.read().tracked
    assert status_in_mlflow(found.tracking_uri, found.run_id) == "FINISHED"
    same_end(killed.path, finished)


def test_a_run_killed_before_it_noted_its_id_does_not_run_for_ever_in_mlflow(killed: RunFolder) -> None:
    set_in_mlflow(killed, "RUNNING")
    state = killed.read()
    killed.write(replace(state, status="RUNNING", process=GONE, tracked=""))

    assert mark_gone() == [state.name]
    assert killed.read().tracked == state.tracked
    assert status_in_mlflow(state.tracking_uri, state.tracked) == "KILLED"


def test_a_password_is_taken_from_the_environment_for_the_same_server_alone(
    killed: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed.write(replace(killed.read(), tracking_uri="http://***@there:5000"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@there:5000")
    assert with_credentials("http://***@there:5000") == "http://me:secret@there:5000"
    assert with_credentials("sqlite:///a.db") == "sqlite:///a.db"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@elsewhere:5000")
    with pytest.raises(TrackingError, match="never kept") as caught:
        resume_pipeline(str(killed.path))
    assert "secret" not in str(caught.value)
    assert killed.read().status == "KILLED"


@pytest.mark.slow
def test_the_end_of_metrics_that_a_kill_has_torn_is_still_there_to_be_said_when_the_run_is_marked(
    killed: RunFolder,
) -> None:
    killed.write(
        replace(killed.read(), status="RUNNING", process={"host": platform.node(), "pid": os.getppid()})
    )
    with (killed.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "ti')

    assert mark_gone() == [killed.path.name]

    said: list[str] = []
    FolderRecorder(killed.path, said.append)
    assert said == ["The last 15 bytes of metrics.jsonl were damaged, as by a power cut, and are cut off."]


def test_a_run_of_another_machine_is_left_alone_unless_it_is_taken_over(
    killed: RunFolder, finished: RunResult
) -> None:
    killed.write(replace(killed.read(), status="RUNNING", process={**GONE, "host": "old-container"}))

    assert mark_gone() == []
    refused = CliRunner().invoke(app, ["pipeline", "resume", finished.name])
    assert refused.exit_code == 2
    assert "old-container" in refused.output
    assert "--take-over" in refused.output
    taken = CliRunner().invoke(app, ["pipeline", "resume", "--take-over"])
    assert taken.exit_code == 0, taken.output
    assert killed.read().status == "FINISHED"
    same_end(killed.path, finished)
