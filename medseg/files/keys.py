"""Secret keys of this user: random bytes in a file of their own, made when they are first expected."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from medseg.files.regular import open_regular

KEY_BYTES = 32


def key_at(path: Path) -> bytes:
    """The key in a file; made if missing, readable by its user alone.

    Args:
        path: Of the file.

    Returns:
        What the file holds: a key, unless somebody or something has damaged it, see `damage`.

    Raises:
        OSError: It can be neither read nor made.
    """
    _make(path)
    return read_key(path)


def damage(key: bytes) -> str:
    """What is wrong with a key, to be said of it; empty if nothing is."""
    if not key:
        return f"is empty, expected {KEY_BYTES} bytes"
    if len(key) != KEY_BYTES:
        return f"holds {len(key)} bytes, expected {KEY_BYTES}"
    return "" if any(key) else "holds NUL bytes alone, as a power cut leaves it"


def read_key(path: Path) -> bytes:
    """The key in a file that is there, as of `key_at`.

    Raises:
        OSError: It cannot be read.
    """
    for _ in range(50):
        with open_regular(path) as file:
            key = file.read(KEY_BYTES + 1)
        if key:
            break
        time.sleep(0.02)  # the process that made the file has not written it yet
    return key


def _make(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except FileExistsError:
        return  # another process was first; its key counts
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())  # what it signs must not outlive it
