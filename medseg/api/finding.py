"""Finding runs of this folder, and marking those whose process is gone."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from medseg.errors import MedsegError, RunError
from medseg.pipeline.claim import alive, elsewhere
from medseg.pipeline.folder import RUNS, RunFolder, State, all_runs, gone
from medseg.recorder import Status


def experiment_of(state: State) -> str:
    """Name of the experiment that a run belongs to; runs on generated data are kept apart."""
    return f"{state.pipeline}{'-generated' if state.data is None else ''}"


def unfinished(*, take_over: bool = False) -> RunFolder:
    """The latest run of this folder that was killed or has failed.

    Args:
        take_over: Runs that are said to go on on another machine count too.

    Raises:
        RunError: There is none.
    """
    for folder, state in all_runs():
        if state.status in ("KILLED", "FAILED") or (take_over and elsewhere(state)):
            return folder
    raise RunError(f"no unfinished run in {RUNS}/ of this folder. Name one: medseg pipeline resume RUN")


def find_run_folder(run: str, *, holding: str = "run.json") -> RunFolder:
    """The folder of a run on this machine.

    Args:
        run: A run's folder, the name of a run, `latest`, or an MLflow run id or unique prefix.
        holding: What the latest run's folder must hold, such as `model`.

    Raises:
        RunError: There is none, or several.
    """
    given = Path(run)
    if (given / "run.json").is_file():
        return RunFolder(given)
    known = list(all_runs())
    fit_for_use = [(f, s) for f, s in known if (f.path / holding).exists()]
    if run == "latest" and fit_for_use:
        return max(fit_for_use, key=lambda pair: pair[1].name.rsplit("-", 3)[1:])[0]
    exact = [f for f, s in known if run in (s.name, s.tracked)]
    fitting = exact or [f for f, s in known if run and (s.tracked.startswith(run) or s.name.startswith(run))]
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        named = ", ".join(folder.path.name for folder in fitting[:5])
        raise RunError(f"{run!r} may be {named}. Give more of the name or id.")
    names = ", ".join(state.name for _, state in known[:5]) or "none"
    raise RunError(f"no run {run!r} in {RUNS}/ of this folder. Latest runs here: {names}.")


def mark_gone() -> list[str]:
    """Mark runs of this folder KILLED that say RUNNING though their process is gone.

    One whose process went while it told the trackers how it ended is marked as ended in that way.

    Returns:
        Names of those that were marked KILLED.
    """
    marked = [(state.name, _marked(folder)) for folder, state in gone()]
    return [name for name, status in marked if status == "KILLED"]


def _marked(folder: RunFolder) -> Status | None:
    """Mark one run; None if another command has done so, or is at it."""
    with suppress(RunError), folder.turn(wait=0):
        state = folder.read()
        if state.status != "RUNNING" or alive(state):
            return None
        status: Status = state.ending or "KILLED"
        tracked = _tell_trackers(folder, state, status)
        folder.write(replace(state, status=status, tracked=tracked, ending=""))
        return status
    return None


def _tell_trackers(folder: RunFolder, state: State, status: Status) -> str:
    """Tell them how a run ended; gives its id there, empty if it has none."""
    from medseg.tracking.jsonl import FolderRecorder  # noqa: PLC0415
    from medseg.tracking.mlflow.ending import tell_end  # noqa: PLC0415
    from medseg.tracking.mlflow.recorder import MlflowRecorder  # noqa: PLC0415
    from medseg.tracking.mlflow.runs import mark_killed  # noqa: PLC0415

    with suppress(RunError):  # a damaged record is a matter of whoever goes on with the run
        FolderRecorder(folder.path).close(status)
    tracked, uri = state.tracked, with_credentials(state.tracking_uri)
    if not tracked:  # killed before it noted the id, perhaps after it made the run
        with suppress(MedsegError):
            tracked = MlflowRecorder.find(uri, experiment_of(state), folder.path)
    if tracked and state.ending:
        tell_end(uri, tracked, folder.path, status)
    elif tracked:
        mark_killed(uri, tracked)
    return tracked


def with_credentials(uri: str) -> str:
    """The address as the environment gives it, where that is the same server: ours are kept without passwords."""
    from medseg.tracking.mlflow.address import masked  # noqa: PLC0415

    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    return given if given and masked(given) == uri else uri
