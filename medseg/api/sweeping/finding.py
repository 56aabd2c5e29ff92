"""Which sweep is meant by a name, or was interrupted last."""

from __future__ import annotations

from contextlib import suppress

from medseg.errors import RunError
from medseg.pipeline.folder import all_runs
from medseg.pipeline.process import worked_on
from medseg.pipeline.study.sweep import SWEEPS, Sweep, find_sweep

_ENDED = "trials.csv"


def sweep_to_go_on(name: str | None) -> str | None:
    """The name of the sweep that `resume_sweep` goes on with; None if something else is meant.

    Args:
        name: As the user gives it; None for what was interrupted last.

    Raises:
        RunError: A sweep of that name is damaged.
    """
    if name is not None:
        found = find_sweep(name)
        return None if found is None else name
    return _interrupted()


def _interrupted() -> str | None:
    """The latest sweep of this user that has not ended, unless another run was interrupted after it."""
    folders = sorted(
        (each for each in SWEEPS.glob("*/sweep.json") if not (each.parent / _ENDED).exists()),
        key=lambda each: each.stat().st_mtime,
        reverse=True,
    )
    for path in folders:
        with suppress(RunError):
            sweep = Sweep.read(path.parent)
            if sweep.mine and worked_on(sweep.folder) == "free":
                return None if _later(sweep) else sweep.name
    return None


def _later(sweep: Sweep) -> bool:
    """Whether a run that is none of its own was interrupted after its last one."""
    own = {folder.path for folder, _ in sweep.runs()}
    for folder, state in all_runs():  # the latest first
        if folder.path in own:
            return False
        if state.part_of is not None and state.part_of.of_sweep:
            continue  # of another sweep: stopped on purpose, or gone on with by it
        if (
            state.mine
            and state.status in ("KILLED", "FAILED")
            and folder.touched > sweep.journal.stat().st_mtime
        ):
            return True
    return False
