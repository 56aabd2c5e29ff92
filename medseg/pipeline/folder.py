"""The folder of a run: what it is doing, who does it, and how far it is."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from medseg.errors import RunError
from medseg.pipeline.claim import alive, elsewhere, is_claim, taken
from medseg.pipeline.process import this_process, turn
from medseg.places import written_whole
from medseg.recorder import Status
from medseg.regular import read_json

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
        ending: How a RUNNING run ends, while the trackers are being told; else empty.
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
    ending: Status | Literal[""] = ""


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
            known = read_json(self.path / _STATE)
            return _sound(State(**{**known, "done": tuple(known["done"])}))
        except FileNotFoundError:
            raise RunError(f"{self.path.name} is no run: it has no {_STATE}") from None
        except OSError as error:
            raise RunError(
                f"{_STATE} of the run {self.path.name} cannot be read: {error.strerror}."
            ) from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(
                f"{_STATE} of the run {self.path.name} is damaged. Start the pipeline again."
            ) from error

    def write(self, state: State) -> State:
        """Keep the state."""
        with written_whole(self.path / _STATE) as target:
            target.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
        return state

    @property
    def touched(self) -> float:
        """When the state was last written, in seconds since 1970."""
        return (self.path / _STATE).stat().st_mtime

    def turn(self, wait: float = 20.0) -> AbstractContextManager[None]:
        """Be the only process that changes whose the run is; see `medseg.pipeline.process.turn`."""
        return turn(self.path, wait)

    def claim(self, state: State, *, take_over: bool = False) -> State:
        """Say that this process runs it from now on.

        Args:
            state: Of the run, as it was when this was decided; what is in the folder by now counts.
            take_over: Take it even from a process of another machine, which cannot be asked from here.

        Raises:
            RunError: Another process runs it, or has finished it in the meantime.
        """
        with self.turn():
            now = self.read() if (self.path / _STATE).exists() else state
            if alive(now) and not (take_over and elsewhere(now)):
                raise taken(now)
            if now.status == "FINISHED" and state.status != "FINISHED":
                raise RunError(f"the run {now.name} has just been finished by another process.")
            return self.write(replace(now, status="RUNNING", process=this_process(), ending=""))


def _sound(state: State) -> State:
    """The state, if everything in it is of its kind: anybody may have edited the file."""
    texts = (state.name, state.pipeline, state.tracking_uri, state.tracked, *state.done)
    texts += (state.data_fingerprint, state.split_digest, state.data or "")
    process, options = state.process, state.options
    fine = (
        all(isinstance(text, str) for text in texts)
        and state.status in get_args(Status)
        and isinstance(options, dict)
        and isinstance(options["device"], str)
        and isinstance(options["skip_bad"], bool)
        and state.ending in (*get_args(Status), "")
    )
    fine = fine and is_claim(process)
    if not fine:
        raise TypeError("a value of another kind")
    return state


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
