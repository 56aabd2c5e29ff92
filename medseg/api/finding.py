"""Finding runs of this folder, and marking those whose process is gone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from medseg.errors import MedsegError, RunError, TrackingError
from medseg.files.inside import refuse_ways_out
from medseg.packages import allowing
from medseg.pipeline.claim import alive, unsure
from medseg.pipeline.declaration.anew import would_fail_again
from medseg.pipeline.folder import RUNS, RunFolder, State, all_runs, gone, is_plain
from medseg.pipeline.options import RunOptions
from medseg.pipeline.study.tested import titled
from medseg.recorder import Status


def experiment_of(state: State) -> str:
    """Name of the experiment that a run belongs to; runs on generated data are kept apart."""
    return experiment_named(state.pipeline, generated=state.generated)


def experiment_named(pipeline: str, *, generated: bool) -> str:
    """Name of the experiment of a pipeline, and of its registered model."""
    return f"{pipeline}{'-generated' if generated else ''}"


def shown_name(state: State, options: RunOptions) -> str:
    """What a tracker calls a run, which shows runs below their pipeline: the name that was given, or its time."""
    fold = f"-{state.part_of.ending}" if state.part_of is not None else ""
    if options.run_name:
        return f"{options.run_name}{fold}"
    time = re.search(r"-\d{4}(\d{4})-(\d{4})\d{2}-([0-9a-f]{4})$", state.name)
    return f"{'-'.join(time.groups())}{fold}" if time else state.name


def unfinished(*, take_over: bool = False) -> RunFolder:
    """The latest run of this user in this folder that was killed, or has failed and would not fail so again.

    Args:
        take_over: Runs that may still go on on another machine count too.

    Raises:
        RunError: There is none.
    """
    others, hopeless = 0, ""
    for folder, state in all_runs():
        if state.part_of is not None and state.part_of.of_sweep:
            continue  # stopped on purpose, or gone on with by its sweep
        if state.status in ("KILLED", "FAILED") or (take_over and unsure(state, folder.path)):
            if state.mine and not would_fail_again(state.anew):
                return folder
            hopeless = hopeless or (f" {state.name} has failed. {folder.way_on(state)}" if state.mine else "")
            others += not state.mine
    more = (
        f" {others} of somebody else, or of an earlier medseg, are gone on with by name alone."
        if others
        else ""
    )
    name = "" if hopeless else " Name one: medseg pipeline resume RUN"
    which = " that could go on" if hopeless else ""
    raise RunError(f"no unfinished run of yours{which} in {RUNS}/ of this folder.{more}{name}{hopeless}")


def find_run_folder(run: str, *, holding: str = "run.json") -> RunFolder:
    """The folder of a run on this machine.

    A run of somebody else is found by its folder, or the whole or a unique part of the folder's name, where none of
    one's own fits: names and ids in its file may be made up.

    Args:
        run: A run's folder, the name of a run here or in MLflow, `latest` (of those that began), or an MLflow run id
            or unique prefix.
        holding: What the latest run's folder must hold, such as `model`.

    Raises:
        RunError: There is none, or several.
    """
    given = Path(run)
    if (given / "run.json").is_file():
        return RunFolder(given if given.name and ".." not in given.parts else given.resolve())
    known = list(all_runs())
    mine = [(f, s) for f, s in known if s.mine]
    fit_for_use = [(f, s) for f, s in mine if (f.path / holding).exists() and not _never_began(s)]
    plain = [folder.path.name for folder, _ in known if is_plain(folder.path.name)]
    names = ", ".join(plain[:5]) or "none"
    if run == "latest":
        if not fit_for_use:
            raise RunError(
                f"no run of yours in {RUNS}/ of this folder has a {holding}. Latest runs here: {names}."
            )
        return max(fit_for_use, key=lambda pair: pair[1].name.rsplit("-", 3)[1:])[0]
    owned = {
        folder: (folder.path.name, state.name, state.tracked, shown_name(state, state.options))
        for folder, state in mine
    }
    others = {folder: (folder.path.name,) for folder, _ in known if folder not in owned}
    fitting = _fitting(run, owned) or _fitting(run, others)
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        titles = {folder: titled(state) for folder, state in mine}
        named = ", ".join(titles.get(folder, folder.path.name) for folder in fitting[:5])
        raise RunError(f"{run!r} may be {named}. Give more of the name or id.")
    if is_plain(run) and (RUNS / run / "run.json").is_file():
        return RunFolder(RUNS / run)  # damaged, or of another medseg: whoever reads it says so
    raise RunError(
        f"no run {run!r} in {RUNS}/ of this folder. Latest runs here: {names}. Name one that lies elsewhere by its "
        "folder."
    )


def _never_began(state: State) -> bool:
    """Whether it failed before anything was made or tracked: earlier versions left such folders of refused logins."""
    return state.status == "FAILED" and not state.tracked and not state.done


def _fitting(run: str, known: Mapping[RunFolder, Sequence[str]]) -> list[RunFolder]:
    """Folders with exactly this name or id; where there is none, those that have one that begins so."""
    exact = [folder for folder, names in known.items() if run and run in names]
    begun = [folder for folder, names in known.items() if run and any(each.startswith(run) for each in names)]
    return exact or begun


def resuming(folder: RunFolder, state: State) -> str:
    """The command that goes on with a run of one's own, or with its sweep, with the packages that it was allowed."""
    part = state.part_of
    name = part.whole if part is not None and part.of_sweep else folder.path.name
    return f"medseg pipeline resume {name}{allowing(state.options.allow)}"


