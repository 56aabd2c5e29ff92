"""What the folder of a run, or of a cross-validation, holds for a report; somebody else may have made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import MedsegError, RunError
from medseg.files.inside import own_place
from medseg.files.regular import refuse_irregular
from medseg.learning.scores.tables import TEXTS, read_scores
from medseg.pipeline.claim import alive
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.made import RECORDS, is_as, refuse_damaged, stamps
from medseg.pipeline.study.cross_validation import CrossValidation
from medseg.places import read_kept

if TYPE_CHECKING:
    from pandas import DataFrame

SUMMARY = frozenset({"name", "score", "mean", "low", "high", "patients"})
"""Columns that a table of scores with their intervals has at least."""

_SHOWN = (".json", ".csv", ".png")  # endings of files of which a page shows something
_MOST_COUNT = 10**15  # of patients, cases or slices: what is no count is not shown


@dataclass(frozen=True)
class Kept:
    """A run, or the folds of a cross-validation together.

    Attributes:
        name: Public name; never that of the folder, which may have been moved to where it names somebody.
        folder: Where its files lie.
        state: Of the run; of folds what they have in common.
        ended: How it ended: FINISHED, FAILED, KILLED or GONE.
        mine: Whether this user made it, and nobody has edited its state since.
        edited: Whether this user made it, and what the page shows is not as it was made.
        generated: Whether it ran on a generated sample.
        definition: What was run; None where it cannot be read.
        manifest: What the data mean; None where it cannot be read.
        tables: Place of the tables of scores in the folder, as it stands before their names.
        figures: Place of the figures of the test part, as it stands before their names.
        parts: How many folds there are; 0 of a run itself.
        folds: Those runs of folds that are here, in order.
    """

    name: str
    folder: Path
    state: State
    ended: str
    mine: bool
    generated: bool
    definition: PipelineDefinition | None
    manifest: Manifest | None
    tables: str
    figures: str
    parts: int = 0
    folds: Sequence[Kept] = field(default_factory=tuple)
    edited: bool = False
    _found: dict[str, DataFrame] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def runs(self) -> Sequence[Kept]:
        """The runs themselves: the folds, or the one run."""
        return self.folds or (self,)

    @property
    def title(self) -> str:
        """What whoever ran it called it; else its name."""
        return self.state.options.run_name or self.name

    @property
    def leaking(self) -> bool:
        """Whether slices of one patient may be in several roles: by the definition, or by the split file it names."""
        declared = self.definition is not None and self.definition.split.by == "slice"
        return declared or any(each.tags.get("split.leaking") == "true" for each in self.runs)

    @property
    def grouped_by(self) -> str:
        """What a score is the mean over: patients, or the groups of pictures with masks."""
        known = self.manifest
        pictures = known is not None and known.pictures is not None and known.truth == "masks"
        return "groups" if pictures else "patients"

    @cached_property
    def tags(self) -> Mapping[str, str]:
        """What it was found by, as recorded."""
        found = self.json("tags.json", dict) or {}
        return {str(key): str(value) for key, value in found.items()}

    @cached_property
    def inputs(self) -> Sequence[tuple[str, Mapping[str, int]]]:
        """Role and counts (cases, groups, slices) of what it learned from and was tested on."""
        found = [row for row in self.json("inputs.json", list) or [] if isinstance(row, dict)]
        return [
            (str(row.get("context", "")), {str(key): n for key, n in counts.items() if _is_count(n)})
            for row in found
            if isinstance(counts := row.get("profile"), dict)
        ]

    def json(self, place: str, kind: type[Any]) -> Any:
        """A JSON file; None if it is missing, or holds anything else."""
        path = self._file(place)
        try:
            return None if path is None else read_kept(path, kind)
        except RunError:
            return None

    def table(self, name: str, columns: frozenset[str] = frozenset()) -> DataFrame | None:
        """A table of scores; None if there is none.

        Args:
            name: Without `.csv`.
            columns: What it must have.

        Raises:
            RunError: It is damaged.
        """
        path = self._file(f"{self.tables}{name}.csv")
        if path is None:
            return None
        if name not in self._found:  # a page asks for most of them several times
            self._found[name] = read_scores(path)
        found = self._found[name].copy()
        try:
            numbers = [each for each in found.columns if each not in TEXTS and found[each].dtype != bool]
            found[numbers] = found[numbers].astype(float)
            known = columns <= set(found.columns) and not np.isinf(found[numbers].to_numpy()).any()
        except (ValueError, TypeError):  # pandas' own are ValueErrors
            known = False
        if not known:
            raise RunError(
                f"{name}.csv of {self.name} is damaged: expected a table of scores. Put it back, or run the pipeline "
                "again."
            )
        return found

    def _file(self, place: str) -> Path | None:
        """A regular file of the folder itself; None if there is none."""
        try:
            path = own_place(self.folder, place)
            refuse_irregular(path)
        except (OSError, RunError):
            return None
        return path


def kept_run(folder: RunFolder) -> Kept:
    """Look at a run.

    Raises:
        RunError: It still goes on, its state is damaged, or its scores are not as it made them.
    """
    state = folder.read()
    if alive(state, folder.path):
        raise RunError(f"the run {state.name} is still going on. Report it when it has ended.")
    if state.status == "FINISHED":
        refuse_damaged(folder, "scores/")
    return Kept(
        name=state.name,
        folder=folder.path,
        state=state,
        ended="GONE" if state.status == "RUNNING" else state.status,
        mine=state.mine,
        generated=state.generated,
        definition=_definition(folder.path),
        manifest=_manifest(folder.path),
        tables="scores/",
        figures="figures/test_",
        edited=state.mine and _edited(folder, state),
    )


def kept_folds(found: CrossValidation) -> Kept:
    """Look at a cross-validation that has ended.

    Raises:
        RunError: Its scores are not put together yet, or it cannot be read.
    """
    if found.status != "FINISHED":
        raise RunError(
            f"the cross-validation {found.name} has not ended, and has no scores of all folds together. Report its "
            f"runs: medseg runs list. {found.way_on}"
        )
    runs = {fold: kept_run(pair[0]) for mine in (False, True) for fold, pair in found.runs(mine=mine)}
    declared = found.declared
    try:
        definition = PipelineDefinition.from_dict(declared["definition"], found.name)
        manifest = Manifest.from_json(declared["manifest"])
    except MedsegError:
        definition, manifest = None, None
    return Kept(
        name=found.name,
        folder=found.folder,
        state=State(found.name, found.name, found.data, found.options, status=found.status),
        ended=found.status,
        mine=found.mine,
        generated=found.generated,
        definition=definition,
        manifest=manifest,
        tables="",
        figures="folds_",
        parts=found.folds,
        folds=tuple(runs[fold] for fold in sorted(runs)),
        edited=found.mine
        and bool(found.damaged() or {each.name for each in found.folder.glob("*.csv")} - set(found.made)),
    )


def _edited(folder: RunFolder, state: State) -> bool:
    """Whether anything that a page shows is not as the run made it: changed, gone, or put there by hand.

    Weights, which a page does not show, are not read. Figures that were put there are not found: those that a run
    drew before it was interrupted are not noted, either.
    """
    if folder.declaration() != state.declared:
        return True
    if not all(
        is_as(folder.path, name, (size, sum_of))
        for name, (_, size, sum_of) in state.made.items()
        if name.endswith(_SHOWN)
    ):
        return True
    there = {name for name in stamps(folder) if not name.startswith("figures/")}
    there |= {name for name in RECORDS if (folder.path / name).exists()}
    new = {name for name in there if name.endswith(_SHOWN)} - set(state.made)
    return state.status == "FINISHED" and bool(new)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_COUNT


def _definition(folder: Path) -> PipelineDefinition | None:
    try:
        return PipelineDefinition.from_yaml(own_place(folder, "definition.yaml"))
    except (OSError, MedsegError):
        return None


def _manifest(folder: Path) -> Manifest | None:
    try:
        return Manifest.from_yaml(own_place(folder, "manifest.yaml"))
    except (OSError, MedsegError):
        return None
