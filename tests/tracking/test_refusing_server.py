"""A real server that refuses in the middle, over HTTP: nothing is dropped, and what waits is sent later."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from medseg.errors import TrackingError
from medseg.tracking.mlflow.ending import send_rest
from medseg.tracking.mlflow.recorder import MlflowRecorder
from medseg.tracking.mlflow.sending.outbox import UNTRACKED
from medseg.tracking.mlflow.store import open_store, refuse_login

FILES = "/api/2.0/mlflow-artifacts/artifacts/"


class Server(ThreadingHTTPServer):
    """The few calls of MLflow's REST interface that a recorder makes, with what they left."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.login = "Bearer first"
        self.files_answer = self.answer_all = self.health = 200
        self.largest = 1 << 30
        self.page = self.login_page = b""
        self.fails_at = b"nothing is this"
        self.seen: list[str] = []
        self.run = uuid4().hex  # MLflow remembers where files of a run go
        self.refused: list[int] = []
        self.status = "RUNNING"
        self.told: dict[str, dict[str, Any]] = {"params": {}, "tags": {}, "metrics": {}}
        self.inputs: list[str] = []
        self.files: dict[str, bytes] = {}

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answered(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        call = path.rpartition("/mlflow/")[2]
        if call == "runs/log-batch":
            for kind, known in self.told.items():
                for each in body.get(kind, ()):
                    known[f"{each['key']}@{each['step']}" if "step" in each else each["key"]] = each["value"]
        elif call == "runs/log-inputs":
            self.inputs += [each["dataset"]["name"] for each in body["datasets"]]
        elif call == "runs/update":
            self.status = body["status"]
        elif call == "experiments/get-by-name":
            return {"experiment": {"experiment_id": "1", "name": "x", "lifecycle_stage": "active"}}
        info = {
            "run_id": self.run,
            "run_uuid": self.run,
            "experiment_id": "1",
            "status": self.status,
            "lifecycle_stage": "active",
            "artifact_uri": f"mlflow-artifacts:/1/{self.run}/artifacts",
        }
        return {"run": {"info": info, "data": {}}, "run_info": info}


class Answer(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Keep the terminal quiet."""

    def answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        status = self.server.health if path == "/health" else 200
        self.server.seen.append(path)
        if path.startswith("/api/"):
            is_file = path.startswith(FILES)
            status = self.server.files_answer if is_file else self.server.answer_all
            if is_file and len(content) > self.server.largest:
                status = 413
            if is_file and content == self.server.fails_at:
                status = 500
            if self.headers.get("Authorization") != self.server.login:
                status = 401
        if self.server.login_page and path.startswith("/api/"):
            self.reply(200, self.server.login_page, "text/html; charset=utf-8")
        elif status != 200:
            self.server.refused.append(status)
            self.reply(status, b"refused, as a proxy says it")
        elif path.startswith(FILES):
            page = self.server.page if self.command == "PUT" else b""
            if not page:
                self.server.files[path.removeprefix(FILES)] = content
            self.reply(200, page or b"{}")
        else:
            body = json.loads(content) if content else {}
            self.reply(200, json.dumps(self.server.answered(path, body)).encode())

    do_GET = do_POST = do_PUT = do_PATCH = answer  # noqa: N815 - the names that http.server calls

    def reply(self, status: int, content: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if 300 <= status < 400:
            self.send_header("Location", "/login")  # which would answer 200, as login pages do
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "first")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    found = Server()
    thread = threading.Thread(target=lambda: found.serve_forever(poll_interval=0.01))
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def begun(server: Server, folder: Path, said: list[str]) -> MlflowRecorder:
    folder.mkdir()
    (folder / "scores.csv").write_text("case,dice\n", encoding="utf-8")
    return MlflowRecorder.start(
        server.uri, experiment="x", name="tiny", folder=folder, say=said.append, system=False
    )


def test_a_token_that_runs_out_in_the_middle_loses_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    folder = tmp_path / "tiny"
    recorder = begun(server, folder, said)
    recorder.metrics({"train/loss": 0.5}, 1)
    recorder.settle()
    server.login = "Bearer second"
    recorder.metrics({"train/loss": 0.4}, 2)
    recorder.params({"epochs": 3})
    recorder.artifact(folder / "scores.csv", "tables")
    recorder.tags({"device": "cpu"})
    recorder.close("FINISHED")

    assert set(server.refused) == {401}
    assert server.told["metrics"] == {"train/loss@1": 0.5}
    assert server.status == "RUNNING"
    assert "refuses the login" in said[0]
    unsent = "5 records wait in untracked.jsonl (1 metrics, 1 params, 1 tags, 1 status, 1 artifact)"
    assert unsent in said[-1]
    assert "They are sent by: medseg runs sync" in said[-1]

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "second")
    assert send_rest(server.uri, server.run, folder, "FINISHED", said.append) == (0, "")
    assert server.told["metrics"] == {"train/loss@1": 0.5, "train/loss@2": 0.4}
    assert server.told["params"] == {"epochs": "3"}
    assert server.told["tags"]["device"] == "cpu"
    assert list(server.files) == [f"1/{server.run}/artifacts/tables/scores.csv"]
    assert server.status == "FINISHED"
    assert not (folder / UNTRACKED).exists()


@pytest.mark.parametrize("given", ["token", "password", "nothing"])
def test_a_login_that_is_refused_at_the_start_is_told_with_the_variables_to_set(
    given: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    for name in {"token": ["TOKEN"], "password": ["USERNAME", "PASSWORD"], "nothing": []}[given]:
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "hidden")
    sent = {
        "token": "the login in MLFLOW_TRACKING_TOKEN",
        "password": "the login in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        "nothing": "no login",
    }[given]

    with pytest.raises(TrackingError, match=f"refuses the login. It was sent {sent}") as caught:
        begun(server, tmp_path / "tiny", [])
    assert "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_who_may_log_in_is_asked_before_anything_is_made(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_login(server.uri)
    refuse_login(f"sqlite:///{(tmp_path / 'none.db').as_posix()}")
    assert not (tmp_path / "none.db").exists()

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hidden")
    with pytest.raises(TrackingError, match="refuses the login"):
        refuse_login(server.uri)


def test_a_database_without_its_driver_is_told_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as database:
        monkeypatch.setitem(sys.modules, "psycopg2", None)
        address = f"postgresql+psycopg2://me:hidden@127.0.0.1:{database.getsockname()[1]}/runs"
        with (
            pytest.raises(
                TrackingError, match=r"needs the Python package psycopg2.*medseg\[server\]"
            ) as caught,
            open_store(address),
        ):
            pass
    assert "hidden" not in str(caught.value)


def test_a_token_that_is_renewed_in_time_is_used_by_the_same_process(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    recorder = begun(server, tmp_path / "tiny", said)
    server.login = "Bearer second"
    recorder.metrics({"train/loss": 0.4}, 2)
    recorder.settle()
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "second")
    recorder.close("FINISHED")

    assert server.told["metrics"] == {"train/loss@2": 0.4}
    assert server.status == "FINISHED"
    assert "received all that waited for it" in said[-1]


@pytest.mark.parametrize("status", [500, 413, 403, 507, 302, 307])
def test_files_that_are_always_refused_hold_up_neither_scores_nor_the_end(
    status: int, server: Server, tmp_path: Path
) -> None:
    said: list[str] = []
    folder = tmp_path / "tiny"
    recorder = begun(server, folder, said)
    server.files_answer = status
    recorder.artifact(folder / "scores.csv")
    recorder.artifact(folder / "scores.csv", "tables")
    recorder.metrics({"test/dice": 0.9}, 3)
    recorder.close("FINISHED")

    assert set(server.refused) == {status}
    assert server.told["metrics"] == {"test/dice@3": 0.9}
    assert server.status == "FINISHED"
    assert server.files == {}
    assert re.search(r"Of the run tiny 2 records wait in untracked\.jsonl \(2 artifacts\)", said[-1])
    assert ("refuses the login" if status == 403 else "did not take artifact") in said[-1]

    waiting, unsent = send_rest(server.uri, server.run, folder, "FINISHED", said.append)
    assert (waiting, "2 records wait" in unsent) == (2, True)
    server.files_answer = 200
    assert send_rest(server.uri, server.run, folder, "FINISHED", said.append) == (0, "")
    assert sorted(server.files) == [
        f"1/{server.run}/artifacts/{name}" for name in ("scores.csv", "tables/scores.csv")
    ]
    assert not (folder / UNTRACKED).exists()


@pytest.mark.parametrize("page", [b"<html>login</html>", b"OK", b"[]"], ids=repr)
def test_files_that_a_page_answers_have_not_arrived(page: bytes, server: Server, tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "tiny"
    recorder = begun(server, folder, said)
    server.page = page
    recorder.artifact(folder / "scores.csv", "tables")
    recorder.close("FINISHED")

    assert server.status == "FINISHED"
    assert "1 record waits in untracked.jsonl (1 artifact): it did not take artifact: 200, a page" in said[-1]
    assert send_rest(server.uri, server.run, folder, "FINISHED", said.append)[0] == 1
    server.page = b""
    assert send_rest(server.uri, server.run, folder, "FINISHED", said.append) == (0, "")
    assert list(server.files) == [f"1/{server.run}/artifacts/tables/scores.csv"]


def test_a_run_that_is_gone_on_with_prints_nothing_of_mlflow(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    begun(server, tmp_path / "tiny", said).close("KILLED")
    MlflowRecorder.resume(server.uri, server.run, tmp_path / "tiny", say=said.append, system=False).close(
        "FINISHED"
    )

    assert server.status == "FINISHED"
    assert capsys.readouterr() == ("", "")


def test_a_login_page_in_place_of_a_file_is_told_as_one(server: Server, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts

    server.login_page = b"<html>login</html>"

    with (
        pytest.raises(TrackingError, match="a page, such as that of a login"),
        open_store(server.uri) as client,
    ):
        download_artifacts(
            artifact_uri=f"mlflow-artifacts:/1/{server.run}/artifacts/MLmodel",
            dst_path=str(tmp_path),
            tracking_uri=client.tracking_uri,
        )


def test_a_login_page_in_place_of_an_answer_is_told_as_one(server: Server) -> None:
    server.login_page = b"<html>login</html>"

    with (
        pytest.raises(TrackingError, match="a page, such as that of a login"),
        open_store(server.uri) as client,
    ):
        client.get_run(server.run)


def test_files_that_are_too_large_hold_back_no_smaller_ones(server: Server, tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "tiny"
    recorder = begun(server, folder, said)
    server.largest = 100
    for number in range(3):
        (folder / f"large{number}.png").write_bytes(b"x" * 101)
        recorder.artifact(folder / f"large{number}.png")
    recorder.artifact(folder / "scores.csv")
    recorder.close("FINISHED")

    assert list(server.files) == [f"1/{server.run}/artifacts/scores.csv"]
    assert "3 records wait in untracked.jsonl (3 artifacts)" in said[-1]
    assert server.status == "FINISHED"


def test_files_that_a_server_fails_at_hold_back_no_others(server: Server, tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "tiny"
    recorder = begun(server, folder, said)
    server.fails_at = b"odd"
    for number in range(7):
        (folder / f"odd{number}.png").write_bytes(b"odd")
        recorder.artifact(folder / f"odd{number}.png")
    recorder.artifact(folder / "scores.csv")
    recorder.close("FINISHED")

    assert list(server.files) == [f"1/{server.run}/artifacts/scores.csv"]
    assert "7 records wait in untracked.jsonl (7 artifacts)" in said[-1]


def test_a_store_that_fails_at_all_files_is_not_tried_with_each(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    recorder = begun(server, folder, [])
    server.files_answer = 500
    for number in range(12):
        (folder / f"{number}.png").write_bytes(b"x")
        recorder.artifact(folder / f"{number}.png")
    recorder.settle()
    server.refused.clear()
    recorder.close("FINISHED")
    assert server.refused == [500] * 8
    assert server.status == "FINISHED"


def test_a_server_that_sends_on_to_a_login_page_loses_nothing(server: Server, tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "tiny"
    recorder = begun(server, folder, said)
    server.answer_all, server.files_answer = 302, 302
    recorder.metrics({"train/loss": 0.4}, 2)
    recorder.artifact(folder / "scores.csv")
    recorder.close("FINISHED")
    assert server.told["metrics"] == {}
    assert "3 records wait in untracked.jsonl" in said[-1]

    server.answer_all, server.files_answer = 200, 200
    assert send_rest(server.uri, server.run, folder, "FINISHED", said.append) == (0, "")
    assert server.told["metrics"] == {"train/loss@2": 0.4}
    assert list(server.files) == [f"1/{server.run}/artifacts/scores.csv"]


def test_a_server_that_sends_on_from_the_start_is_not_followed(server: Server, tmp_path: Path) -> None:
    server.health = 302
    with pytest.raises(TrackingError, match="it sends on to /login, and medseg goes to no address"):
        begun(server, tmp_path / "tiny", [])
    assert server.seen == ["/health"]
