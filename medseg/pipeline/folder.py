"""The folder of a run: what it is doing, who does it, and how far it is."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from medseg.errors import RunError
from medseg.files.inside import inside, is_normal, own_place
from medseg.files.regular import read_json
from medseg.pipeline.claim import Process, alive, taken, unsure
from medseg.pipeline.declaration.anew import way_on
from medseg.pipeline.declaration.definition import Slug
from medseg.pipeline.options import RunOptions
from medseg.pipeline.process import LOCKS, hold, holds, let_go, this_process, turn, worked_on
from medseg.pipeline.signature import is_signed, signed
from medseg.pipeline.study.part import Part
from medseg.places import clear_leftovers, clear_outputs, written_whole
from medseg.recorder import Status

RUNS = Path("medseg-runs")
_STATE = "run.json"
DECLARATION = ("definition.yaml", "manifest.yaml")
"""Files of a run's folder that say what is run, on what."""

TRACKED = "tracked"
"""Where the definition lies as trackers know it: without paths, and what may tell who a patient is."""

_BEGUN = re.compile(r"-\d{8}-\d{6}-[0-9a-f]{4}$")
_YOUNG = 60.0  # seconds; a run that begins has its state within a few
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def is_plain(name: str) -> bool:
    """Whether a name can stand in a path, an address and a command without meaning anything else there."""
    return _PLAIN.fullmatch(name) is not None


def _printable(address: str) -> str:
    if not address.isprintable():
        raise ValueError("expected an address that can be printed")
    return address


def _normal(path: str) -> str:
    if not is_normal(path):
        raise ValueError("expected the path of a file below the folder, in its plain form")
    return path


Plain = Annotated[str, Field(pattern=f"^{_PLAIN.pattern}$")]
Address = Annotated[str, AfterValidator(_printable)]
Made = tuple[Slug | Literal[""], int, int]

