"""Moving a run's folder to another working folder, also on another disk, and deleting it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from medseg.errors import RunError
from medseg.files.durable import checksum
from medseg.files.inside import refuse_ways_out
from medseg.pipeline.claim import alive, taken
from medseg.pipeline.folder import RUNS, RunFolder, State
from medseg.pipeline.process import LOCKS, hold, let_go
from medseg.pipeline.study.cross_validation import FOLDS, all_cross_validations
from medseg.places import FULL, written_whole

#: The text of an error of the system that names a file, without the file: `[Errno 28] No space left on device: 'a'`.
_OF_SYSTEM = re.compile(r"\[\w+ \d+\] (.*?)(?:: '.*)?", re.DOTALL)


def move(folder: RunFolder, to: Path, tracking_uri: str) -> RunFolder:
    """Move a run that no process works on.

    On one disk it is renamed. Else it is copied, the copy is compared with it by checksums, and it is removed last: a
    process that is killed leaves the run whole in at least one of the two places.

    Args:
        folder: Of the run.
        to: The other working folder, which exists; the run will lie in `medseg-runs/` of it.
        tracking_uri: Where the run is tracked, without credentials; kept, for the store stays where it is.

    Raises:
        RunError: A process works on it, an unfinished cross-validation needs it, something of its name is there
            already, or it cannot be read or written.
    """
    source, target = folder.path.resolve(), to.resolve() / RUNS / folder.path.resolve().name
    if folder.path.is_symlink():
        raise RunError(f"{folder.path.name} is a link. Name the folder that it leads to: {source}")
    if not to.is_dir():
        raise RunError(f"there is no folder {to}. Make it first, or name another working folder.")
    if os.path.lexists(target):
        raise RunError(f"{target} exists already. Name another working folder.")
    if target.resolve().is_relative_to(source):
        raise RunError(f"{to} lies within the run itself. Name another working folder.")
    refuse_ways_out(source)
    _refuse_whole_links(source)
    state = _held(folder)
    try:
        if state.mine:
            folder.write(replace(state, tracking_uri=tracking_uri, options=state.options.but(own_store="")))
        _moved(source, target)
    except OSError as error:
        problem = (
            f"the run {source.name} cannot be moved to {to}: {_reason(error)}. It is whole where it was."
        )
        raise RunError(problem + _room(error, source, to)) from error
    finally:
        let_go(source)
    with suppress(OSError):  # locks that moved with it, or could not be removed while they were held
        for name in LOCKS:
            (target / name).unlink(missing_ok=True)
        shutil.rmtree(source, ignore_errors=True)
    if source.exists():
        raise RunError(
            f"the run is at {target} now, and not all of {source} could be removed. Remove it yourself."
        )
    return RunFolder(target)


def delete(folder: RunFolder, first: Callable[[State], None]) -> None:
    """Delete the folder of a run that no process works on; what links in it lead to stays.

    Args:
        folder: Of the run, in a folder `medseg-runs`.
        first: Called with its state once no other process can begin to work on it, before anything is deleted; if it
            raises, nothing is.

    Raises:
        RunError: A process works on it, an unfinished cross-validation needs it, it is no folder of `medseg-runs`, or
            not all of it could be deleted.
    """
    source = folder.path.resolve()
    if folder.path.is_symlink():
        raise RunError(f"{folder.path.name} is a link. Name the folder that it leads to: {source}")
    if source.parent.name != RUNS.name:
        raise RunError(
            f"{source.name} does not lie in a folder {RUNS}/, and may be anything. If it is to go, delete it "
            "yourself."
        )
    state = _held(folder)
    try:
        first(state)
        (source / "run.json").unlink()  # what is left is no run any more
        shutil.rmtree(source, ignore_errors=True)
    except OSError as error:
        raise RunError(f"the run {source.name} cannot be deleted: {_reason(error)}.") from error
    finally:
        let_go(source)
    shutil.rmtree(source, ignore_errors=True)  # locks that could not be removed while they were held
    if source.exists():
        raise RunError(
            f"not all of {source} could be deleted. Give this user the right, or delete the rest yourself."
        )


def _refuse_whole_links(source: Path) -> None:
    """Refuse links by a whole path: from another place they lead out of the run."""
    for path in source.rglob("*"):
        if path.is_symlink() and path.readlink().is_absolute():
            raise RunError(
                f"'{path.relative_to(source).as_posix()}' in the run is a link by a whole path, which would lead out "
                "of the moved run. Replace it by what it leads to."
            )


def _reason(error: OSError) -> str:
    """Why files could not be moved; `shutil.Error` has a text for each of them in place of one reason."""
    if error.strerror:
        return error.strerror
    return "; ".join(sorted({_without_file(str(each[-1])) for each in error.args[0]}))


def _without_file(text: str) -> str:
    found = _OF_SYSTEM.fullmatch(text)
    return found[1] if found else text


def _room(error: OSError, source: Path, to: Path) -> str:
    """Of a full disk, what is missing and what to do; else nothing."""
    if not any(os.strerror(number) in _reason(error) for number in FULL):
        return ""
    takes = sum(each.lstat().st_size for each in source.rglob("*")) / 2**20
    free = shutil.disk_usage(to).free / 2**20
    return f" It takes {takes:,.1f} MiB, and {free:,.1f} MiB are free there: make room, or name another disk."


def _held(folder: RunFolder) -> State:
    """The state of a run that this process holds from now on."""
    with folder.turn():
        state = folder.read()
        if alive(state, folder.path):
            raise taken(state, folder.path)
        beside = folder.path.resolve().parent.parent / FOLDS
        needs = (
            each for each in all_cross_validations(beside) if each.status != "FINISHED" and each.holds(state)
        )
        for each in needs:
            raise RunError(
                f"the run {state.name} is a fold of {each.name}, which has not ended and looks for it here. End that "
                f"first: medseg pipeline resume {each.name}"
            )
        if not hold(folder.path):
            raise RunError(
                f"the run {state.name} is at work: another command, such as a resume that is still loading, holds "
                "its lock. Nothing was changed. Wait for it, or end it, and try again."
            )
        return state


def _moved(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    try:
        source.rename(target)
    except OSError:  # another disk, or a system that renames no folder with an open file
        if os.path.lexists(target):
            raise
        with written_whole(target) as beside:
            shutil.copytree(source, beside, symlinks=True, ignore=_locks_of(source))
            if _content(beside) != _content(source):
                raise RunError(
                    f"the copy of the run {source.name} is not like it: it was changed meanwhile, or a disk has "
                    "faults. It stays where it is. Try again, or check the disks."
                ) from None
        (source / "run.json").unlink()  # what is left is no run any more
        shutil.rmtree(source, ignore_errors=True)


def _locks_of(folder: Path) -> Callable[[str, list[str]], Collection[str]]:
    return lambda place, _: LOCKS if Path(place) == folder else ()


def _content(folder: Path) -> dict[str, int]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: checksum(path) for name, path in files.items() if name not in LOCKS}
