"""Against a real MLflow store in a sqlite file, read back by an MLflow client of the test's own."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pytest

from medseg.errors import RunError, TrackingError
from medseg.recorder import DataInput
from medseg.tracking.jsonl import METRICS, PARAMS, TAGS, FolderRecorder, read_metrics
from medseg.tracking.mlflow.address import default_uri
from medseg.tracking.mlflow.model import save_model
from medseg.tracking.mlflow.recorder import MlflowRecorder
from medseg.tracking.mlflow.runs import (
    LATEST,
    _predictor_folder,
    fetch_model,
    find_run,
    mark_killed,
    run_folder_of,
)
from medseg.tracking.mlflow.sending.outbox import UNTRACKED
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

DESCRIBED = (
    '{"channels": ["flair", "t1"], "maps": ["outside", "healthy", "tumour"], "slices": {"size": [4, 6]}}'
)

STUB = """
import sys, types
from pathlib import Path
import numpy as np

class Predictor:
    channels = inputs = ("flair", "t1")
    task = types.SimpleNamespace(maps=("outside", "healthy", "tumour"))

    def __init__(self, scale):
        self.scale = scale

    @staticmethod
    def load(folder, *, allowed=None):
        return Predictor(float((Path(folder) / "scale.txt").read_text()))

    def probabilities(self, slices):
        assert slices.dtype == np.float32 and slices.flags.c_contiguous
        return np.repeat(slices.mean(axis=1, keepdims=True) * self.scale, 3, axis=1).astype(np.float64)