MOST_MADE = 10_000
"""Files of which a state tells: a run makes a few dozen, and each is looked at whenever the run is used."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class State:
    """What a run knows of itself. Stays on this machine: it holds the path of the data.

    Whoever writes it signs it with the key of this user, so that a file that came from somebody else, or was
    edited, is known as such: see `mine`.

    Attributes:
        name: Of the run, which is that of its folder.
        pipeline: Name of the definition.
        data: Folder of the data; None for the pipeline's own sample.
        options: Options of the command line, needed to go on in the same way.
        tracking_uri: Where it is tracked, without credentials.
        tracked: Id of the run there; empty where it is not tracked.
        status: RUNNING, FINISHED, FAILED or KILLED.
        ending: How a RUNNING run ends, while the trackers are being informed; else empty.
        process: Who runs it, to be named; whether it is still there tells the lock of the folder.
        data_fingerprint: Of the content of the files.
        split_digest: Of the roles.
        done: Steps that are done.
        declared: SHA-256 of definition and manifest as they were when it began, by the names of their files.
        made: Files of steps that are done, by their place in the folder: step, bytes, checksum.
        part_of: The cross-validation of which it is a fold.
        changed: Dotted keys of the definition that were changed when it went on.
        unprepared: Cases that it leaves out since they could not be prepared: what a `Fault` says of each, but for
            its path.
        sample: Whether the data are a generated sample, be it the pipeline's own or in a folder.
        mixture: How many of the cases were generated, such as `8 of 11`, where others were not; else empty.
        anew: What a new run is to set, as `path=value`, where this one failed and would fail so again, at least in as
            little memory; else empty.
        signature: Of all the rest, with the key of the user who wrote it.
    """

    name: Plain
    pipeline: Plain
    data: str | None
    options: RunOptions
    tracking_uri: Address = ""
    tracked: Plain | Literal[""] = ""
    status: Status = "RUNNING"
    process: Process = field(default_factory=dict)
    data_fingerprint: str = ""
    split_digest: str = ""
    done: tuple[Slug, ...] = ()
    ending: Status | Literal[""] = ""
    declared: Mapping[str, str] = field(default_factory=dict)
    made: Annotated[Mapping[Annotated[str, AfterValidator(_normal)], Made], Field(max_length=MOST_MADE)] = (
        field(default_factory=dict)
    )
    part_of: Part | None = None
    changed: tuple[str, ...] = ()
    unprepared: tuple[tuple[str, int, str, str, str], ...] = ()
    sample: bool = False
    mixture: Annotated[str, Field(pattern=r"^([0-9]{1,9} of [0-9]{1,9})?$")] = ""
    anew: Address = ""
    signature: str = ""

    @property
    def mine(self) -> bool:
        """Whether this user wrote it, and nobody has edited it since."""
        return is_signed("run", self.content())

    @property
    def generated(self) -> bool:
        """Whether the data are a generated sample; earlier versions told so by a missing folder alone."""
        return self.sample or self.data is None

    def content(self) -> dict[str, Any]:
        """What its file holds, as earlier versions wrote it: that it is a fold stands among the options there."""
        known = asdict(self)
        part = known.pop("part_of")
        options = self.options.kept() | ({"part_of": part} if part else {})
        added = ("changed", "unprepared", "sample", "mixture", "anew")
        later = {name: value for name in added if (value := known.pop(name))}
        return {**known, "options": options, **later}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """The state of a file, if everything in it is of its kind: anybody may have edited it.

        Raises:
            ValueError, KeyError, TypeError: Something is not.
        """
        options = {**content["options"]}
        known = {"part_of": options.pop("part_of", None), **content, "options": options}
        return TypeAdapter(cls).validate_json(json.dumps(known), strict=True)


class RunFolder:
    """One run's folder, `medseg-runs/<name>/`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reserved = False  # another thread of this process may hold it, too

    @classmethod
    def create(cls, pipeline: str, below: Path = RUNS) -> RunFolder:
        """Make a new folder; its name holds the time and a few random digits.

        What runs left beside it that were killed before their state was written is removed.

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
        _clear_beginnings(below)
        return cls(path)

    def read(self) -> State:
        """The run's state.

        Raises:
            RunError: This is no run's folder, or its state is damaged.
        """
        try:
            return State.of(read_json(self.path / _STATE))
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
        """Keep the state, signed: whoever writes it answers for all of it."""
        state = replace(state, signature=signed("run", state.content()))
        with written_whole(self.path / _STATE) as target:
            target.write_text(json.dumps(state.content(), indent=1), encoding="utf-8")
        return state

    def drop_step(self, name: str) -> None:
        """Remove the files of a step, and nothing else.

        Raises:
            RunError: They lie elsewhere, through a link.
        """
        inside(self.path, f"steps/{name}")  # with all that it holds
        shutil.rmtree(own_place(self.path, f"steps/{name}"), ignore_errors=True)

    def declaration(self) -> Mapping[str, str]:
        """Digests of definition and manifest as they lie there now; of a file that is missing there is none."""
        files = [path for name in DECLARATION if (path := self.path / name).is_file()]
        return {path.name: self.digest(path) for path in files}

    @staticmethod
    def digest(path: Path) -> str:
        """SHA-256 of a file's bytes."""
        return hashlib.sha256(path.read_bytes()).hexdigest()

    @property
    def called(self) -> str:
        """What names it on the command line."""
        beside = self.path.absolute().parent == RUNS.absolute()
        return shlex.quote(self.path.name if beside else str(self.path))

    def way_on(self, state: State) -> str:
        """What brings a run that has not finished to its end, as of `medseg.pipeline.declaration.anew.way_on`."""
        whole = state.part_of.whole if state.part_of is not None else ""
        data, packages = state.data is not None, state.options.allow
        return way_on(self.path, self.called, setting=state.anew, whole=whole, data=data, packages=packages)

    @property
    def touched(self) -> float:
        """When the state was last written, in seconds since 1970."""
        return (self.path / _STATE).stat().st_mtime

    def turn(self, wait: float = 20.0) -> AbstractContextManager[None]:
        """Be the only process that changes whose the run is; see `medseg.pipeline.process.turn`."""
        return turn(self.path, wait)

    def claim(
        self, state: State, *, take_over: bool = False, vouched: Mapping[str, Any] | None = None
    ) -> State:
        """Say that this process runs it from now on.

        It stays so until `let_go`.

        Args:
            state: Of the run, as it was when this was decided; what is in the folder by now counts.
            take_over: Take it even where nobody can tell from here whether its process is there: see `unsure`.
            vouched: Of a run that somebody else made: what the caller says in place of the file.

        Raises:
            RunError: Another process runs it, or has finished it in the meantime; or it is of somebody else, and
                nobody vouches for it.
        """
        with self.turn():
            there = (self.path / _STATE).exists()
            now = self.read() if there else state
            if not there and state.process:
                raise RunError(f"the run {state.name} has just been moved or removed by another command.")
            self._refuse_taken(now, take_over=take_over)
            if now.status == "FINISHED" and state.status != "FINISHED":
                raise RunError(f"the run {now.name} has just been finished by another process.")
            if there and vouched is None and not now.mine:
                raise RunError(f"{_STATE} of the run {self.path.name} has just been changed. Try again.")
            self._hold(now)
            if holds(self.path):
                clear_leftovers(self.path, own=True)
            mine = replace(now, status="RUNNING", process=this_process(), ending="", anew="")
            return self.write(replace(mine, **(vouched or {})))

    def reserve(self, *, take_over: bool = False) -> None:
        """Hold a run before it is claimed: loading what it needs takes long, and nobody is to move it meanwhile.

        Args:
            take_over: As of `claim`.

        Raises:
            RunError: Another process runs it or holds it.
        """
        with self.turn():
            now = self.read()
            self._refuse_taken(now, take_over=take_over)
            self._hold(now)
            self._reserved = holds(self.path)

    def _refuse_taken(self, now: State, *, take_over: bool) -> None:
        free = self._reserved or not alive(now, self.path)
        if not free and not (take_over and unsure(now, self.path)):
            raise taken(now, self.path)

    def _hold(self, now: State) -> None:
        if not self._reserved and not hold(self.path):
            raise RunError(f"the run {now.name} is held by another process. Wait for it.")

    def let_go(self) -> None:
        """This process runs it no more; a process that ends has let go."""
        self._reserved = False
        let_go(self.path)


def _clear_beginnings(below: Path) -> None:
    """Remove what killed runs had begun to write, and the folders of those that had no state yet.

    These hold a declaration at most.
    """
    for path in below.iterdir():
        with suppress(OSError):  # another command is at it, or it is another user's
            age = abs(time.time() - path.stat().st_mtime)
            names = {each.name for each in path.iterdir() if each.suffix != ".part"}
            named = _BEGUN.search(path.name) is not None and not path.is_symlink()
            clear_outputs(path)
            if named and age > _YOUNG and names <= {*DECLARATION, *LOCKS} and worked_on(path) == "free":
                shutil.rmtree(path, ignore_errors=True)


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
    return [(f, s) for f, s in all_runs(below) if s.status == "RUNNING" and not alive(s, f.path)]
