"""Folders of runs that somebody else made, or edited: nothing that their files say counts by itself."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medseg.api import RunResult
from medseg.cli.main import app
from medseg.pipeline.folder import RunFolder
from medseg.tracking.mlflow.outbox import UNTRACKED
from medseg.tracking.mlflow.store import open_store
from medseg.yaml import read_yaml, write_yaml

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

GONE = {"host": os.uname().nodename if hasattr(os, "uname") else "", "pid": 2**22 - 3, "since": 1.0}


def medseg(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def written(folder: RunFolder, **changes: Any) -> None:
    """Edit a run's file as anybody can."""
    path = folder.path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@dataclass
class Listener:
    """A server of a stranger, who reads all that he is sent."""

    address: str = ""
    heard: list[str] = field(default_factory=list)


@pytest.fixture
def stranger() -> Iterator[Listener]:
    found = Listener()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            found.heard.append(f"{self.command} {self.path} {self.headers.get('Authorization')}")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "words",
    [["cache", "list"], ["pipeline", "list"], ["pipeline", "show", "brats2d"], ["pipeline", "resume"]],
    ids=" ".join,
)
def test_no_command_calls_the_address_that_the_run_of_a_stranger_names(
    words: list[str], killed: RunFolder, stranger: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "of-the-user")
    written(killed, status="RUNNING", process=GONE, tracking_uri=stranger.address)
    before = (killed.path / "run.json").read_bytes()
    medseg(*words)

    assert stranger.heard == []
    assert (killed.path / "run.json").read_bytes() == before


def test_what_a_run_says_of_packages_lets_nothing_run(killed: RunFolder, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    definition = read_yaml(killed.path / "definition.yaml")
    process = {"_target_": "subprocess.Popen", "args": ["touch", str(marker)]}
    definition["loading"]["augment"] = [{"_target_": "monai.transforms.RandFlip", "prob": process}]
    write_yaml(definition, killed.path / "definition.yaml")
    state = json.loads((killed.path / "run.json").read_text())
    written(killed, done=[], options={**state["options"], "allow": ["subprocess"]})
    result = medseg("pipeline", "resume", killed.path.name)

    assert not marker.exists()
    assert result.exit_code == 2, result.output


def test_a_record_that_waits_sends_no_file_from_elsewhere(
    killed: RunFolder, finished: RunResult, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("of the user")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner.txt").write_text("of the user")
    (killed.path / "figures" / "linked.png").symlink_to(tmp_path / "secret.txt")
    paths = [
        str(tmp_path / "secret.txt"),
        "../../../secret.txt",
        str(tmp_path / "folder"),
        "figures/linked.png",
    ]
    lines = [json.dumps({"what": "artifact", "body": {"path": path, "folder": "stolen"}}) for path in paths]
    (killed.path / UNTRACKED).write_text("\n".join(lines) + "\n")
    uri = json.loads((killed.path / "run.json").read_text())["tracking_uri"]
    medseg("pipeline", "resume", killed.path.name, "--tracking-uri", uri, "--data", Path("nowhere"))
    written(killed, status="FINISHED")
    medseg("pipeline", "resume", killed.path.name, "--tracking-uri", uri)

    with open_store(uri) as client:
        assert list(client.list_artifacts(finished.run_id, "stolen")) == []
