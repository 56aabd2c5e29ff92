"""What a run has made, known again when it goes on or is used: a step that is done must still have its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from medseg.errors import RunError
from medseg.files.durable import checksum
from medseg.files.inside import own_place
from medseg.pipeline.folder import RunFolder, State

_PLACES = ("steps", "scores")
_RESULT = ("model", "split.json", "slices.csv")
_NO_STEP = ""  # of what the run itself makes, whenever it goes on to its end


def keep_made(folder: RunFolder, state: State, step: str) -> State:
    """Note that a step is done, with size and checksum of each file that is new, or another one, since the last."""
    return _noted(folder, replace(state, done=(*state.done, step)), step, _PLACES)


def keep_result(folder: RunFolder) -> State:
    """Note size and checksum of what the whole run gives: its model, its split and its slices."""
    return _noted(folder, folder.read(), _NO_STEP, _RESULT)


def _noted(folder: RunFolder, state: State, step: str, places: Sequence[str]) -> State:
    made = dict(state.made)
    for path in sorted(file for place in places for file in _files(folder.path / place)):
        name, found = path.relative_to(folder.path).as_posix(), _known(path)
        if made.get(name, ("",))[1:] != found:
            made[name] = (step, *found)
    return folder.write(replace(state, made=made))


def damaged(folder: RunFolder, below: str = "") -> dict[str, str]:
    """Files of a run that are missing or not as it made them, each with the step that made it.

    Args:
        folder: Of the run.
        below: Only those whose place in the folder begins so.

    Raises:
        RunError: This is no run's folder, or its state is damaged.
    """
    made = {name: known for name, known in folder.read().made.items() if name.startswith(below)}
    return {name: known[0] for name, known in made.items() if not _is_as(folder.path, name, known[1:])}


def refuse_damaged(folder: RunFolder, below: str) -> None:
    """Refuse to use what is not as the run made it; arguments as of `damaged`.

    Raises:
        RunError: Something is damaged or missing; names it, and the command that makes it again.
    """
    broken = ", ".join(damaged(folder, below))
    if broken:
        raise RunError(
            f"damaged or missing in the run {folder.path.name}: {broken}. To make it again: "
            f"medseg pipeline resume {folder.called}"
        )


def go_back(folder: RunFolder, say: Callable[[str], None]) -> State:
    """Where files of a step that is done are missing or damaged, forget it and all that were done after it.

    Args:
        folder: Of a run that this process holds.
        say: Called with what is done again, and why.

    Returns:
        The state as it is then.
    """
    state, broken = folder.read(), damaged(folder)
    first = min((state.done.index(step) for step in broken.values() if step in state.done), default=None)
    kept, again = state.done[:first], () if first is None else state.done[first:]
    named = [name for name, step in broken.items() if step in again or step == _NO_STEP]
    if named:
        anew = f"Done again: {', '.join(again)}." if again else "Made again from what the steps have left."
        say(f"Damaged or missing: {', '.join(named)}. {anew}")
    if not again:
        return state
    for step in again:
        folder.drop_step(step)
    made = {name: known for name, known in state.made.items() if known[0] not in again}
    return folder.write(replace(state, done=kept, made=made))


def _files(place: Path) -> Iterator[Path]:
    return (path for path in (place, *place.rglob("*")) if path.is_file())


def _known(path: Path) -> tuple[int, int]:
    return path.stat().st_size, checksum(path)


def _is_as(folder: Path, name: str, known: object) -> bool:
    try:
        path = own_place(folder, name)
        return path.is_file() and _known(path) == known
    except (OSError, RunError):
        return False
