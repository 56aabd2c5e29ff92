"""A sweep over settings of a pipeline: what was asked for, kept beside the runs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from medseg.errors import RunError
from medseg.files.regular import read_json
from medseg.pipeline.folder import Address, Plain, RunFolder, State, all_runs
from medseg.pipeline.options import RunOptions
from medseg.pipeline.process import hold, let_go
from medseg.pipeline.signature import is_signed, signed
from medseg.pipeline.study.cross_validation import both_declared
from medseg.pipeline.study.part import WINNER, Part
from medseg.places import written_whole

SWEEPS = Path("medseg-sweeps")
MOST_SEEDS, MOST_TRIALS = 100, 10_000
_FILE = "sweep.json"


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Sweep:
    """What was asked for. Stays on this machine: it holds the path of the data.

    Its journal, which Optuna writes, and its runs tell how far it is.

    Attributes:
        name: Of the folder, and of the run above the others.
        data: Folder of the data; None for the pipeline's own sample.
        vary: Settings with their values, as `--vary` takes them.
        trials: How many combinations of values are tried at most.
        seeds: How many runs each combination gets, with seeds one after another.
        minutes: After how many no further combination is begun; None for no limit.
        options: Options of the command line, for runs that have not begun.
        declared: Definition and manifest, with what is set for all runs.
        tracking_uri: Where it is tracked, without credentials.
        signature: Of all the rest, with the key of the user who wrote it.
    """

    name: Plain
    data: str | None
    vary: tuple[str, ...]
    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)]
    seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)]
    minutes: Annotated[float, Field(gt=0)] | None
    options: RunOptions
    declared: Annotated[Mapping[str, Mapping[str, Any]], AfterValidator(both_declared)]
    tracking_uri: Address
    signature: str = ""

    @staticmethod
    def named(pipeline: str) -> str:
        """A new name of a sweep of a pipeline."""
        return f"{pipeline}-sweep-{datetime.now().astimezone():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"

    @property
    def folder(self) -> Path:
        """Where its journal and tables lie."""
        return (SWEEPS / self.name).absolute()

    @property
    def journal(self) -> Path:
        """Where Optuna writes what was tried."""
        return self.folder / "trials.log"

    @property
    def mine(self) -> bool:
        """Whether this user wrote it, and nobody has edited it since."""
        return is_signed("sweep", self.content())

    @property
    def generated(self) -> bool:
        """Whether the data are a generated sample, as far as a run has looked at them."""
        return self.data is None or any(state.generated for _, state in self.runs())

    @property
    def experiment(self) -> str:
        """Name of the experiment of the run above the others."""
        return f"{self.declared['definition']['name']}{'-generated' if self.generated else ''}"

    def content(self) -> dict[str, Any]:
        """What its file holds."""
        return {**asdict(self), "options": self.options.kept()}

    def part(self, trial: int, seed: int) -> Part:
        """Which of its runs one is.

        Args:
            trial: Number of the combination of values, from 0.
            seed: Number of the seed, from 0.
        """
        return Part(self.name, trial * self.seeds + seed + 1)

    def winner(self, seed: int) -> Part:
        """Which of the runs that score the winner one is; `seed` from 0."""
        return Part(f"{self.name}{WINNER}", seed + 1)

    def run_of(self, part: Part) -> tuple[RunFolder, State] | None:
        """A run of it in this working folder, if it has begun."""
        mates = (pair for pair in all_runs() if pair[1].part_of == part)
        return next((pair for pair in mates if pair[1].mine), None)

    def runs(self) -> Iterator[tuple[RunFolder, State]]:
        """All its runs in this working folder, those that score the winner among them; latest first."""
        names = (self.name, f"{self.name}{WINNER}")
        return (pair for pair in all_runs() if (part := pair[1].part_of) is not None and part.name in names)

    def begin(self) -> None:
        """Keep it, signed, and be the one who works on it.

        Raises:
            RunError: It cannot be kept here.
        """
        kept = replace(self, signature=signed("sweep", self.content()))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with written_whole(self.folder / _FILE) as target:
                target.write_text(json.dumps(kept.content(), indent=1), encoding="utf-8")
        except OSError as error:
            raise RunError(
                f"no folder for sweeps can be made here ({error.strerror}): medseg writes to {SWEEPS}/ of the "
                "working folder. Change to a folder where you may write."
            ) from error
        self.take()

    def take(self) -> None:
        """Be the one who works on it, until `let_go` or the end of the process.

        Raises:
            RunError: Another process is at it.
        """
        if not hold(self.folder):
            raise RunError(f"another process works on {self.name}. Wait for it, or stop it.")

    def let_go(self) -> None:
        """This process works on it no more."""
        let_go(self.folder)

    @classmethod
    def read(cls, folder: Path) -> Sweep:
        """Read what was kept.

        Raises:
            RunError: This is no sweep, or its file is damaged.
        """
        try:
            found = TypeAdapter(cls).validate_json(json.dumps(read_json(folder / _FILE)), strict=True)
        except OSError as error:
            raise RunError(f"{_FILE} of {folder.name} cannot be read: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:
            raise RunError(f"{_FILE} of {folder.name} is damaged. Start the sweep again.") from error
        if found.name != folder.absolute().name:
            raise RunError(f"{_FILE} of {folder.name} is of another sweep. Start the sweep again.")
        return found


def find_sweep(name: str) -> Sweep | None:
    """A sweep of this working folder by its name or folder; None if there is none.

    Raises:
        RunError: Its file is damaged.
    """
    folders = (each for each in (SWEEPS / name, Path(name)) if (each / _FILE).is_file())
    folder = next(folders, None)
    return None if folder is None else Sweep.read(folder.resolve())
