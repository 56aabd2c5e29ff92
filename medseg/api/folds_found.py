"""Finding cross-validations of this working folder."""

from __future__ import annotations

import os

from medseg.api.finding import mark_gone
from medseg.pipeline.claim import unsure
from medseg.pipeline.folder import all_runs
from medseg.pipeline.study.cross_validation import CrossValidation, all_cross_validations


def are_folds(name: str | None, *, take_over: bool = False) -> bool:
    """Whether `resume_folds` is the one to go on, and not `resume_pipeline`.

    Args:
        name: As the user gives it; None for what was interrupted last.
        take_over: What another machine may work on counts too.
    """
    mark_gone()
    found = interrupted_folds(take_over=take_over) if name is None else find_folds(name)
    return found is not None


def find_folds(name: str) -> CrossValidation | None:
    """A cross-validation of this working folder by its name or folder; None if there is none."""
    return next((each for each in all_cross_validations() if name == each.name or _same(name, each)), None)


def _same(name: str, found: CrossValidation) -> bool:
    return os.path.realpath(name) == os.path.realpath(found.folder)


def interrupted_folds(*, take_over: bool = False) -> CrossValidation | None:
    """The latest cross-validation of this user that was interrupted, unless another run was interrupted after it.

    Args:
        take_over: What another machine may work on counts too.
    """
    waiting = (
        each
        for each in all_cross_validations()
        if (each.is_interrupted or (take_over and unsure(each, each.folder))) and each.mine
    )
    found = next(waiting, None)
    if found is None:
        return None
    for folder, state in all_runs():
        if not state.mine:
            continue
        if found.holds(state):
            return found
        if state.status in ("KILLED", "FAILED"):
            return found if found.touched > folder.touched else None
    return found
