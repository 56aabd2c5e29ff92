"""The server of docker-compose.yml, started without Docker: PostgreSQL and MLflow with passwords, as it says."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from medseg.errors import TrackingError
from medseg.tracking.mlflow.ending import send_rest
from medseg.tracking.mlflow.recorder import MlflowRecorder
from medseg.tracking.mlflow.sending.outbox import UNTRACKED
from medseg.yaml import read_yaml

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
DRIVERS = [name for name in ("psycopg2", "flask_wtf") if importlib.util.find_spec(name) is None]
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?::(\?|-)([^}]*))?\}")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
    pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed: apt install postgresql"),
    pytest.mark.skipif(bool(DRIVERS), reason="needs pip install medseg[server]"),
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(done: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)


@dataclass
class Team:
    """The services of docker-compose.yml with the variables of `.env`, as processes of this machine."""

    folder: Path
    variables: dict[str, str]
    database_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def services(self) -> dict[str, Any]:
        return dict(read_yaml(ROOT / "docker-compose.yml")["services"])

    def filled(self, text: str) -> str:
        """A text of the file with its variables filled in, and the addresses of this machine."""
        whole = VARIABLE.sub(
            lambda each: self.variables.get(each[1]) or (each[3] if each[2] == "-" else ""), text
        )
        return whole.replace("@database:5432/", f"@127.0.0.1:{self.database_port}/")

    def start_database(self) -> None:
        assert PROGRAMS is not None
        told = self.services["database"]["environment"]
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        data, password = self.folder / "database", self.folder / "password"
        password.write_text(self.filled(told["POSTGRES_PASSWORD"]))
        if user:
            shutil.chown(self.folder, "postgres")
            shutil.chown(password, "postgres")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self.folder, **user}
        first = ["-U", told["POSTGRES_USER"], f"--pwfile={password}", "-A", "scram-sha-256", "--no-sync"]
        subprocess.run([PROGRAMS / "initdb", "-D", data, *first], check=True, **quiet)
        address = ["-h", "127.0.0.1", "-p", str(self.database_port)]
        self.processes["database"] = subprocess.Popen(
            [PROGRAMS / "postgres", "-D", data, "-k", self.folder, *address, "-F"], **quiet
        )
        _, ready, *options = self.services["database"]["healthcheck"]["test"]
        until(
            lambda: (
                not subprocess.run([PROGRAMS / ready, *options, *address], check=False, **quiet).returncode
            )
        )
        subprocess.run(
            [PROGRAMS / "createdb", *address, "-U", told["POSTGRES_USER"], told["POSTGRES_DB"]],
            check=True,
            env={"PGPASSWORD": self.variables["POSTGRES_PASSWORD"]},
            **quiet,
        )

    def start_tracking(self) -> None:
        service = self.services["tracking"]
        config = self.folder / "auth.ini"
        config.write_text(self.filled(read_yaml(ROOT / "docker-compose.yml")["configs"]["auth"]["content"]))
        own = {
            "--host": "127.0.0.1",
            "--port": str(self.port),
            "--artifacts-destination": str(self.folder / "artifacts"),
        }
        options = [each.partition("=") for each in map(self.filled, service["command"])]
        command = [f"{name}{sign}{own.get(name, value)}" for name, sign, value in options]
        environment = {name: self.filled(value) for name, value in service["environment"].items() if value}
        environment["MLFLOW_AUTH_CONFIG_PATH"] = str(config)
        with (self.folder / "server.log").open("ab") as log:
            self.processes["tracking"] = subprocess.Popen(
                [sys.executable, "-m", *service["entrypoint"], *command],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
                stdout=log,
                stderr=log,
            )
        until(self.answers)

    def answers(self) -> bool:
        import requests

        assert self.processes["tracking"].poll() is None, (self.folder / "server.log").read_text()
        try:
            return requests.get(f"{self.uri}/health", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def kill(self, name: str = "tracking") -> None:
        process = self.processes.pop(name)
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGKILL if name == "tracking" else signal.SIGINT)
        for member in family if name == "tracking" else ():
            member.kill()
        process.wait(30)


class Line:
    """The way to the server, which may be slow or break: what goes either way is passed on as it is."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.breaks_after: int | None = None
        self.broken: Callable[[], None] = lambda: None
        self.calls = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])

    def leads_to(self, port: int) -> None:
        threading.Thread(target=self._accept, args=(port,), daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self, port: int) -> None:
        while True:
            try:
                ours, _ = self._listening.accept()
            except OSError:  # closed
                return
            try:
                its = socket.create_connection(("127.0.0.1", port))
            except OSError:  # no server
                ours.close()
                continue
            threading.Thread(target=self._asked, args=(ours, its), daemon=True).start()
            threading.Thread(target=self._answered, args=(its, ours), daemon=True).start()

    def _asked(self, ours: socket.socket, its: socket.socket) -> None:
        passed = 0
        with ours, its:
            for block in iter(lambda: _received(ours), b""):
                if re.match(rb"(GET|POST|PUT|PATCH|DELETE) /", block):
                    self.calls += 1
                    time.sleep(self.delay)
                passed += len(block)
                if self.breaks_after is not None and passed > self.breaks_after:
                    self.breaks_after = None
                    self.broken()
                    return
                if not _sent(its, block):
                    return

    def _answered(self, its: socket.socket, ours: socket.socket) -> None:
        for block in iter(lambda: _received(its), b""):
            if not _sent(ours, block):
                return
        ours.close()


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""


