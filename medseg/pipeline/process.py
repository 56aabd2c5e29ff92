"""Which process does something, whether it is still there, and how processes take turns at a folder."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from medseg.errors import RunError

_TURN = ".turn-"
_NUMBER = re.compile(r"[0-9]{1,10}")
_FOREIGN_TURN = 600.0  # seconds; of a process on another machine nobody can ask whether it is there


def this_process() -> dict[str, Any]:
    """How this process can be told from all others."""
    return {"host": platform.node(), "pid": os.getpid(), "since": psutil.Process().create_time()}


def is_there(pid: int, since: float) -> bool:
    """Whether a process of this machine is still there; another one that got its number is not it.

    Args:
        pid: Its number.
        since: When it began, in seconds since 1970.
    """
    try:
        met = psutil.Process(pid).create_time()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return abs(met - since) < 2


@contextmanager
def turn(folder: Path, wait: float = 20.0) -> Iterator[None]:
    """Be the only one, of all who ask, until the end of the block.

    Who wants a turn puts up a file of its own, and then looks for those of others: of two at once, at least
    one sees the other, steps back and tries again. Since no name is used twice, the file of a process that is
    gone can be cleared away without ever hitting that of a living one.

    Args:
        folder: What the turn is at.
        wait: Seconds until it is given up; 0 tries once.

    Raises:
        RunError: Another process has the turn all that time.
    """
    me = this_process()
    name = f"{_TURN}{_host(me['host'])}-{me['pid']}-{int(me['since'])}-{secrets.token_hex(4)}"
    mine, end = folder / name, time.monotonic() + wait
    try:
        while True:
            os.close(os.open(mine, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            if not _others(folder, mine):
                break
            mine.unlink()
            if time.monotonic() >= end:
                raise RunError(
                    f"another medseg command is busy with {folder.name}. Try again when it has ended."
                )
            time.sleep((20 + secrets.randbelow(80)) / 1000)  # unequal, so that two do not meet for ever
        yield
    finally:
        mine.unlink(missing_ok=True)


def _others(folder: Path, mine: Path) -> bool:
    """Whether somebody else has put up a file; those of processes that are gone are cleared away."""
    found = False
    for path in folder.glob(f"{_TURN}*"):
        if path.name == mine.name or path.is_dir():  # nobody who takes turns makes a folder
            continue
        if _stands(path):
            found = True
        else:
            path.unlink(missing_ok=True)
    return found


def _stands(path: Path) -> bool:
    host, _, rest = path.name.removeprefix(_TURN).partition("-")
    pid, _, since = rest.partition("-")
    since = since.partition("-")[0]
    if host == _host(platform.node()) and _NUMBER.fullmatch(pid) and _NUMBER.fullmatch(since):
        return is_there(int(pid), float(since))
    try:
        return time.time() - path.stat().st_mtime < _FOREIGN_TURN
    except FileNotFoundError:
        return False


def _host(name: str) -> str:
    """A name of the machine that any file system takes."""
    return hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
