"""Serving MLflow's page to this machine alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from medseg.errors import RunError, TrackingError
from medseg.tracking.mlflow.address import default_uri, sqlite_path
from medseg.tracking.mlflow.page.server import serve_ui, ui_command, ui_environment
from medseg.tracking.mlflow.recorder import MlflowRecorder
from medseg.tracking.mlflow.sending.outbox import UNTRACKED

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def store_in(folder: Path) -> str:
    return default_uri(f"sqlite:///{(folder / 'mlflow.db').as_posix()}")


def test_the_page_of_a_file_gets_no_credentials(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")

    assert "secret" not in ui_environment(store_in(tmp_path)).values()
    assert "secret" in ui_environment("postgresql://tracking/name").values()


def test_the_server_listens_to_this_machine_alone_and_reports_to_nobody(tmp_path: Path) -> None:
    command, environment = ui_command(store_in(tmp_path), 5123), ui_environment(store_in(tmp_path))
    assert command[:4] == [sys.executable, "-m", "mlflow", "server"]
    assert command[4:6] == ["--app-name", "medseg"]
    options = dict(zip(command[4::2], command[5::2], strict=True))
    assert options["--host"] == "127.0.0.1"
    assert options["--port"] == "5123"
    assert all(
        host.startswith(("127.0.0.1:", "localhost:")) for host in options["--allowed-hosts"].split(",")
    )
    assert options["--artifacts-destination"] == (tmp_path / "mlartifacts").as_uri()
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["MLFLOW_BACKEND_STORE_URI"] == store_in(tmp_path)


def test_a_password_stays_out_of_the_list_of_processes() -> None:
    assert "secret" not in " ".join(ui_command("postgresql://me:secret@host/db", 5000))


def test_a_server_is_not_served_a_second_time() -> None:
    with pytest.raises(RunError, match="open that address") as caught:
        serve_ui("http://me:secret@host:5000")
    assert "secret" not in str(caught.value)


def test_a_port_in_use_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    before = psutil.Process().children()  # such as multiprocessing's own, of an earlier test
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(RunError, match=f"Port {port}"):
            serve_ui(store_in(tmp_path), port)
    assert before == psutil.Process().children()


@pytest.mark.parametrize("port", [65535, 99999, -1])
def test_the_port_that_is_suggested_is_one(port: int, tmp_path: Path) -> None:
    with socket.socket() as other:
        if port == 65535:
            other.bind(("127.0.0.1", port))
            other.listen()
        with pytest.raises(RunError, match=r"--port 5001$"):
            serve_ui(store_in(tmp_path), port)


def test_a_store_that_is_none_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database at all")
    with pytest.raises(TrackingError):
        serve_ui(store_in(tmp_path), free_port())


def somebody_elses(folder: Path) -> Path:
    """A working folder with modules of the names that a server imports: each says so if it is run."""
    folder.mkdir(exist_ok=True)
    for name in ("mlflow", "uvicorn", "fastapi", "flask", "multiprocessing", "medseg"):
        (folder / f"{name}.py").write_text(f"open({str(folder / name)!r}, 'w')\n", encoding="utf-8")
    return folder


def served(uri: str, port: int) -> subprocess.Popen[str]:
    """Serve in a process of its own, in somebody else's folder, and return once the page answers."""
    script = (
        # what runs in the background of a shell, as these tests may, and its children are deaf to Ctrl-C
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "import sys; from medseg.tracking.mlflow.page.server import serve_ui; "
        "serve_ui(sys.argv[1], int(sys.argv[2]), ready=lambda address: print(address, flush=True))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-c",
            script,
            uri,
            str(port),
        ],  # as the program `medseg`, which looks there no more
        cwd=somebody_elses(Path(str(sqlite_path(uri))).parent / "theirs"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip().startswith(f"http://127.0.0.1:{port}/#/experiments")
    return process


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Press Ctrl-C; return the exit code and what was printed on the way out."""
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert family
    assert not [member for member in family if member.is_running() and member.status() != "zombie"]
    return process.returncode, errors


def seen(address: str, profile: Path) -> str:
    """The page's elements, as they are once its scripts have run."""
    quiet = ("background-networking", "component-update", "sync", "gpu", "quic", "dev-shm-usage")
    done = subprocess.run(
        [
            *(str(BROWSER), "--headless=new", "--no-sandbox", "--no-first-run", "--window-size=1400,1000"),
            *(f"--disable-{each}" for each in quiet),
            *(f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom", address),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    return done.stdout


@dataclass(frozen=True)
class Server:
    """A server of tests, and the store that it serves."""

    store: str
    port: int
    process: subprocess.Popen[str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def runs(self) -> list[str]:
        from mlflow import MlflowClient

        return [run.info.run_id for run in MlflowClient(self.store).search_runs(["1"])]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_tracking: Path) -> Iterator[Server]:
    """A server over two runs; starting it takes longer than all that is asked of it. The last test ends it."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copyfile(empty_tracking, folder / "mlflow.db")
    store, port = store_in(folder), free_port()
    for name, score in (("wide", 0.5), ("deep", 0.75)):
        run = MlflowRecorder.start(store, experiment="acdc", name=name, folder=folder / name, system=False)
        run.metrics({"system/cpu_utilization_percentage": 99.0}, 0)
        run.metrics({"epoch/train/loss": 1.0}, 1)
        run.metrics({"test/dice/mean": score, "test/dice/mean/low": 0.1}, 0)
        run.close("FINISHED")
    process = served(store, port)
    try:
        yield Server(store, port, process)
    finally:
        if process.poll() is None:
            interrupted(process)


@pytest.mark.slow
def test_the_server_answers_what_medseg_asks_and_nothing_beside(server: Server) -> None:
    import requests

    page = requests.get(f"{server.address}/ajax-api/3.0/mlflow/ui-telemetry", timeout=30).json()
    assert page["disable_ui_telemetry"] is True
    opened = requests.get(server.address, timeout=30)
    assert opened.status_code == 200
    assert '"mlflow.assistant.panelOpen_v1": "false"' in opened.text
    for closed in ("ajax-api/3.0/mlflow/assistant/message", "gateway/x/mlflow/invocations", "v1/traces"):
        assert requests.post(f"{server.address}/{closed}", json={}, timeout=30).status_code == 404, closed
    assert requests.get(server.address, headers={"Host": "evil.example"}, timeout=30).status_code == 403
    assert (
        requests.get(f"{server.address}/ajax-api/2.0/mlflow/runs/get?run_id=x", timeout=30).status_code == 404
    )


@pytest.mark.slow
def test_nothing_of_the_folder_that_it_was_started_in_is_run(server: Server) -> None:
    theirs = list(Path(str(sqlite_path(server.store))).with_name("theirs").iterdir())
    assert theirs
    assert all(path.suffix == ".py" for path in theirs)


@pytest.mark.slow
def test_scores_come_before_the_other_metrics_of_a_run(server: Server) -> None:
    import requests

    run = server.runs()[0]
    asked = (
        "query($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run { data { metrics { key } } } } }"
    )
    api = requests.get(f"{server.address}/ajax-api/2.0/mlflow/runs/get?run_id={run}", timeout=30).json()
    page = requests.post(
        f"{server.address}/graphql", json={"query": asked, "variables": {"data": {"runId": run}}}, timeout=30
    ).json()["data"]["mlflowGetRun"]

    for found in (api, page):
        assert [each["key"] for each in found["run"]["data"]["metrics"]] == [
            *("test/dice/mean", "test/dice/mean/low", "epoch/train/loss", "system/cpu_utilization_percentage")
        ]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed, which shows the page")
def test_the_page_begins_with_the_runs_and_their_scores_and_nothing_beside(
    server: Server, tmp_path: Path
) -> None:
    page = seen(f"{server.address}/#/experiments/1/runs?workflowType=machine_learning", tmp_path / "p")
    first = seen(f"{server.address}/", tmp_path / "q")

    for word in ("wide", "deep", "test/dice/mean", "0.75"):
        assert word in page, word
    for word in ("Ask a question", "usage data", "test/dice/mean/low", "shared view"):
        assert word not in page, word
        assert word not in first, word
    assert "acdc" in first


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed, which shows the page")
def test_a_comparison_begins_with_the_scores(server: Server, tmp_path: Path) -> None:
    runs = quote(json.dumps(server.runs()))
    page = seen(f"{server.address}/#/compare-runs?runs={runs}&experiments=%5B%221%22%5D", tmp_path / "p")
    first = re.search(r">((?:test|epoch|system)/[\w/]+)<", page)

    assert "Comparing 2 Runs" in page
    assert first is not None
    assert first[1] == "test/dice/mean"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT as a terminal does")
def test_a_server_that_is_killed_amid_a_run_is_told_all_by_the_resume(server: Server, tmp_path: Path) -> None:
    folder, told = tmp_path / "run", list[str]()
    recorder = MlflowRecorder.start(
        server.address, experiment="remote", name="remote", folder=folder, say=told.append, system=False
    )
    recorder.metrics({"loss": 1.0}, 1)
    assert interrupted(server.process) == (0, "")
    begun = time.monotonic()
    for step in range(2, 50):
        recorder.metrics({"loss": 1 / step}, step)
    (folder / "late.txt").write_text("late")
    recorder.artifact(folder / "late.txt")
    recorder.close("FINISHED")
    assert time.monotonic() - begun < 15
    assert len(told) == 2
    assert (folder / UNTRACKED).exists()

    process = served(server.store, server.port)
    try:
        again = MlflowRecorder.resume(server.address, recorder.run_id, folder, system=False)
        again.metrics({"loss": 9.0}, 7)
        again.close("FINISHED")
    finally:
        interrupted(process)
    from mlflow import MlflowClient

    client = MlflowClient(server.store)
    history = client.get_metric_history(recorder.run_id, "loss")
    assert [metric.step for metric in history] == list(range(1, 50))
    assert client.get_run(recorder.run_id).info.status == "FINISHED"
    artifacts = Path(str(sqlite_path(server.store))).with_name("mlartifacts")
    assert [path.read_text() for path in artifacts.rglob("late.txt")] == ["late"]
    assert not (folder / UNTRACKED).exists()