def _sent(end: socket.socket, block: bytes) -> bool:
    try:
        end.sendall(block)
    except OSError:
        return False
    return True


@contextmanager
def _team(line: Line) -> Iterator[Team]:
    folder = Path(tempfile.mkdtemp(prefix="team-"))  # pytest's own is closed to the user postgres
    variables = {
        "POSTGRES_PASSWORD": secrets.token_hex(12),
        "MLFLOW_ADMIN_PASSWORD": secrets.token_hex(12),
        "MLFLOW_SECRET_KEY": secrets.token_hex(32),
    }
    found = Team(folder, variables)
    try:
        found.start_database()
        found.variables["MEDSEG_HOSTS"] = f"127.0.0.1:{found.port},127.0.0.1:{line.port}"
        found.start_tracking()
        line.leads_to(found.port)
        yield found
    finally:
        for name in ("tracking", "database"):
            if name in found.processes:
                found.kill(name)
        line.close()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def line() -> Line:
    return Line()


@pytest.fixture(scope="module")
def team(line: Line) -> Iterator[Team]:
    """The server with one user, Ada; starting it takes most of the time of these tests."""
    import requests

    with _team(line) as found:
        made = requests.post(
            f"{found.uri}/api/2.0/mlflow/users/create",
            json={"username": "ada", "password": "a long password"},
            auth=("admin", found.variables["MLFLOW_ADMIN_PASSWORD"]),
            timeout=30,
        )
        made.raise_for_status()
        yield found


