"""Sending what the tracking server has not had of runs that have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from medseg.api.finding import find_run_folder, mark_gone, own_address
from medseg.errors import MedsegError, RunError, TrackingError
from medseg.files.inside import refuse_ways_out
from medseg.pipeline.claim import alive
from medseg.pipeline.folder import RunFolder, State, all_runs
from medseg.pipeline.process import turn
from medseg.pipeline.study.cross_validation import CrossValidation, all_cross_validations
from medseg.progress import Progress, Silent


@dataclass(frozen=True)
class Synced:
    """A run of which something waited.

    Attributes:
        name: Of the run.
        sent: Whether the server has now had all of it.
        note: What it has not had, and why; empty if nothing.
    """

    name: str
    sent: bool
    note: str = ""


def sync_runs(
    run: str | None = None, *, tracking_uri: str | None = None, progress: Progress | None = None
) -> list[Synced]:
    """Send what waits of runs that have ended to where they are tracked; what is sent waits no more.

    Of runs of somebody else nothing is sent: their files name the address. A run that is going on sends it itself.

    Args:
        run: A run's folder, name or id, or `latest`; by default all runs and cross-validations of this working
            folder.
        tracking_uri: Where they are tracked now; by default where each began, with user and password from
            MLFLOW_TRACKING_URI where that is the same server.
        progress: Where it is shown.

    Returns:
        The runs of which something waited.

    Raises:
        RunError: There is no such run, or nothing of it may be sent.
    """
    from medseg.tracking.mlflow.sending.outbox import UNTRACKED  # noqa: PLC0415

    say = (progress or Silent()).say
    mark_gone(say)
    if run is not None:
        folder = find_run_folder(run)
        state = folder.read()
        _refuse(folder, state)
        waits = (folder.path / UNTRACKED).exists()
        return [_tried(state.name, lambda: _of_run(folder, tracking_uri, say))] if waits else []
    return [
        *(_tried(name, send) for name, send in _runs(UNTRACKED, tracking_uri, say)),
        *(
            _tried(each.name, lambda each=each: _of_folds(each, tracking_uri, say))  # type: ignore[misc]
            for each in all_cross_validations()
            if each.mine and not alive(each, each.folder) and (each.folder / UNTRACKED).exists()
        ),
    ]


def send_waiting(folder: RunFolder, state: State, uri: str, say: Callable[[str], None]) -> str:
    """Send what waits of a run that has ended; the caller has the turn of its folder.

    Args:
        folder: Of the run.
        state: Of the run, which is this user's.
        uri: Where it is tracked.
        say: Called with each trouble with the server, one sentence at a time.

    Returns:
        What the server refused for good, as a sentence; empty if nothing.

    Raises:
        TrackingError: Something still waits.
    """
    from medseg.tracking.mlflow.address import masked  # noqa: PLC0415
    from medseg.tracking.mlflow.ending import send_rest  # noqa: PLC0415

    waiting, unsent = send_rest(uri, state.tracked, folder.path, state.status, say)
    _refuse_waiting(state.name, waiting, unsent)
    folder.write(replace(state, tracking_uri=masked(uri)))
    return unsent


def _runs(
    untracked: str, given: str | None, say: Callable[[str], None]
) -> Iterator[tuple[str, Callable[[], str]]]:
    for folder, _ in all_runs():
        if (folder.path / untracked).exists():
            yield folder.path.name, lambda folder=folder: _of_run(folder, given, say)  # type: ignore[misc]


def _tried(name: str, send: Callable[[], str]) -> Synced:
    """One run that cannot be sent keeps no other waiting."""
    try:
        return Synced(name, sent=True, note=send())
    except (MedsegError, OSError) as error:
        return Synced(name, sent=False, note=str(error))


def _of_run(folder: RunFolder, given: str | None, say: Callable[[str], None]) -> str:
    from medseg.tracking.mlflow.address import default_uri  # noqa: PLC0415

    refuse_ways_out(folder.path)
    with folder.turn():
        state = folder.read()
        _refuse(folder, state)
        uri = given or own_address(
            state.name, state.tracking_uri, folder.path, own=state.options.own_store, tracked=True
        )
        return send_waiting(folder, state, default_uri(uri), say)


def _refuse(folder: RunFolder, state: State) -> None:
    if not state.mine:
        raise RunError(
            f"the run {folder.path.name} was made by somebody else, or by an earlier medseg, or its file was edited: "
            "nothing of it is sent to the address that it names. If you trust it: medseg pipeline resume "
            f"{folder.path.name} --tracking-uri ADDRESS"
        )
    if alive(state, folder.path):
        raise RunError(f"the run {state.name} is still going on, and sends what waits itself.")
    if not state.tracked:
        raise RunError(
            f"the run {state.name} has no MLflow run to send to: it ended before one was made. {folder.way_on(state)}"
        )


def _of_folds(found: CrossValidation, given: str | None, say: Callable[[str], None]) -> str:
    """What waits of the run above the folds, which is known by the name of its folder."""
    from medseg.tracking.mlflow.address import default_uri  # noqa: PLC0415
    from medseg.tracking.mlflow.ending import send_rest  # noqa: PLC0415
    from medseg.tracking.mlflow.recorder import MlflowRecorder  # noqa: PLC0415

    refuse_ways_out(found.folder)
    with turn(found.folder):
        uri = default_uri(
            given
            or own_address(
                found.name, found.tracking_uri, found.folder, own=found.options.own_store, tracked=True
            )
        )
        run_id = MlflowRecorder.find(uri, found.experiment, found.folder)
        if not run_id:
            raise RunError(
                f"the tracking store has no run {found.name}. Name the one that has it: --tracking-uri."
            )
        waiting, unsent = send_rest(uri, run_id, found.folder, "FINISHED", say)
    _refuse_waiting(found.name, waiting, unsent)
    return unsent


def _refuse_waiting(name: str, waiting: int, unsent: str) -> None:
    if waiting:
        raise TrackingError(
            f"not everything of the run {name} could be sent: {unsent}. Try again when the tracking server takes it. "
            "Where it refuses the login, set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, anew."
        )
