"""Locks that the system takes away when a process ends, however it ends: neither clocks nor leftovers matter."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from filelock import FileLock

_NO_LOCKS = frozenset(
    getattr(errno, name) for name in ("ENOSYS", "ENOLCK", "EOPNOTSUPP", "ENOTSUP") if hasattr(errno, name)
)
_PROBE = 0.2  # seconds; who only looks holds a lock for less than a thousandth of one


class NoLocksError(OSError):
    """The file system has no locks, as some network shares are mounted."""


class Held:
    """A lock that this process holds until it is let go, or the process ends.

    Two holders in threads of one process keep each other out just as those of two processes do.
    """

    def __init__(self, path: Path, lock: FileLock) -> None:
        self._path, self._lock = path, lock

    def let_go(self, *, remove: bool = True) -> None:
        """Let others have it; its file is removed, if so wished, which those that wait for it see."""
        try:
            if remove:
                self._path.unlink(missing_ok=True)
        except PermissionError:  # an open file on Windows, or a folder that was closed: the next one takes it
            pass
        finally:
            self._lock.release()


def take(path: Path, wait: float = 0.0) -> Held | None:
    """Take the lock of a file, which is made; None if somebody else has it all that time.

    Args:
        path: Of the file, in a folder that exists.
        wait: Seconds until it is given up; 0 tries once.

    Raises:
        NoLocksError: The file system has no locks.
        OSError: The file cannot be made, or is a link or a folder.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - a tenth of the time of `medseg --help`

    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(timeout=wait, poll_interval=0.02)
    except Timeout:
        return None
    except NotImplementedError as error:
        raise NoLocksError(errno.ENOSYS, str(error), str(path)) from error
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise NoLocksError(error.errno, error.strerror, str(path)) from error
        raise
    return Held(path, lock)


def refused(path: Path, error: OSError) -> str:
    """Why the lock of a file cannot be had, and what to do about it; names the file, and no folder.

    Args:
        path: Of the file.
        error: What `take` raised.
    """
    if path.is_symlink():
        return (
            f"the lock file {path.name} is a link, and locks follow none. Remove the link: it is made anew."
        )
    if path.is_dir():
        return f"{path.name} is a folder, and a lock file goes there. Remove it, or move it away."
    reason = error.strerror or type(error).__name__
    if path.exists():
        return (
            f"the lock file {path.name} cannot be opened: {reason}. Give this user the right to write to it, or "
            "remove it when no other medseg command is at work here."
        )
    return (
        f"the lock file {path.name} cannot be made: {reason}. Give this user the right to write to the folder that "
        "it goes to."
    )


def seen(path: Path) -> Literal["free", "held", "unknown"]:
    """Whether somebody holds the lock of a file; unknown where the system cannot tell, or may not say."""
    if not path.exists():
        return "free"
    try:
        found = take(path, _PROBE)
    except OSError:
        return "unknown"
    if found is None:
        return "held"
    found.let_go(remove=False)  # that it is there tells that somebody held it
    return "free"