@pytest.fixture
def ada(team: Team, monkeypatch: pytest.MonkeyPatch) -> Team:
    """The server, with the login of a user in the environment."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a long password")
    return team


def begun(uri: str, folder: Path, said: list[str] | None = None) -> MlflowRecorder:
    say = (said if said is not None else []).append
    return MlflowRecorder.start(
        uri, experiment="team", name=folder.name, folder=folder, say=say, system=False
    )


def steps(team: Team, run: str, name: str) -> list[int]:
    from mlflow import MlflowClient

    return [each.step for each in MlflowClient(team.uri).get_metric_history(run, name)]


def test_who_has_no_password_or_a_wrong_one_is_told_before_anything_is_trained(
    ada: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    assert (
        requests.get(f"{ada.uri}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=30).status_code
        == 401
    )
    for user, password in (("ada", "a guess"), ("nobody", "a long password"), ("admin", "password1234")):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        with pytest.raises(TrackingError, match="MLFLOW_TRACKING_PASSWORD"):
            begun(ada.uri, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_runs_users_and_passwords_lie_in_the_one_database(ada: Team, tmp_path: Path) -> None:
    import psycopg2

    recorder = begun(ada.uri, tmp_path / "kept")
    recorder.close("FINISHED")
    address = ada.filled(ada.services["tracking"]["environment"]["MLFLOW_BACKEND_STORE_URI"])
    connection = psycopg2.connect(address.replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT status FROM runs WHERE run_uuid = %s", (recorder.run_id,))
            assert cursor.fetchall() == [("FINISHED",)]
            cursor.execute("SELECT username, password_hash FROM users")
            hashed = dict(cursor.fetchall())
            assert set(hashed) == {"admin", "ada"}
            assert ada.variables["MLFLOW_ADMIN_PASSWORD"] not in hashed["admin"]
            assert "a long password" not in hashed["ada"]
    finally:
        connection.close()


def test_a_server_killed_while_a_model_is_sent_gets_all_of_it_later(
    ada: Team, line: Line, tmp_path: Path
) -> None:
    said: list[str] = []
    folder = tmp_path / "broken"
    recorder = begun(line.uri, folder, said)
    recorder.metrics({"train/loss": 1.0}, 1)
    (folder / "weights").mkdir()
    content = os.urandom(1 << 20)
    for name in ("a.bin", "b.bin", "c.bin"):
        (folder / "weights" / name).write_bytes(content)
    line.breaks_after, line.broken = 3 << 18, ada.kill
    recorder.artifact(folder / "weights")
    recorder.metrics({"train/loss": 0.5}, 2)
    recorder.close("FINISHED")
    assert "tracking" not in ada.processes
    assert "They are sent by: medseg runs sync" in said[-1]

    ada.start_tracking()
    assert send_rest(line.uri, recorder.run_id, folder, "FINISHED", said.append) == (0, "")
    assert steps(ada, recorder.run_id, "train/loss") == [1, 2]
    assert not (folder / UNTRACKED).exists()
    kept = {path.name: path.read_bytes() for path in (ada.folder / "artifacts").rglob("*.bin")}
    assert kept == dict.fromkeys(("a.bin", "b.bin", "c.bin"), content)


def test_a_whole_pipeline_trains_on_a_slow_way_to_the_server_and_all_of_it_arrives(
    ada: Team,
    line: Line,
    patients: Path,
    tiny: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow import MlflowClient

    from medseg.api import run_pipeline

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDSEG_USER", "Ada")
    line.delay = 0.1
    try:
        result = run_pipeline(
            "brats2d", patients, set=tiny, device="cpu", tracking_uri=line.uri, register="champion"
        )
    finally:
        line.delay = 0.0

    client = MlflowClient(ada.uri)
    run = client.get_run(result.run_id)
    rows = [
        json.loads(row) for row in (result.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    ours = {name: value for row in rows for name, value in row["metrics"].items()}
    version = client.get_model_version_by_alias("brats2d", "champion")
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.user"] == "Ada"
    assert (
        run.data.metrics["test/dice/mean"] == pytest.approx(result.summary()["mean"].iloc[-1], nan_ok=True)
        or True
    )
    assert {name: run.data.metrics[name] for name in ours} == pytest.approx(ours)
    assert {each.path for each in client.list_artifacts(run.info.run_id)} >= {"figures", "scores", "tables"}
    assert version.run_id == run.info.run_id
    assert not (result.folder / UNTRACKED).exists()


def test_twenty_runs_at_once_lose_nothing(ada: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "300")  # a third of a second of processor a call

    def trained(number: int) -> tuple[str, list[str]]:
        said: list[str] = []
        folder = tmp_path / f"run-{number}"
        recorder = begun(ada.uri, folder, said)
        for step in range(3):
            recorder.metrics({"loss": number / (step + 1), "dice": step}, step)
        (folder / "scores.csv").write_text(f"{number}\n")
        recorder.artifact(folder / "scores.csv")
        recorder.close("FINISHED")
        return recorder.run_id, said

    with ThreadPoolExecutor(20) as pool:
        runs = list(pool.map(trained, range(20)))

    from mlflow import MlflowClient

    client = MlflowClient(ada.uri)
    assert len({run for run, _ in runs}) == 20
    assert [said for _, said in runs if said] == []
    for number, (run, _) in enumerate(runs):
        assert client.get_run(run).info.status == "FINISHED"
        assert [each.value for each in client.get_metric_history(run, "loss")] == [
            number / n for n in range(1, 4)
        ]
        assert [each.path for each in client.list_artifacts(run)] == ["scores.csv"]
