"""What a run has made, known again when it goes on or is used: a step that is done must still have its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from medseg.errors import RunError
from medseg.files.durable import checksum
from medseg.files.inside import own_place
from medseg.pipeline.audit.certificate import JSON, TEXT
from medseg.pipeline.folder import MOST_MADE, RunFolder, State

_FIGURES = "figures/"
_BESIDE = ("scores", "figures")  # what steps make outside of their own folders
_PLACES = ("steps", *_BESIDE)
DATA_PICTURE = f"{_FIGURES}data.png"
"""Place of the picture of the data in the folder of a run."""

RECORDS = ("metrics.jsonl", "params.json", "tags.json", "inputs.json")
"""What is recorded in the folder of a run: it changes until the run ends, and again when it goes on."""

_CERTIFICATE = (JSON, TEXT)
_RESULT = ("model", "split.json", "slices.csv", DATA_PICTURE, *_CERTIFICATE, *RECORDS)
_NO_STEP = ""  # of what the run itself makes, whenever it goes on to its end


MOST_CHECKED = 8_000_000_000
"""Bytes of a run of somebody else that are looked through: the weights of the largest networks have fewer."""

Stamps = Mapping[str, tuple[int, int]]
"""Bytes and time of writing of files, by their place in the folder of a run."""


def stamps(folder: RunFolder) -> Stamps:
    """What lies where steps write: of a file that is written later, the stamp is another."""
    return {name: _stamp(path) for name, path in _named(folder, _PLACES)}


def keep_made(folder: RunFolder, state: State, step: str, before: Stamps) -> State:
    """Note that a step is done, with size and checksum of what it has made: what it wrote, and its own folder.

    Its own folder also holds what it wrote before it was interrupted. What else lies there is of other steps, or of a
    person, and is not noted as if this step could make it again.

    Args:
        folder: Of the run.
        state: Of the run.
        step: Its name.
        before: `stamps` from before it began.
    """
    own = f"steps/{step}/"
    found = {
        name: (step, *known(path))
        for name, path in _named(folder, _PLACES)
        if name.startswith(own) or before.get(name) != _stamp(path)
    }
    made = {**state.made, **found}
    if len(made) > MOST_MADE:  # of very many epochs with a picture each
        made = {name: of for name, of in made.items() if not name.startswith(_FIGURES)}
    return folder.write(replace(state, done=(*state.done, step), made=made))


def keep_result(folder: RunFolder) -> State:
    """Note size and checksum of what the whole run gives: model, split, slices, picture of the data, and record."""
    state = folder.read()
    found = {name: (_NO_STEP, *known(path)) for name, path in _named(folder, _RESULT)}
    of_steps = {name: of for name, of in state.made.items() if of[0] != _NO_STEP}
    return folder.write(replace(state, made={**of_steps, **found}))


def keep_certificate(folder: RunFolder) -> State:
    """Note size and checksum of the leak certificate, which is made anew after the end of a run, too."""
    state = folder.read()
    found = {name: (_NO_STEP, *known(folder.path / name)) for name in _CERTIFICATE}
    return folder.write(replace(state, made={**state.made, **found}))


def without_records(state: State) -> State:
    """A state of which what is recorded is not noted, since it changes from now on."""
    return replace(state, made={name: of for name, of in state.made.items() if name not in RECORDS})


def clear(folder: RunFolder, state: State, steps: Sequence[str]) -> None:
    """Remove what steps have made, since what it rests on is made anew: old scores do not lie beside new weights.

    Killed before the state says that they are not done, the run lacks their files, and so does them again.

    Args:
        folder: Of the run.
        state: Of the run, in which they are done.
        steps: Their names.
    """
    for step in steps:
        folder.drop_step(step)
    _remove_beside(folder, (name for name, (step, _, _) in state.made.items() if step in steps))


def _remove_beside(folder: RunFolder, names: Iterable[str]) -> None:
    for name in names:
        room, _, rest = name.partition("/")
        if room in _BESIDE:
            path = own_place(folder.path / room, rest)
            with suppress(OSError):  # one that is gone; one that is open elsewhere is replaced by its step
                path.unlink()


def damaged(folder: RunFolder, below: str = "") -> dict[str, str]:
    """Files of a run that are missing or not as it made them, each with the step that made it.

    Args:
        folder: Of the run.
        below: Only those whose place in the folder begins so.

    Raises:
        RunError: This is no run's folder, its state is damaged, or somebody else says that it made more than
            `MOST_CHECKED` bytes.
    """
    state = folder.read()
    made = {name: of for name, of in state.made.items() if name.startswith(below)}
    if sum(max(size, 0) for _, size, _ in made.values()) > MOST_CHECKED and not state.mine:
        raise RunError(
            f"the run {folder.path.name}, made by somebody else or edited, has more than {MOST_CHECKED // 10**9} GB "
            f"of files{f' below {below}' if below else ''} to look through: a run has far fewer. Ask whoever made it "
            "for another copy."
        )
    return {name: step for name, (step, *of) in made.items() if not is_as(folder.path, name, (of[0], of[1]))}


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

    Where these are pictures alone, the step goes on from what it has: a training that has ended draws its curves
    again.

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
    goes_on = all(name.startswith(_FIGURES) for name, step in broken.items() if step in again[:1])
    if named:
        anew = f"Done again: {', '.join(again)}." if again else "No step has to be done again."
        once = " What a training has drawn on its way is not drawn again." if again and goes_on else ""
        say(f"Damaged or missing: {', '.join(named)}. {anew}{once}")
    if not again:
        return state
    if not goes_on:
        folder.drop_step(again[0])
    _remove_beside(folder, named)  # the others of the first step are right, until it writes them anew
    clear(folder, state, again[1:])
    made = {name: of for name, of in state.made.items() if of[0] not in again}
    return folder.write(replace(state, done=kept, made=made))


def _named(folder: RunFolder, places: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for path in sorted(file for place in places for file in _files(folder.path / place)):
        yield path.relative_to(folder.path).as_posix(), path


def _files(place: Path) -> Iterator[Path]:
    return (path for path in (place, *place.rglob("*")) if path.is_file())


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def known(path: Path) -> tuple[int, int]:
    """Size and checksum of a file.

    Raises:
        OSError: It cannot be read.
    """
    return path.stat().st_size, checksum(path)


def is_as(folder: Path, name: str, expected: tuple[int, int]) -> bool:
    """Whether a file, by its place in a folder, is there with this size and checksum, and not through a link.

    A file of another size is not read: it may have any.
    """
    try:
        path = own_place(folder, name)
        return path.is_file() and path.stat().st_size == expected[0] and checksum(path) == expected[1]
    except (OSError, RunError):
        return False
