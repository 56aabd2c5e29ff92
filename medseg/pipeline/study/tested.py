"""What runs found of their test part, read for a comparison: what cannot be compared is refused here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import MedsegError, RunError
from medseg.files.inside import inside
from medseg.files.regular import read_json
from medseg.learning.scores.tables import TEXTS, read_scores
from medseg.pipeline.claim import alive
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.folder import RunFolder, State

if TYPE_CHECKING:
    from pandas import DataFrame

_OF_SEED = ("seed",)
"""What may differ between the runs of one side."""


@dataclass(frozen=True)
class Tested:
    """A finished run with a test part.

    Attributes:
        folder: Of the run.
        state: Of the run.
        tables: Of its test part, by what follows `test` in their names.
    """

    folder: RunFolder
    state: State
    tables: Mapping[str, DataFrame]

    @classmethod
    def of(cls, folder: RunFolder) -> Tested:
        """Read a run.

        Raises:
            RunError: It has not ended, has no test part, or its tables are damaged or of another medseg.
        """
        state = folder.read()
        _refuse_unfinished(folder, state)
        if not (folder.path / "scores" / "test.csv").exists():
            raise RunError(
                f"the run {state.name} has no scores of a test part: no step of its definition evaluates one. Add a "
                "step {_target_: medseg.steps.Evaluate, role: test}, and a share `split.test`, and run it again."
            )
        names = {ending: f"test{ending}.csv" for ending in ("", "_groups", "_confusion")}
        there = {ending: name for ending, name in names.items() if (folder.path / "scores" / name).exists()}
        tables = {ending: _read(folder, name) for ending, name in there.items()}
        for column in ("case", "group"):
            if column not in tables[""]:
                raise RunError(
                    f"test.csv of the run {state.name} has no column {column}: an earlier medseg or somebody else "
                    "wrote it, and nobody can tell whom its rows are of. Run the pipeline again."
                )
        if tables[""].empty:
            raise RunError(f"test.csv of the run {state.name} has no rows. Run the pipeline again.")
        return cls(folder, state, tables)

    @property
    def cases(self) -> DataFrame:
        """The table of cases, `scores/test.csv`."""
        return self.tables[""]

    @cached_property
    def definition(self) -> Mapping[str, object]:
        """Its definition, by dotted keys.

        Raises:
            MedsegError: It cannot be read.
        """
        try:
            return PipelineDefinition.from_yaml(inside(self.folder.path, "definition.yaml")).flat()
        except (OSError, MedsegError) as error:
            raise RunError(
                f"definition.yaml of the run {self.state.name} cannot be read: an earlier medseg wrote it, or it is "
                "damaged. Run the pipeline again."
            ) from error

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.path.resolve().name

    @property
    def groups_are(self) -> str:
        """What a group of cases is called: `patient`, also where the kept manifest cannot be read, or `group`."""
        try:
            return Manifest.from_yaml(inside(self.folder.path, "manifest.yaml")).groups_are
        except (OSError, MedsegError):
            return "patient"

    @property
    def by_slice(self) -> bool:
        """Whether the split let slices of one volume into several roles, by itself or by the file that it named."""
        if self.definition.get("split.by") == "slice":
            return True
        try:
            known = read_json(inside(self.folder.path, "split.json"))
        except (OSError, ValueError, MedsegError):  # made by hand, or before there was one
            return False
        return isinstance(known, dict) and known.get("by") == "slice"


@dataclass(frozen=True)
class Side:
    """One model: its runs, which differ in the seed alone.

    Attributes:
        letter: `A`, `B`, ...
        runs: One or more.
    """

    letter: str
    runs: Sequence[Tested]

    @classmethod
    def of(cls, letter: str, runs: Sequence[Tested]) -> Side:
        """Put runs together.

        Raises:
            RunError: One is there twice, or they differ in more than the seed.
        """
        names = [run.folder.path.resolve() for run in runs]
        twice = sorted({path.name for path in names if names.count(path) > 1})
        if twice:
            raise RunError(f"the run {twice[0]} is given twice for {letter}. Name each run once.")
        first = runs[0]
        for other in runs[1:]:
            keys = sorted(
                key
                for key in first.definition.keys() | other.definition.keys()
                if key not in _OF_SEED and first.definition.get(key) != other.definition.get(key)
            )
            if keys:
                more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
                raise RunError(
                    f"the runs {first.name} and {other.name}, given together for {letter}, differ in more than the "
                    f"seed: {', '.join(keys[:3])}{more}. Compare them with each other (a space between them), and "
                    "join with commas only runs of one definition."
                )
        return cls(letter, tuple(runs))

    @property
    def label(self) -> str:
        """The letter with the names of its runs, those first that users gave them."""
        return f"{self.letter} = {', '.join(titled(run.state) for run in self.runs)}"


def titled(state: State) -> str:
    """The name that a run was given, with that of its folder; else that alone."""
    return f"{state.options.run_name} ({state.name})" if state.options.run_name else state.name


def _refuse_unfinished(folder: RunFolder, state: State) -> None:
    if state.status == "FINISHED":
        return
    if alive(state, folder.path):
        raise RunError(f"the run {state.name} is still going on. Compare it when it has ended.")
    what = {"FAILED": "has failed", "KILLED": "was interrupted"}.get(state.status, "was interrupted")
    raise RunError(f"the run {state.name} {what}, and has no whole test part. {folder.way_on(state)}")


def _read(folder: RunFolder, name: str) -> DataFrame:
    path = inside(folder.path, f"scores/{name}")
    try:
        frame = read_scores(path)
        numbers = [column for column in frame.columns if column not in TEXTS and frame[column].dtype != bool]
        frame[numbers] = frame[numbers].astype(float)
        whole = not np.isinf(frame[numbers].to_numpy()).any()
    except (ValueError, TypeError, OSError) as error:  # pandas' own are ValueErrors
        raise _damaged(path, folder) from error
    if not whole:
        raise _damaged(path, folder)
    return frame


def _damaged(path: Path, folder: RunFolder) -> RunError:
    return RunError(
        f"{path.name} of the run {folder.path.name} is damaged: expected a table of finite numbers. Put it back, or "
        "run the pipeline again."
    )
