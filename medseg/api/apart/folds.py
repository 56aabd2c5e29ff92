"""The folds of a cross-validation as tasks: cases are prepared once, then folds are learned at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.api.apart.task import Apart, all_apart, stop_file
from medseg.api.strangers import Given
from medseg.errors import RunError
from medseg.machine.crew.crew import Crew, Needs
from medseg.machine.workers import looks_here
from medseg.pipeline.options import default_jobs, working
from medseg.pipeline.preparing import Row, prepared, rows_of
from medseg.pipeline.study.cross_validation import CrossValidation
from medseg.progress import Progress

if TYPE_CHECKING:
    from medseg.pipeline.gather import Gathered


def learned_apart(
    asked: CrossValidation,
    changes: Sequence[str],
    uri: str,
    given: Given,
    shown: Progress,
    look: Callable[[Gathered], Gathered],
) -> None:
    """Run the folds that have not ended, each in a process of its own.

    Args:
        asked: The cross-validation; this process works on it.
        changes: `path=value` strings that make its first fold.
        uri: Of MLflow, with credentials.
        given: What the caller says.
        shown: Where progress is shown.
        look: Looks at the cases before anything is prepared, and gives those to go on with.

    Raises:
        MedsegError: What is wrong with a run.
        RunError: Folds have learned from different data.
    """
    left = [fold for fold in range(1, asked.folds + 1) if not _has_ended(asked, fold)]
    if not left:
        return
    with working(asked.options, shown) as crew:
        unprepared = _prepared_first(asked, changes, shown, look, crew)
        needs = Needs(
            () if asked.data is None else (Path(asked.data),), asked.folder, tuple(asked.options.allow)
        )
        stop = stop_file(asked.folder)
        tasks = [_task(asked, fold, uri, given, unprepared, stop, crew) for fold in left]
        with shown.bar("learning folds", len(tasks), "folds") as bar:
            for task, name in all_apart(crew, tasks, needs, stop):
                shown.say(f"{task.called.capitalize()} has ended: {name}.")
                bar.advance()
    states = [state for _, state in asked.begun()]
    if len(states) < asked.folds:
        raise RunError(
            "the runs of folds are not in this working folder, or were signed by another key. Every worker must have "
            "the working folder, and the folder of keys (MEDSEG_CONFIG), by the same path."
        )
    if len({state.data_fingerprint for state in states}) > 1:
        raise RunError(
            f"the data have changed while {asked.name} was learned, so that its folds are not alike. Start it again."
        )


def _has_ended(asked: CrossValidation, fold: int) -> bool:
    from medseg.pipeline.made import damaged  # noqa: PLC0415

    run = asked.run_of(fold)
    return run is not None and run[1].status == "FINISHED" and not damaged(run[0])


def _prepared_first(
    asked: CrossValidation,
    changes: Sequence[str],
    shown: Progress,
    look: Callable[[Gathered], Gathered],
    crew: Crew,
) -> tuple[Row, ...]:
    """Prepare the slices of the first fold, nearly all that any fold needs; gives the cases that cannot be."""
    from medseg.api.data import Preparable  # noqa: PLC0415

    data = None if asked.data is None else Path(asked.data)
    parts = Preparable.of(asked.pipeline, data, changes, asked.options, shown)
    gathered = look(parts.gathered)
    settled = bool([*asked.begun()])
    found, _, _ = prepared(
        parts.resolved,
        gathered,
        parts.share(gathered),
        leave_out=None if settled else parts.share,
        skip_bad=asked.options.skip_bad,
        otherwise="Mend what is named and begin anew, or go on without these cases: --skip-bad.",
        jobs=crew,
        progress=shown,
    )
    return rows_of(found.unprepared)


def _task(
    asked: CrossValidation,
    fold: int,
    uri: str,
    given: Given,
    unprepared: tuple[Row, ...],
    stop: Path,
    crew: Crew,
) -> Apart:
    threads = crew.share(default_jobs())
    arguments: Mapping[str, Any] = {
        "folder": str(asked.folder),
        "fold": fold,
        "data": asked.data,
        "uri": uri,
        "allow": tuple(asked.options.allow),
        "device": given.device,
        "take_over": given.take_over,
        "jobs": threads,
        "unprepared": unprepared,
    }
    return Apart(
        f"fold {fold}",
        "medseg.api.apart.one_fold",
        "fold_by_itself",
        arguments,
        Path.cwd(),
        uri,
        stop,
        threads=threads,
        with_folder=looks_here(),
    )
