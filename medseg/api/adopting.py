"""Making a run of somebody else one's own: what its caller says takes the place of what its files say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medseg.api.finding import experiment_of
from medseg.api.strangers import Given
from medseg.errors import RunError
from medseg.files.inside import refuse_ways_out
from medseg.pipeline.folder import RunFolder, State, is_plain
from medseg.pipeline.study.cross_validation import CrossValidation


def vouched_run(folder: RunFolder, state: State, given: Given) -> Mapping[str, Any]:
    """What counts of a run of somebody else in place of what its file says; it is the caller's from then on.

    It is no fold of anything any more, for a stranger may have written that it is one of the caller's. Its MLflow run
    is looked for by the name of the folder: an id that a stranger wrote may be of another.

    Args:
        folder: Of the run.
        state: As it was read.
        given: What `refuse_unvouched` found enough.

    Raises:
        RunError: The name of the folder cannot be a run's.
    """
    from medseg.tracking.mlflow.address import default_uri, masked  # noqa: PLC0415

    if not is_plain(folder.path.name):
        raise RunError(
            "the name of the run's folder holds more than letters, digits, '.', '_' and '-'. Rename it."
        )
    return {
        "name": folder.path.name,
        "data": None if state.data is None else given.root,
        "options": replace(state.options, allow=tuple(given.allow), jobs=None, own_store=""),
        "tracking_uri": masked(default_uri(given.address)),
        "tracked": "",
        "declared": folder.declaration(),
        "part_of": None,
    }


def vouched_folds(found: CrossValidation, given: Given) -> Mapping[str, Any]:
    """What counts of a cross-validation of somebody else, as of `vouched_run`.

    Raises:
        RunError: Its definition is a file somewhere, and not a pipeline of this machine.
    """
    from medseg.tracking.mlflow.address import default_uri, masked  # noqa: PLC0415

    if not is_plain(found.pipeline) or Path(found.pipeline).suffix:
        raise RunError(
            f"the cross-validation {found.name} was made by somebody else, of a definition in a file. Start it "
            "again: medseg pipeline folds FILE"
        )
    return {
        "data": None if found.data is None else given.root,
        "options": replace(found.options, allow=tuple(given.allow), jobs=None, own_store=""),
        "tracking_uri": masked(default_uri(given.address)),
    }


def adopted_runs(found: CrossValidation, given: Given) -> Sequence[tuple[RunFolder, State]]:
    """The runs of a cross-validation of somebody else, as they are to be kept once it is the caller's.

    Raises:
        RunError: One that has ended is not in the tracking store, or a folder leads out of itself.
        TrackingError: The store does not answer.
    """
    from medseg.tracking.mlflow.address import default_uri  # noqa: PLC0415
    from medseg.tracking.mlflow.recorder import MlflowRecorder  # noqa: PLC0415

    uri, adopted = default_uri(given.address), []
    for fold, (folder, state) in found.runs(mine=False):
        refuse_ways_out(folder.path)
        mine = replace(state, **{**vouched_run(folder, state, given), "part_of": found.part(fold)})
        tracked = MlflowRecorder.find(uri, experiment_of(mine), folder.path)
        if state.status == "FINISHED" and not tracked:
            raise RunError(
                f"fold {fold} of {found.name} has ended, and the tracking store that was named does not have its "
                "run: all folds are tracked in one place. Name that one (--tracking-uri), or start the folds again."
            )
        adopted.append((folder, replace(mine, tracked=tracked)))
    return adopted
