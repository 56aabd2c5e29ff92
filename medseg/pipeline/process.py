"""Who works on a folder: a lock that a process holds for as long as it lives, and how processes take turns.

No time, number or file that is left behind tells whether a process is still there: clocks are set, and numbers given
anew. The system gives its locks back when it ends, however it ends.
"""

from __future__ import annotations

import os
import platform
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from medseg.errors import RunError
from medseg.files.lock import Held, NoLocksError, refused, seen, take

LOCKS = _HOLD, _TURN = ".held", ".turn"
"""Files of locks in a folder."""

_PATIENCE = 1.0  # seconds; somebody who only looks whether it is held may have it for a moment
_ID = secrets.token_hex(8)
_held: dict[Path, Held] = {}
_changing = threading.Lock()


def this_process() -> dict[str, Any]:
    """What distinguishes this process from all others, and names it to a person."""
    return {"host": platform.node(), "pid": os.getpid(), "id": _ID}


def hold(folder: Path) -> bool:
    """Be the one who works on a folder until `let_go`, or until the process ends.

    Args:
        folder: A folder that exists.

    Returns:
        False if another process, or another thread of this one, has it. True where the file system has no locks.

    Raises:
        RunError: Its lock cannot be made.
    """
    try:
        found = take(folder / _HOLD, _PATIENCE)
    except NoLocksError:
        return True
    except OSError as error:
        raise _unusable(folder, _HOLD, error) from error
    if found is None:
        return False
    with _changing:
        _held[folder.resolve()] = found
    return True


def holds(folder: Path) -> bool:
    """Whether this process has the lock of a folder: not where the file system has no locks."""
    return folder.resolve() in _held


def let_go(folder: Path) -> None:
    """Let others work on a folder. Nothing is done if this process does not."""
    with _changing:
        found = _held.pop(folder.resolve(), None)
    if found is not None:
        found.let_go()


def worked_on(folder: Path) -> Literal["free", "held", "unknown"]:
    """Whether a process works on a folder; unknown where its lock cannot be asked."""
    return seen(folder / _HOLD)


def lock_trouble(folder: Path) -> str:
    """What keeps the lock of a folder from being asked, and what to do about it; empty if nothing does.

    File systems without locks are no trouble that could be mended in the folder.
    """
    try:
        found = take(folder / _HOLD)
    except NoLocksError:
        return ""
    except OSError as error:
        return refused(folder / _HOLD, error)
    if found is not None:
        found.let_go(remove=False)
    return ""


@contextmanager
def turn(folder: Path, wait: float = 20.0) -> Iterator[None]:
    """Be the only one, of all who ask, until the end of the block.

    Where the file system has no locks, nobody is kept out.

    Args:
        folder: What the turn is at.
        wait: Seconds until it is given up; 0 tries once.

    Raises:
        RunError: Another process has the turn all that time, there cannot be one, or the folder is gone.
    """
    if not folder.is_dir():  # a lock would make it again
        raise RunError(
            f"{folder.name} is not here any more: another command has moved or removed it meanwhile."
        )
    try:
        found = take(folder / _TURN, wait)
    except NoLocksError:
        yield
        return
    except OSError as error:
        raise _unusable(folder, _TURN, error) from error
    if found is None:
        raise RunError(f"another medseg command is busy with {folder.name}. Try again when it has ended.")
    try:
        yield
    finally:
        found.let_go()


def _unusable(folder: Path, name: str, error: OSError) -> RunError:
    return RunError(f"{folder.name} cannot be worked on: {refused(folder / name, error)}")
