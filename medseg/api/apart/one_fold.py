"""One fold of a cross-validation: begun, gone on with, or as it has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.api.result import RunResult
from medseg.api.running import begin, ended, go_on
from medseg.api.strangers import Given
from medseg.datasets.case import labelled
from medseg.errors import RunError
from medseg.pipeline.made import damaged
from medseg.pipeline.study.cross_validation import CrossValidation
from medseg.progress import Progress, Silent

if TYPE_CHECKING:
    from medseg.pipeline.gather import Gathered
    from medseg.pipeline.preparing import Row

OWN_PARTS = ("split.test", "split.column", "split.file")
"""What the folds say themselves."""


def changes_of(asked: CrossValidation, fold: int) -> list[str]:
    """`path=value` strings that make the definition of a fold."""
    parts = [*asked.set, *(f"{part}=null" for part in OWN_PARTS)]
    return [*parts, f"split.folds={asked.folds}", f"split.fold={fold}"]


def learned(
    asked: CrossValidation, fold: int, given: Given, shown: Progress, unprepared: Sequence[Row] = ()
) -> RunResult:
    """A fold as it has ended, to its end, or begun and seen to its end.

    Args:
        asked: The cross-validation.
        fold: Which, from 1.
        given: What the caller says, with the address of MLflow.
        shown: Where progress is shown.
        unprepared: Cases that all folds leave out, since they cannot be prepared, where that is known beforehand.

    Raises:
        MedsegError: What is wrong with the run.
    """
    run = asked.run_of(fold)
    if run is not None:
        folder, state = run
        if state.status == "FINISHED" and not damaged(folder):
            shown.say(f"It has ended: {state.name}.")
            return ended(folder, given.allow)
        return go_on(folder, given, shown)
    return begin(
        asked.pipeline,
        None if asked.data is None else Path(asked.data),
        changes_of(asked, fold),
        asked.options,
        given.tracking_uri,
        shown,
        asked.part(fold),
        partial(look_at, asked, fold, shown, unprepared),
    )


def fold_by_itself(
    folder: str, fold: int, data: str | None, uri: str, unprepared: Sequence[Row], **said: Any
) -> str:
    """Learn a fold of a cross-validation that another process sees to its end; gives the name of its run.

    Args:
        folder: Of the cross-validation.
        fold: Which, from 1.
        data: Folder of the data; None for the pipeline's own sample.
        uri: Of MLflow.
        unprepared: Cases that all folds leave out, since they cannot be prepared.
        **said: What else the caller says, as of `Given`.

    Raises:
        MedsegError: What is wrong with the run.
    """
    asked = CrossValidation.read(Path(folder))
    if not asked.mine:
        raise RunError(
            f"{asked.name} was signed by another key. Every worker must have the folder of keys (MEDSEG_CONFIG) of "
            "the one who gave the command."
        )
    given = Given(None if data is None else Path(data), uri, **said)
    asked = replace(asked, data=data, options=given.over(asked.options))
    return learned(asked, fold, given, Silent(), unprepared).name


def look_at(
    asked: CrossValidation, fold: int, shown: Progress, unprepared: Sequence[Row], gathered: Gathered
) -> Gathered:
    """Before a fold is learned: refuse other data than those of the folds before, say what of them is overruled.

    Cases that the first fold could not prepare are left out of all.
    """
    from medseg.pipeline.preparing import faults_of  # noqa: PLC0415
    from medseg.pipeline.run import refuse_changed_data  # noqa: PLC0415

    if fold > 1 and unprepared:
        gathered = gathered.without(faults_of(unprepared))
    for _, state in asked.begun():
        gathered = gathered if gathered.unprepared else gathered.without(faults_of(state.unprepared))
        refuse_changed_data(state, gathered)
    if fold == 1:
        _say_overruled(asked.declared["definition"]["split"], gathered, shown)
    return gathered


def _say_overruled(split: Mapping[str, Any], gathered: Gathered, shown: Progress) -> None:
    """Say that roles which somebody gave do not count: a test part that was kept aside is learned from."""
    from medseg.splits.column import roles_by_column  # noqa: PLC0415

    column = split.get("column")
    if column is not None and column in labelled(gathered.cases)[0].extra:
        given = set(roles_by_column(column, labelled(gathered.cases)).values()) - {"train"}
        where = f"the column '{column}'"
    else:
        given = {"test"} if split.get("file") or isinstance(split.get("test"), Mapping) else set()
        where = "the definition"
    if given:
        shown.say(
            f"CROSS-VALIDATION IGNORES THE FIXED ROLES: {where} assigns patients to {' and '.join(sorted(given))}. "
            "Every patient is tested once and used for training in the other folds.",
            loud=True,
        )
