"""The folder of a run: what it is doing, who does it, and how far it is."""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from medseg.errors import RunError
from medseg.places import written_whole
from medseg.recorder import Status

RUNS = Path("medseg-runs")
_STATE = "run.json"


@dataclass(frozen=True)
class State:
    """What a run knows of itself. Stays on this machine: it holds the path of the data.

    Attributes:
        name: Of the run, which is that of its folder.
        pipeline: Name of the definition.
        data: Folder of the data; None where they are generated.
        options: What was said on the command line, needed to go on in the same way.
        tracking_uri: Where it is tracked, without credentials.
        tracked: Id of the run there; empty where it is not tracked.
        status: RUNNING, FINISHED, FAILED or KILLED.
        process: Who runs it: host, process id and start time, so that another process of the same id is told
            apart.
        data_fingerprint: Of the content of the files.
        split_digest: Of the roles.
        done: Steps that are done.
    """

    name: str
    pipeline: str
    data: str | None
    options: Mapping[str, Any]
    tracking_uri: str = ""
    tracked: str = ""
    status: Status = "RUNNING"
    process: Mapping[str, Any] = field(default_factory=dict)
    data_fingerprint: str = ""
    split_digest: str = ""
    done: tuple[str, ...] = ()


class RunFolder:
    """One run's folder, `medseg-runs/<name>/`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, pipeline: str, below: Path = RUNS) -> RunFolder:
        """Make a new folder; its name holds the time and a few random digits.

        Raises:
            RunError: It cannot be made there.
        """
        now = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        path = below / f"{pipeline}-{now}-{secrets.token_hex(2)}"
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise RunError(
                f"no folder for runs can be made here ({error.strerror}): medseg writes to {RUNS}/ of the "
                "working folder. Change to a folder where you may write."
            ) from error
        return cls(path)

    def read(self) -> State:
        """The run's state.

        Raises:
            RunError: This is no run's folder, or its state is damaged.
        """
        try:
            known = json.loads((self.path / _STATE).read_text(encoding="utf-8"))
            return State(**{**known, "done": tuple(known["done"])})
        except FileNotFoundError:
            raise RunError(f"{self.path.name} is no run: it has no {_STATE}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{_STATE} of the run {self.path.name} is damaged. Start the pipeline again."
            ) from error

    def write(self, state: State) -> State:
        """Keep the state."""
        with written_whole(self.path / _STATE) as target:
            target.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
        return state

    def claim(self, state: State) -> State:
        """Say that this process runs it from now on.

        Raises:
            RunError: Another process does.
        """
        if alive(state):
            raise RunError(
                f"the run {state.name} is still going on (process {state.process['pid']}). Wait for it."
            )
        return self.write(replace(state, status="RUNNING", process=this_process()))


def this_process() -> dict[str, Any]:
    """How this process can be told from all others."""
    return {"host": platform.node(), "pid": os.getpid(), "since": psutil.Process().create_time()}


def alive(state: State) -> bool:
    """Whether the process of a RUNNING run is still there. Of another machine it is taken to be."""
    if state.status != "RUNNING" or not state.process:
        return False
    if state.process["host"] != platform.node():
        return True
    if state.process["pid"] == os.getpid():
        return False
    try:
        met = psutil.Process(state.process["pid"]).create_time()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return abs(met - state.process["since"]) < 2


def all_runs(below: Path = RUNS) -> Iterator[tuple[RunFolder, State]]:
    """Every run of a folder, latest first; what is no run, or damaged, is passed over."""
    if not below.is_dir():
        return
    found = [path for path in below.iterdir() if (path / _STATE).is_file()]
    for path in sorted(found, key=lambda p: (p / _STATE).stat().st_mtime, reverse=True):
        folder = RunFolder(path)
        try:
            yield folder, folder.read()
        except RunError:
            continue


def gone(below: Path = RUNS) -> list[tuple[RunFolder, State]]:
    """Runs that say RUNNING though their process is gone."""
    return [(f, s) for f, s in all_runs(below) if s.status == "RUNNING" and not alive(s)]
