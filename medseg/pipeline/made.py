"""What the steps of a run have made, known again when it goes on: a step that is done must still have its files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from medseg.errors import RunError
from medseg.files.durable import checksum
from medseg.files.inside import inside
from medseg.pipeline.folder import RunFolder, State

_PLACES = ("steps", "scores")


def keep_made(folder: RunFolder, state: State, step: str) -> State:
    """Note that a step is done, with size and checksum of each file that is new, or another one, since the last."""
    files = sorted(path for name in _PLACES for path in (folder.path / name).rglob("*") if path.is_file())
    made = dict(state.made)
    for path in files:
        name, found = path.relative_to(folder.path).as_posix(), _known(path)
        if made.get(name, ("",))[1:] != found:
            made[name] = (step, *found)
    return folder.write(replace(state, done=(*state.done, step), made=made))


def go_back(folder: RunFolder, say: Callable[[str], None]) -> State:
    """Where files of a step that is done are missing or damaged, forget it and all that were done after it.

    Args:
        folder: Of a run that this process holds.
        say: Called with what is done again, and why.

    Returns:
        The state as it is then.
    """
    state = folder.read()
    damaged = {
        name: known[0] for name, known in state.made.items() if not _is_as(folder.path, name, known[1:])
    }
    first = min((state.done.index(step) for step in damaged.values() if step in state.done), default=None)
    if first is None:
        return state
    kept, again = state.done[:first], state.done[first:]
    names = ", ".join(name for name, step in damaged.items() if step in again)
    say(f"Damaged or missing: {names}. Done again: {', '.join(again)}.")
    for step in again:
        shutil.rmtree(inside(folder.path, f"steps/{step}"), ignore_errors=True)
    made = {name: known for name, known in state.made.items() if known[0] not in again}
    return folder.write(replace(state, done=kept, made=made))


def _known(path: Path) -> tuple[int, int]:
    return path.stat().st_size, checksum(path)


def _is_as(folder: Path, name: str, known: object) -> bool:
    try:
        return _known(inside(folder, name)) == known
    except (OSError, RunError):
        return False