module = types.ModuleType("medseg.learning.inference.predictor")
module.Predictor = Predictor
sys.modules["medseg.learning.inference.predictor"] = module
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for the whole file: making its tables takes seconds."""
    return default_uri(f"sqlite:///{(tmp_path_factory.mktemp('a store') / 'mlflow.db').as_posix()}")


@pytest.fixture(scope="module")
def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri)


@pytest.fixture
def stub_predictor() -> Iterator[None]:
    """Put a predictor of three lines in the place of the real one, which needs a network and MONAI."""
    before = sys.modules.get("medseg.learning.inference.predictor")
    exec(STUB, {})  # noqa: S102 - the same text runs in the other processes of these tests
    yield
    del sys.modules["medseg.learning.inference.predictor"]
    if before is not None:
        sys.modules["medseg.learning.inference.predictor"] = before


def saved_predictor(folder: Path, scale: float = 1.0) -> Path:
    folder.mkdir(parents=True)
    (folder / "scale.txt").write_text(str(scale))
    (folder / "model.json").write_text(DESCRIBED)
    return folder


def start(uri: str, folder: Path, name: str = "run", system: bool = False, **rest: Any) -> MlflowRecorder:
    return MlflowRecorder.start(uri, experiment="tests", name=name, folder=folder, system=system, **rest)


def steps(client: Any, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client.get_metric_history(run_id, name)]


@pytest.mark.slow
def test_everything_recorded_is_read_back(
    uri: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSEG_USER", "anna")
    folder = tmp_path / "2026-brats2d"
    recorder = start(uri, folder, name="first", note="**research** use only", tags={"owner": "b"})
    recorder.params({f"setting.{number}": number for number in range(250)})
    recorder.params(
        {"none": None, "flag": True, "list": [1, "a"], "text": "x", "long": "y" * 9000, "odd(µ)": 1}
    )
    recorder.tags({"data.kind": "generated"})
    recorder.metrics({f"val/dice/class_{number}": number / 7 for number in range(1500)}, 3)
    recorder.metrics({"train/loss": 0.5, "bad": math.nan, "worse": math.inf}, 1)
    recorder.data(
        [DataInput("brats", "ab" * 18, role, {"cases": cases}) for role, cases in (("train", 3), ("val", 1))]
    )
    (folder / "scores.csv").write_text("case,dice\n")
    (folder / "figures" / "val").mkdir(parents=True)
    (folder / "figures" / "val" / "good.png").write_bytes(b"png")
    recorder.artifact(folder / "scores.csv", "tables")
    recorder.artifact(folder / "figures")
    recorder.close("FINISHED")

    run = client.get_run(recorder.run_id)
    assert run.info.status == "FINISHED"
    assert (run.info.run_name, run.info.user_id) == ("first", "anna")
    assert run.data.params["setting.249"] == "249"
    expected = {"none": "null", "flag": "true", "list": '[1, "a"]', "text": "x", "odd_µ_": "1"}
    assert {name: run.data.params[name] for name in expected} == expected
    assert len(run.data.params["long"]) == 6000
    assert run.data.params["long"].endswith("(cut)")
    assert run.data.tags["data.kind"] == "generated"
    assert run.data.tags["owner"] == "b"
    assert run.data.tags["medseg.run"] == "2026-brats2d"
    assert run.data.tags["mlflow.note.content"] == "**research** use only"
    assert run.data.tags["mlflow.user"] == "anna"
    assert not any(str(tmp_path) in text for text in [*run.data.tags.values(), *run.data.params.values()])
    assert len(run.data.metrics) == 1501
    assert steps(client, recorder.run_id, "val/dice/class_7") == [(3, 1.0)]
    inputs = [one.dataset for one in run.inputs.dataset_inputs]
    assert {(one.name, one.digest, one.profile) for one in inputs} == {
        ("brats/train", "ab" * 18, '{"cases": 3}'),
        ("brats/val", "ab" * 18, '{"cases": 1}'),
    }
    found = {
        tag.value for one in run.inputs.dataset_inputs for tag in one.tags if tag.key == "mlflow.data.context"
    }
    assert found == {"train", "val"}
    assert [one.path for one in client.list_artifacts(recorder.run_id, "tables")] == ["tables/scores.csv"]
    fetched = Path(client.download_artifacts(recorder.run_id, "figures/val/good.png", str(tmp_path)))
    assert fetched.read_bytes() == b"png"


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="needs /proc, which tells the name of an open file"
)
def test_what_is_sent_to_a_folder_of_this_machine_is_on_its_disk_before_it_waits_no_more(
    empty_tracking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stub_predictor: None
) -> None:
    flushed: dict[Path, tuple[int, bool]] = {}
    folder = tmp_path / "run"

    def flush(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        flushed[path] = path.stat().st_mtime_ns, (folder / UNTRACKED).exists()

    shutil.copyfile(empty_tracking, tmp_path / "mlflow.db")
    recorder = start(default_uri(f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"), folder)
    (folder / "figures").mkdir()
    (folder / "figures" / "good.png").write_bytes(b"png")
    (folder / "figures" / "good.png").chmod(0o400)
    (folder / "test.csv").write_text("case,dice\na,0.5\n")
    saved_predictor(folder / "model")
    monkeypatch.setattr("os.fsync", flush)
    recorder.artifact(folder / "test.csv", "tables")
    recorder.artifact(folder / "figures")
    recorder.table(folder / "test.csv")
    recorder.settle()
    recorder.model(folder / "model")
    recorder.close("FINISHED")

    made = tmp_path / "mlartifacts"
    lacking = {
        path.relative_to(tmp_path).as_posix()
        for path in (made, *made.rglob("*"))
        if path not in flushed or not flushed[path][1] or flushed[path][0] != path.stat().st_mtime_ns
    }
    assert not lacking
    assert tmp_path in flushed
    assert {"good.png", "test.csv", "test.json", "MLmodel"} <= {path.name for path in made.rglob("*")}


@pytest.mark.slow
@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_a_run_ends_as_told(uri: str, client: Any, tmp_path: Path, status: Any) -> None:
    recorder = start(uri, tmp_path)
    assert client.get_run(recorder.run_id).info.status == "RUNNING"
    recorder.close(status)
    run = client.get_run(recorder.run_id)
    assert run.info.status == status
    assert run.info.end_time >= run.info.start_time


def test_a_resumed_run_doubles_nothing(uri: str, client: Any, tmp_path: Path) -> None:
    first = start(uri, tmp_path, name="twice")
    first.params({"epochs": 3, "device": "cpu"})
    for step in range(3):
        first.metrics({"loss": float(step)}, step)
        first.metrics({"loss": 99.0}, step)
    first.close("KILLED")
    second = MlflowRecorder.resume(uri, first.run_id, tmp_path, system=False)
    assert client.get_run(first.run_id).info.status == "RUNNING"
    second.params({"epochs": 3, "device": "cuda", "new": 1})
    for step in range(5):
        second.metrics({"loss": float(step), "fresh": 1.0}, step)
    second.close("FINISHED")
    run = client.get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"epochs": "3", "device": "cpu", "new": "1"}
    assert steps(client, first.run_id, "loss") == [(step, float(step)) for step in range(5)]
    assert len(steps(client, first.run_id, "fresh")) == 5


def test_neither_active_run_nor_environment_is_listened_to(
    uri: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = start(uri, tmp_path / "other", name="other")
    monkeypatch.setenv("MLFLOW_RUN_ID", other.run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    mine = start(uri, tmp_path / "mine", name="mine")
    mine.metrics({"loss": 1.0}, 0)
    mine.close("FINISHED")
    assert mine.run_id != other.run_id
    assert client.get_run(other.run_id).data.metrics == {}
    assert client.get_run(other.run_id).info.status == "RUNNING"
    assert client.get_run(mine.run_id).data.metrics == {"loss": 1.0}
    other.close("FINISHED")


def test_how_busy_the_machine_was_is_recorded_until_the_end(uri: str, client: Any, tmp_path: Path) -> None:
    recorder = start(uri, tmp_path, system=True)
    deadline = time.monotonic() + 20
    while not (metrics := client.get_run(recorder.run_id).data.metrics) and time.monotonic() < deadline:
        time.sleep(0.05)
    recorder.close("FINISHED")
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_percentage"} <= metrics.keys()
    again = MlflowRecorder.resume(uri, recorder.run_id, tmp_path)
    again.close("FINISHED")  # stops at once, between two samples
    found = [step for step, _ in steps(client, recorder.run_id, "system/cpu_utilization_percentage")]
    assert found == list(range(len(found)))


def test_a_server_that_is_not_there_is_an_error_before_anything_else(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:1.*--tracking-uri") as caught:
        start("http://me:secret@127.0.0.1:1", tmp_path / "run")
    assert time.monotonic() - begun < 15
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_spoilt_database_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3\x00" + b"spoilt" * 5000)
    begun = time.monotonic()
    with pytest.raises(TrackingError, match="mlflow"):
        start(f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}", tmp_path / "run")
    assert time.monotonic() - begun < 15


def test_a_run_that_was_never_tracked_cannot_be_resumed(uri: str, client: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run 'f{32}'"):
        MlflowRecorder.resume(uri, "f" * 32, tmp_path)


@pytest.mark.slow
def test_the_model_is_served_from_code_in_any_batch_and_size(
    uri: str, client: Any, tmp_path: Path, stub_predictor: None
) -> None:
    import mlflow

    recorder = start(uri, tmp_path / "run")
    recorder.model(saved_predictor(tmp_path / "run" / "last", 1.0))
    recorder.model(saved_predictor(tmp_path / "run" / "best", 2.0))  # the later one counts
    recorder.close("FINISHED")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own type hints
        mlflow.set_tracking_uri(uri)
        model = mlflow.pyfunc.load_model(f"runs:/{recorder.run_id}/model")
    slices = np.random.default_rng(0).random((5, 2, 7, 9), dtype=np.float32)
    for part in (slices, slices[:1], slices[:2, :, :3]):
        found = model.predict({"t1": part[:, 1], "flair": part[:, 0]})
        assert list(found) == ["outside", "healthy", "tumour"]
        assert found["healthy"].dtype == np.float32
        assert found["healthy"].shape == (len(part), *part.shape[2:])
        np.testing.assert_allclose(found["healthy"], 2 * part.mean(axis=1), rtol=1e-6)
    with pytest.raises(mlflow.exceptions.MlflowException, match="flair"):
        model.predict({"t1": slices[:, 1]})
    example = model.input_example
    assert {name: values.shape for name, values in example.items()} == {"flair": (1, 4, 6), "t1": (1, 4, 6)}
    assert not any(values.any() for values in example.values())
    assert model.predict(example)["tumour"].shape == (1, 4, 6)

    (logged,) = client.search_logged_models([client.get_run(recorder.run_id).info.experiment_id])
    assert logged.source_run_id == recorder.run_id
    assert logged.status == "READY"
    outputs = client.get_run(recorder.run_id).outputs.model_outputs
    assert logged.model_id in {output.model_id for output in outputs}
    kept = tmp_path / "run" / "mlflow_model"
    assert not [path for path in kept.rglob("*") if path.suffix in {".pkl", ".pickle"}]
    assert str(tmp_path / "run") not in (kept / "MLmodel").read_text()
    assert any(line.startswith("medseg") for line in (kept / "requirements.txt").read_text().splitlines())

    fetched = fetch_model(uri, recorder.run_id, tmp_path / "fetched")
    assert (fetched / "scale.txt").read_text() == "2.0"
    client.delete_logged_model(logged.model_id)


@pytest.mark.slow
def test_what_the_store_has_now_is_fetched_once_with_the_cases_that_it_learned_from(
    uri: str, tmp_path: Path
) -> None:
    def fetched() -> Path:
        return fetch_model(uri, recorder.run_id, tmp_path / "models")

    recorder = start(uri, tmp_path / "run")
    for name in ("split.json", "slices.csv", "left_out.csv"):
        (tmp_path / "run" / name).write_text(name, encoding="utf-8")
        recorder.artifact(tmp_path / "run" / name)
    recorder.model(saved_predictor(tmp_path / "run" / "short", scale=1.0))
    first = fetched()
    stamp = (first / "scale.txt").stat().st_mtime_ns
    assert fetched() == first
    assert (first / "scale.txt").stat().st_mtime_ns == stamp
    assert sorted(path.name for path in first.parent.iterdir()) == [
        "model",
        "slices.csv",
        "split.json",
        "tags.json",
    ]
    recorder.model(saved_predictor(tmp_path / "run" / "longer", scale=2.0))
    assert (fetched() / "scale.txt").read_text() == "2.0"
    assert (first / "scale.txt").read_text() == "1.0"  # a process may be using it
    recorder.close("FINISHED")


@pytest.mark.parametrize("path", ["/etc", "../other", ".", "link", "nowhere"])
def test_a_model_that_points_out_of_its_folder_is_refused(path: str, tmp_path: Path) -> None:
    model, other = tmp_path / "model", tmp_path / "other"
    model.mkdir()
    other.mkdir()
    (model / "link").symlink_to(other)
    record = f"flavors: {{python_function: {{artifacts: {{predictor: {{path: {path}}}}}}}}}\n"
    (model / "MLmodel").write_text(record)
    with pytest.raises(RunError, match="the run's model"):
        _predictor_folder(model)
    (model / "artifacts").mkdir()
    (model / "MLmodel").write_text(record.replace(path, "artifacts"))
    assert _predictor_folder(model) == (model / "artifacts").resolve()


def test_a_model_whose_upload_was_killed_is_cleared_by_the_next_and_none_lies_among_temporary_files(
    uri: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    recorder = start(uri, tmp_path / "run")
    experiment = client.get_run(recorder.run_id).info.experiment_id
    killed = client.create_logged_model(experiment, name="model", source_run_id=recorder.run_id)
    half = Path(url2pathname(urlsplit(killed.artifact_location).path))
    half.mkdir(parents=True)
    (half / "MLmodel").write_text("half")
    copied: list[str] = []
    mkdtemp = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *a, **k: copied.append(mkdtemp(*a, **k)) or copied[-1])

    recorder.model(saved_predictor(tmp_path / "run" / "model"))
    recorder.close("FINISHED")

    assert not half.parent.exists()
    assert len(list(half.parents[1].iterdir())) >= 1
    assert copied
    assert [made for made in copied if Path(made).is_relative_to(temporary)] == []
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"model", "mlflow_model"}


@pytest.mark.slow
def test_a_model_is_kept_without_a_look_at_all_files_of_all_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.utils import requirements_utils

    asked: list[str] = []
    monkeypatch.setattr(requirements_utils, "_MODULES_TO_PACKAGES", None)
    monkeypatch.setattr(
        requirements_utils.importlib_metadata, "packages_distributions", lambda: asked.append("all") or {}
    )
    save_model(saved_predictor(tmp_path / "model"), tmp_path / "kept")

    assert (tmp_path / "kept" / "requirements.txt").exists()
    assert asked == []


@pytest.mark.slow
def test_runs_are_found_by_id_prefix_name_and_latest(uri: str, client: Any, tmp_path: Path) -> None:
    (tmp_path / "medseg-runs" / "one").mkdir(parents=True)
    first = start(uri, tmp_path / "medseg-runs" / "one", name="same")
    second = start(uri, tmp_path / "elsewhere" / "two", name="same")
    third = start(uri, tmp_path / "three", name="its own")
    stranger = client.create_run(client.get_run(third.run_id).info.experiment_id, run_name="not medseg's")
    assert find_run(uri, first.run_id) == first.run_id
    assert find_run(uri, first.run_id[:12]) == first.run_id
    assert find_run(uri, "its own") == third.run_id
    assert find_run(uri, LATEST) == third.run_id
    with pytest.raises(RunError, match="2 runs") as caught:
        find_run(uri, "same")
    assert first.run_id[:8] in str(caught.value)
    assert second.run_id[:8] in str(caught.value)
    for text in ("", "nobody", stranger.info.run_id):
        with pytest.raises(RunError, match="Latest runs"):
            find_run(uri, text)
    assert run_folder_of(uri, first.run_id, tmp_path / "medseg-runs") == tmp_path / "medseg-runs" / "one"
    assert run_folder_of(uri, second.run_id, tmp_path / "medseg-runs") is None
    client.set_tag(second.run_id, "medseg.run", "..")
    assert run_folder_of(uri, second.run_id, tmp_path / "medseg-runs") is None
    with pytest.raises(RunError, match="no model"):
        fetch_model(uri, first.run_id, tmp_path / "into")
    assert mark_killed(uri, first.run_id)
    assert client.get_run(first.run_id).info.status == "KILLED"
    second.close("FINISHED")
    assert not mark_killed(uri, second.run_id)
    assert not mark_killed(uri, "f" * 32)
    assert not mark_killed("http://127.0.0.1:1", third.run_id)
    third.close("FINISHED")


@pytest.mark.parametrize("pipelines", [("zebra", "acdc", "emps"), ("acdc", "zebra", "acdc")])
def test_the_latest_run_is_the_one_started_last_of_all_pipelines(
    pipelines: tuple[str, ...], uri: str, tmp_path: Path
) -> None:
    """Each pipeline has an experiment of its own, and experiments come in an order of their own."""
    for number, pipeline in enumerate(pipelines):
        folder, name = tmp_path / f"run{number}", f"{pipeline}-{number}"
        recorder = MlflowRecorder.start(uri, experiment=pipeline, name=name, folder=folder, system=False)
        assert find_run(uri, LATEST) == recorder.run_id
        recorder.close("FINISHED")
        time.sleep(0.002)  # times of starting are whole milliseconds


def test_to_look_for_a_run_makes_no_store(tmp_path: Path) -> None:
    empty = default_uri(f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}")
    with pytest.raises(RunError, match="nothing has been tracked"):
        find_run(empty, LATEST)
    assert not mark_killed(empty, "f" * 32)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_goes_away_stops_nothing_and_hears_all_at_the_resume(
    uri: str, client: Any, tmp_path: Path
) -> None:
    said: list[str] = []
    folder = tmp_path / "run"
    recorder = start(uri, folder, name="outage", say=said.append)
    database, hidden = Path(uri.removeprefix("sqlite:///")), tmp_path / "hidden.db"
    recorder.metrics({"loss": 1.0}, 1)
    client._tracking_client.store.engine.dispose()
    shutil.copyfile(database, hidden)
    with database.open("r+b") as handle:  # no database any more, for whoever opens it
        handle.truncate(0)
        handle.write(b"gone")
    try:
        recorder.metrics({"loss": 0.5}, 2)
        recorder.params({"late": 1})
        (folder / "late.txt").write_text("late")
        recorder.artifact(folder / "late.txt")
        recorder.close("FINISHED")
    finally:
        shutil.copyfile(hidden, database)
        client._tracking_client.store.engine.dispose()
    assert len(said) == 2
    assert UNTRACKED in said[1]
    assert (folder / UNTRACKED).exists()
    assert str(tmp_path) not in " ".join(said)
    again = MlflowRecorder.resume(uri, recorder.run_id, folder, system=False)
    again.metrics({"loss": 0.5}, 2)
    again.close("FINISHED")
    assert steps(client, recorder.run_id, "loss") == [(1, 1.0), (2, 0.5)]
    assert client.get_run(recorder.run_id).data.params == {"late": "1"}
    assert [one.path for one in client.list_artifacts(recorder.run_id)] == ["late.txt"]
    assert client.get_run(recorder.run_id).info.status == "FINISHED"
    assert not (folder / UNTRACKED).exists()


GUARD = """
import json, socket, sys

