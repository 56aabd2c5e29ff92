"""Deleting a run: its folder, and the mark on the tracking store that it is deleted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medseg.api.finding import find_run_folder, mark_gone, own_address
from medseg.errors import TrackingError
from medseg.pipeline.folder import State


@dataclass(frozen=True)
class Deleted:
    """A run that is gone.

    Attributes:
        name: Of its folder.
        marked: Id of its MLflow run, if that was marked deleted; else empty.
        note: What became of its MLflow run, as a sentence.
    """

    name: str
    marked: str
    note: str


def delete_run(run: str | Path, *, keep_tracked: bool = False, tracking_uri: str | None = None) -> Deleted:
    """Delete the folder of a run, and mark its MLflow run deleted, from where MLflow can restore it.

    The tracking store is asked first: where it does not answer, nothing is deleted. That of a run of somebody else is
    never asked, since its file names the address.

    Args:
        run: A run's folder, name or id, or `latest`.
        keep_tracked: Leave its MLflow run as it is.
        tracking_uri: Where it is tracked now; by default where it began.

    Raises:
        RunError: There is no such run, a process works on it, or it cannot be deleted.
        TrackingError: The tracking store does not answer.
    """
    from medseg.pipeline.moving import delete  # noqa: PLC0415

    mark_gone()
    folder = find_run_folder(str(run))
    found: list[Deleted] = []

    def first(state: State) -> None:
        found.append(_marked(folder.path, state, keep_tracked=keep_tracked, given=tracking_uri))

    name = folder.path.resolve().name
    delete(folder, first)
    return Deleted(name, found[0].marked, found[0].note)


def _marked(folder: Path, state: State, *, keep_tracked: bool, given: str | None) -> Deleted:
    from medseg.tracking.mlflow.address import default_uri  # noqa: PLC0415
    from medseg.tracking.mlflow.ending import mark_deleted  # noqa: PLC0415

    if not state.mine:
        return Deleted(
            state.name, "", "It was of somebody else: the tracking store that it names was not asked."
        )
    if not state.tracked:
        return Deleted(state.name, "", "It had no MLflow run.")
    if keep_tracked:
        return Deleted(state.name, "", f"Its MLflow run {state.tracked} stays as it is.")
    try:
        uri = given or own_address(
            state.name, state.tracking_uri, folder, own=state.options.own_store, tracked=True
        )
        if not mark_deleted(default_uri(uri), state.tracked):
            return Deleted(state.name, "", f"The tracking store has no run {state.tracked} any more.")
    except TrackingError as error:
        raise TrackingError(
            f"nothing was deleted, since the MLflow run cannot be marked: {error} To delete the folder alone: "
            "--keep-tracked"
        ) from error
    return Deleted(
        state.name,
        state.tracked,
        f"Restore its MLflow run with: mlflow runs restore --run-id {state.tracked}",
    )