def mark_gone(say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Mark runs of this folder KILLED that say RUNNING though their process is gone.

    Those of somebody else are left alone: their files name the tracking server that would get the mark. One
    whose process went while it informed the trackers how it ended is marked as ended in that way.

    Args:
        say: Called with what is damaged of a record that waits for the tracking server.

    Returns:
        Names of those that were marked KILLED.
    """
    marked = [(state.name, _marked(folder, say)) for folder, state in gone() if state.mine]
    return [name for name, status in marked if status == "KILLED"]


def _marked(folder: RunFolder, say: Callable[[str], None]) -> Status | None:
    """Mark one run; None if another command has done so, or is at it."""
    with suppress(RunError):
        refuse_ways_out(folder.path)
        return _reported_and_marked(folder, say)
    return None


def _reported_and_marked(folder: RunFolder, say: Callable[[str], None]) -> Status | None:
    with folder.turn(wait=0):
        state = folder.read()
        if not state.mine or state.status != "RUNNING" or alive(state, folder.path):
            return None
        status: Status = state.ending or "KILLED"
        tracked = _tell_trackers(folder, state, status, say)
        folder.write(replace(state, status=status, tracked=tracked, ending=""))
        return status


def _tell_trackers(folder: RunFolder, state: State, status: Status, say: Callable[[str], None]) -> str:
    """Tell them how a run ended; gives its id there, empty if it has none."""
    from medseg.tracking.jsonl import note_status  # noqa: PLC0415
    from medseg.tracking.mlflow.ending import tell_end  # noqa: PLC0415
    from medseg.tracking.mlflow.recorder import MlflowRecorder  # noqa: PLC0415
    from medseg.tracking.mlflow.runs import mark_killed  # noqa: PLC0415

    note_status(folder.path, status)  # whoever goes on with the run is told what of its record is damaged
    tracked, uri = state.tracked, with_credentials(state.tracking_uri)
    with suppress(TrackingError):  # reported when the store is needed
        uri = (
            own_address(
                state.name,
                state.tracking_uri,
                folder.path,
                own=state.options.own_store,
                tracked=bool(tracked),
            )
            or uri
        )
    if not tracked:  # killed before it noted the id, perhaps after it made the run
        with suppress(MedsegError):
            tracked = MlflowRecorder.find(uri, experiment_of(state), folder.path)
    if tracked and state.ending:
        tell_end(uri, tracked, folder.path, status, say)
    elif tracked:
        mark_killed(uri, tracked)
    return tracked


def with_credentials(uri: str) -> str:
    """The address as the environment gives it, where that is the same server: ours are kept without passwords."""
    from medseg.tracking.mlflow.address import masked  # noqa: PLC0415

    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    return given if given and masked(given) == uri else uri


def own_address(
    name: str, kept: str, folder: Path, *, own: str, tracked: bool, runs: Sequence[str] = ()
) -> str | None:
    """Where a run is tracked, with user and password; None if it does not say.

    The working folder may have been moved or copied with all that it holds, and anything may lie where it was: a
    database in a file is the one in the working folder, if that has the run or there is no other. A run that was
    stopped before it was tracked begins with the database of its working folder, where that is the one it would have
    had.

    Args:
        name: Of the run.
        kept: Its address as it was kept.
        folder: Of the run.
        own: As of `RunOptions`.
        tracked: Whether the store must have it already.
        runs: Of several runs, their names.

    Raises:
        TrackingError: User and password are expected, and not given; or the database is gone.
    """
    from medseg.tracking.mlflow.address import sqlite_path  # noqa: PLC0415
    from medseg.tracking.mlflow.runs import may_hold_run  # noqa: PLC0415

    uri = with_credentials(kept)
    if "***" in uri:
        raise TrackingError(
            f"the run {name} is tracked at {uri}, and user and password are never kept. Give the whole "
            "address: --tracking-uri or MLFLOW_TRACKING_URI."
        )
    path, here = sqlite_path(uri), folder.absolute().parent.parent
    if path is None:
        return uri or None
    beside, names = here / (own or path.name), (name, folder.name, *runs)
    if beside != path and own and not tracked:
        return f"sqlite:///{beside.as_posix()}"
    if beside != path and beside.exists() and (not path.exists() or may_hold_run(beside, names)):
        return f"sqlite:///{beside.as_posix()}"
    if path.exists():
        return uri
    if tracked or not path.parent.is_dir():
        raise TrackingError(
            f"the tracking database {path.name} of the run {name} is not where it was, and not in the folder that "
            f"holds {folder.absolute().parent.name}/. Say where it is now: --tracking-uri sqlite:///PATH. If it was "
            "deleted, begin a new run."
        )
    return uri
