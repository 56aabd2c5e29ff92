"""The folder of a cross-validation: what was asked for, so that it can go on after an interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from medseg.errors import RunError
from medseg.files.regular import read_json
from medseg.packages import allowing
from medseg.pipeline.claim import Process, alive, taken, unsure
from medseg.pipeline.folder import MOST_MADE, Address, Plain, RunFolder, State, all_runs
from medseg.pipeline.made import is_as, known
from medseg.pipeline.options import RunOptions
from medseg.pipeline.process import hold, let_go, this_process, turn
from medseg.pipeline.signature import is_signed, signed
from medseg.pipeline.study.part import Part
from medseg.places import written_whole
from medseg.recorder import Status

FOLDS = Path("medseg-folds")
"""Where cross-validations are kept, below the working folder."""

MOST_FOLDS = 1000
"""More are refused: each is a run."""

_FILE = "folds.json"
_RESULTS = (".csv", ".png")


def both_declared(declared: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """A declaration, if it has its two parts."""
    if set(declared) != {"definition", "manifest"}:
        raise ValueError("expected definition and manifest")
    return declared


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class CrossValidation:
    """What was asked for. Stays on this machine: it holds the path of the data.

    Attributes:
        name: Of the folder, and of the run above the folds.
        pipeline: Name of the definition, or path of its file.
        data: Folder of the data; None for the pipeline's own sample.
        folds: How many.
        set: `path=value` strings that change the definition.
        options: Options of the command line, needed for folds that have not begun.
        declared: Definition and manifest when it began, without what tells one fold from the others.
        tracking_uri: Where it is tracked, without credentials.
        status: RUNNING, FINISHED, FAILED or KILLED.
        process: Who works on it, as of a run.
        signature: Of all the rest, with the key of the user who wrote it, as of a run.
        made: Tables and figures of all folds together, once it has ended: bytes and checksum by name.
    """

    name: Plain
    pipeline: str
    data: str | None
    folds: Annotated[int, Field(gt=1, le=MOST_FOLDS)]
    set: tuple[str, ...]
    options: RunOptions
    declared: Annotated[Mapping[str, Mapping[str, Any]], AfterValidator(both_declared)]
    tracking_uri: Address
    status: Status = "RUNNING"
    process: Process = field(default_factory=dict)
    signature: str = ""
    made: Annotated[Mapping[str, tuple[int, int]], Field(max_length=MOST_MADE)] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """What its file holds, as earlier versions wrote it: what was made, where anything was."""
        content = asdict(self)
        made = content.pop("made")
        return {**content, "options": self.options.kept(), **({"made": made} if made else {})}

    def damaged(self) -> list[str]:
        """Names of its tables and figures that are missing, or not as they were made."""
        return [name for name, expected in self.made.items() if not is_as(self.folder, name, expected)]

    @property
    def mine(self) -> bool:
        """Whether this user wrote it, and nobody has edited it since."""
        return is_signed("folds", self.content())

    @property
    def folder(self) -> Path:
        """Where its tables and figures lie."""
        return (FOLDS / self.name).absolute()

    @property
    def generated(self) -> bool:
        """Whether the data are a generated sample, as far as a fold has looked at them."""
        return self.data is None or any(state.generated for _, state in self.begun())

    @property
    def experiment(self) -> str:
        """Name of the experiment of the run above the folds; those on generated data are kept apart."""
        return f"{self.declared['definition']['name']}{'-generated' if self.generated else ''}"

    def write(self) -> CrossValidation:
        """Keep it, signed: whoever writes it answers for all of it.

        Raises:
            RunError: It cannot be kept here.
        """
        kept = replace(self, signature=signed("folds", self.content()))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with written_whole(self.folder / _FILE) as target:
                target.write_text(json.dumps(kept.content(), indent=1), encoding="utf-8")
        except OSError as error:
            raise RunError(
                f"no folder for folds can be made here ({error.strerror}): medseg writes to {FOLDS}/ of the "
                "working folder. Change to a folder where you may write."
            ) from error
        return kept

    def claim(self, *, take_over: bool = False, vouched: Mapping[str, Any] | None = None) -> CrossValidation:
        """Say that this process works on it from now on.

        Args:
            take_over: Take it even where nobody can tell from here whether its process is there.
            vouched: Of one that somebody else made: what the caller says in place of the file.

        Raises:
            RunError: Another process works on it, or it has ended; or it is of somebody else, and nobody vouches
                for it.
        """
        with turn(self.folder):
            now = CrossValidation.read(self.folder)
            if alive(now, self.folder) and not (take_over and unsure(now, self.folder)):
                raise taken(now, self.folder)
            if now.status == "FINISHED" and not (now.mine and now.damaged()):
                raise RunError(f"the cross-validation {self.name} has ended; there is nothing to go on with.")
            if vouched is None and not now.mine:
                raise RunError(f"{_FILE} of {self.name} has just been changed. Try again.")
            if not hold(self.folder):
                raise RunError(f"{self.name} is held by another process. Wait for it.")
            return replace(now, status="RUNNING", process=this_process(), **(vouched or {})).write()

    def begin(self) -> CrossValidation:
        """Make its folder, which this process works on from now on.

        Raises:
            RunError: It cannot be kept here.
        """
        kept = self.write()
        hold(kept.folder)
        return kept

    def let_go(self) -> None:
        """This process works on it no more."""
        let_go(self.folder)

    def end(self, status: Status) -> None:
        """Say how it ended, unless another process has taken it over."""
        with turn(self.folder):
            now = CrossValidation.read(self.folder)
            if now.process == self.process:
                files = (path for path in sorted(self.folder.iterdir()) if path.suffix in _RESULTS)
                made = {path.name: known(path) for path in files} if status == "FINISHED" else now.made
                replace(now, status=status, made=made).write()

    @classmethod
    def read(cls, folder: Path) -> CrossValidation:
        """Read what was kept.

        Raises:
            RunError: This is no cross-validation, or its file is damaged.
        """
        try:
            found = TypeAdapter(cls).validate_json(json.dumps(read_json(folder / _FILE)), strict=True)
        except FileNotFoundError:
            raise RunError(f"{folder.name} is no cross-validation: it has no {_FILE}") from None
        except OSError as error:
            raise RunError(f"{_FILE} of {folder.name} cannot be read: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:
            raise _damaged(folder) from error
        if found.name != folder.absolute().name:
            raise _damaged(folder)
        return found

    @property
    def way_on(self) -> str:
        """What brings it to its end, as a sentence: to go on with it, or to start it again if a fold fails again."""
        lost = next((folder.way_on(state) for _, (folder, state) in self.runs() if state.anew), "")
        return lost or f"Go on with it: medseg pipeline resume {self.name}{allowing(self.options.allow)}"

    @property
    def is_interrupted(self) -> bool:
        """Whether it has not ended, and nobody works on it."""
        return self.status != "FINISHED" and not alive(self, self.folder)

    def runs(self, *, mine: bool = True) -> Iterator[tuple[int, tuple[RunFolder, State]]]:
        """Folds that have a run in this working folder, in order, with it; arguments as of `run_of`."""
        for fold in range(1, self.folds + 1):
            found = self.run_of(fold, mine=mine)
            if found is not None:
                yield fold, found

    def begun(self) -> Iterator[tuple[int, State]]:
        """Folds that have a run in this working folder, in order."""
        for fold, (_, state) in self.runs():
            yield fold, state

    def run_of(self, fold: int, *, mine: bool = True) -> tuple[RunFolder, State] | None:
        """The run of one fold in this working folder, if it has begun.

        Args:
            fold: Which, from 1.
            mine: Whether it must be a run of this user, or one of somebody else.
        """
        mates = (pair for pair in all_runs() if pair[1].part_of == self.part(fold))
        return next((pair for pair in mates if pair[1].mine is mine), None)

    def holds(self, state: State) -> bool:
        """Whether a run is one of its folds."""
        part = state.part_of
        return part is not None and part.name == self.name and 1 <= part.fold <= self.folds

    @property
    def touched(self) -> float:
        """When its file was last written, in seconds since 1970."""
        return (self.folder / _FILE).stat().st_mtime

    def part(self, fold: int) -> Part:
        """What the run of a fold keeps, so that `run_of` finds it."""
        return Part(self.name, fold)


def _damaged(folder: Path) -> RunError:
    return RunError(f"{_FILE} of {folder.name} is damaged. Start the folds again.")


def all_cross_validations(below: Path = FOLDS) -> Iterator[CrossValidation]:
    """Every cross-validation of a folder, latest first; what is none, or damaged, is passed over."""
    found = below.glob(f"*/{_FILE}")
    for path in sorted(found, key=lambda each: each.stat().st_mtime, reverse=True):
        try:
            yield CrossValidation.read(path.parent)
        except RunError:
            continue
