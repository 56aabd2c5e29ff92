"""The slices of a run: cases that cannot be prepared end it, or are left out like those that the check finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from medseg.errors import DataError, Fault
from medseg.machine.crew.crew import Crew
from medseg.pipeline.duplicates import SharedCopies
from medseg.pipeline.gather import Gathered
from medseg.pipeline.resolve import Resolved
from medseg.progress import Progress
from medseg.slices.store.fill import prepare, stores_folder
from medseg.slices.store.store import SliceStore

Row = tuple[str, int, str, str, str]


def prepared(
    resolved: Resolved,
    gathered: Gathered,
    shared: SharedCopies,
    *,
    leave_out: Callable[[Gathered], SharedCopies] | None,
    skip_bad: bool,
    otherwise: str,
    jobs: int | Crew,
    progress: Progress,
) -> tuple[Gathered, SharedCopies, SliceStore]:
    """Prepare the slices of all cases, or of all that can be prepared.

    Args:
        resolved: The definition with all its parts.
        gathered: The cases.
        shared: Their roles.
        leave_out: Shares out the cases that are left, anew; None ends at cases that cannot be prepared.
        skip_bad: Whether cases with a label are left out as well as those without.
        otherwise: What to do then, in words.
        jobs: Volumes that are prepared at a time, or who does it.
        progress: Where it is shown.

    Returns:
        The cases that are left, their roles and their slices.

    Raises:
        DataError: Some cases cannot be prepared, and all faults are listed; or too few are left.
        StoreError: As `medseg.slices.store.fill.prepare`.
    """
    while True:
        try:
            store = _filled(resolved, gathered, shared, jobs, progress)
            settled = shared.split.settled((each.case, each.position) for each in store.samples)
            return gathered, replace(shared, split=settled), store
        except DataError as error:
            if not error.faults:
                raise
            if leave_out is None or not (skip_bad or gathered.report.skips(error.faults)):
                raise DataError(f"{error}\n{otherwise}", error.faults) from error
            gathered = gathered.without(error.faults)
            count = len({fault.case for fault in error.faults})
            cases = f"{count} more case" if count == 1 else f"{count} more cases"
            progress.say(f"Going on without {cases} that cannot be prepared.", loud=True)
            shared = leave_out(gathered)


def _filled(
    resolved: Resolved, gathered: Gathered, shared: SharedCopies, jobs: int | Crew, progress: Progress
) -> SliceStore:
    return prepare(
        shared.used,
        shared.split,
        resolved.predictor.preparation,
        resolved.manifest.label_rule(),
        regions=resolved.predictor.task.regions,
        known=gathered.report.contents,
        root=stores_folder(),
        seed=resolved.definition.seed,
        jobs=jobs,
        progress=progress,
        private=resolved.manifest.ids == "identifying",
    )


def rows_of(faults: Sequence[Fault]) -> tuple[Row, ...]:
    """What a run keeps of faults, without paths."""
    return tuple((each.case, each.position, each.part, each.found, each.remedy) for each in faults)


def faults_of(rows: Sequence[Row]) -> tuple[Fault, ...]:
    """The faults that a run kept."""
    return tuple(Fault(*row) for row in rows)