tried = []
real_connect, real_lookup = socket.socket.connect, socket.getaddrinfo

def is_here(host):
    return host in (None, "", "localhost", "::1", "0.0.0.0") or str(host).startswith("127.")

def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and not is_here(address[0]):
        tried.append(repr(address))
        raise OSError("no way out")
    return real_connect(self, address)

def lookup(host, *rest, **more):
    if not is_here(host):
        tried.append(repr(host))
        raise socket.gaierror("no way out")
    return real_lookup(host, *rest, **more)

socket.socket.connect = socket.socket.connect_ex = connect
socket.getaddrinfo = lookup
"""

WORK = """
from medseg.tracking.mlflow.recorder import MlflowRecorder
assert "mlflow" not in sys.modules
uri, folder = sys.argv[1], Path(sys.argv[2])
recorder = MlflowRecorder.start(uri, experiment="guarded", name="guarded", folder=folder)
recorder.params({"a": 1})
recorder.metrics({"loss": 1.0}, 0)
(folder / "best").mkdir()
(folder / "best" / "scale.txt").write_text("2")
(folder / "best" / "model.json").write_text(DESCRIBED)
recorder.artifact(folder / "best")
recorder.model(folder / "best")
recorder.close("FINISHED")
import mlflow, mlflow.sklearn
from mlflow.telemetry import get_telemetry_client
import time
time.sleep(1.0)
print(json.dumps({"tried": tried, "client": repr(get_telemetry_client())}))
"""

CI_NAMES = (
    "CI",
    "PYTEST_CURRENT_TEST",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "BUILDKITE",
    "TF_BUILD",
    "JENKINS_URL",
)


def guarded(uri: str, folder: Path, work: str, environment: dict[str, str]) -> dict[str, Any]:
    # MLflow keeps silent where it smells a test: the child must look like a user's own machine.
    environment = {name: value for name, value in environment.items() if name not in CI_NAMES}
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HOME": str(folder.parent)}
    environment |= {"XDG_CONFIG_HOME": str(folder.parent / "config")}
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            GUARD + STUB + f"DESCRIBED = {DESCRIBED!r}\n" + textwrap.dedent(work),
            uri,
            str(folder),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.slow
def test_no_connection_leaves_the_machine(uri: str, tmp_path: Path) -> None:
    environment = {
        k: v for k, v in os.environ.items() if k not in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    }
    found = guarded(uri, tmp_path / "run", WORK, environment)
    assert found == {"tried": [], "client": "None"}


@pytest.mark.slow
def test_the_guard_catches_mlflow_calling_home_where_nothing_stops_it(uri: str, tmp_path: Path) -> None:
    work = """
        from mlflow.telemetry import get_telemetry_client
        import mlflow, time
        mlflow.MlflowClient(sys.argv[1]).create_experiment("loud")
        end = time.monotonic() + 20
        while not tried and time.monotonic() < end:
            time.sleep(0.1)
        print(json.dumps({"tried": tried}))
    """
    environment = {
        k: v for k, v in os.environ.items() if k not in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    }
    assert any("mlflow" in one for one in guarded(uri, tmp_path / "run", work, environment)["tried"])


@pytest.mark.parametrize("place", ["http://127.0.0.1:9/stolen", "s3://bucket/stolen", "file:///elsewhere"])
def test_files_are_not_sent_to_a_place_that_only_the_database_names(
    place: str, workspace: Path, uri_of_workspace: str
) -> None:
    with open_store(uri_of_workspace) as client:
        client.create_experiment("theirs", artifact_location=place)

    with pytest.raises(TrackingError, match=r"'theirs' .*keeps its files at .*--tracking-uri"):
        MlflowRecorder.start(uri_of_workspace, experiment="theirs", name="run", folder=workspace / "run")
    with open_store(uri_of_workspace) as client:
        run = client.create_run(client.get_experiment_by_name("theirs").experiment_id)
    with pytest.raises(TrackingError, match="keeps its files at"):
        MlflowRecorder.resume(uri_of_workspace, run.info.run_id, workspace / "run")


@pytest.fixture
def uri_of_workspace(workspace: Path) -> str:
    return default_uri(f"sqlite:///{(workspace / 'mlflow.db').as_posix()}")


@pytest.mark.slow
def test_a_score_that_has_changed_is_the_one_that_is_shown(uri: str, client: Any, tmp_path: Path) -> None:
    first = start(uri, tmp_path / "run")
    first.metrics({"test/dice/mean": 0.75, "epoch/train/loss": 1.0}, 0)
    first.close("FINISHED")
    longer = MlflowRecorder.resume(uri, first.run_id, tmp_path / "run", system=False)
    for _ in range(2):
        longer.metrics({"test/dice/mean": 0.5, "epoch/train/loss": 9.0}, 0)
    longer.close("FINISHED")

    shown = client.get_run(first.run_id).data.metrics
    assert shown == {"test/dice/mean": 0.5, "epoch/train/loss": 1.0}
    assert len(steps(client, first.run_id, "test/dice/mean")) == 2


PARAMETERS = {
    "loading.cache_used": "memory",
    "fit.ranks": 2,
    "fit.lr": 1e-3,
    "fit.freeze": None,
    "sizes": [1, "a"],
    "on": True,
}


@pytest.mark.parametrize("damage", ["its end", "all of it"])
def test_what_a_run_folder_has_lost_is_given_back_by_the_store(
    damage: str, uri: str, client: Any, tmp_path: Path
) -> None:
    said: list[str] = []
    recorder = start(uri, tmp_path / "run")
    own = FolderRecorder(tmp_path / "run")
    for step in (1, 2, 3):
        for each in (own, recorder):
            each.metrics({"epoch/train/loss": 1 / step, "epoch/val/score": step / 4}, step)
    for each in (own, recorder):
        each.tags({"fit.best_epoch": "3"})
        each.params(PARAMETERS)
    recorder.close("FAILED")
    before = {
        (line["step"], *each)
        for line in read_metrics(tmp_path / "run", said.append)
        for each in line["metrics"].items()
    }
    journal, tags = tmp_path / "run" / METRICS, tmp_path / "run" / TAGS
    content = journal.read_bytes()
    journal.write_bytes(b"\0" * len(content) if damage == "all of it" else content[:-20] + b"\0" * 20)
    params = tmp_path / "run" / PARAMS
    for damaged in (tags, params):
        damaged.write_bytes(b"")

    again = MlflowRecorder.resume(uri, recorder.run_id, tmp_path / "run", say=said.append, system=False)
    own = FolderRecorder(tmp_path / "run", said.append)
    again.give_back(own)
    again.close("FINISHED")

    after = {
        (line["step"], *each)
        for line in read_metrics(tmp_path / "run", said.append)
        for each in line["metrics"].items()
    }
    assert after == before
    assert json.loads(tags.read_text(encoding="utf-8")) == {"fit.best_epoch": "3"}
    assert json.loads(params.read_text(encoding="utf-8")) == PARAMETERS
    assert "What the tracking store had of it has been written into the run's folder again." in said
