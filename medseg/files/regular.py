"""Opening files that others made: regular ones only, and no more of them than a reader can use.

To open or read a named pipe, a socket or a device may never end. `open_regular` refuses them before they are opened,
and `refuse_irregular` does so for libraries that open files by name.
"""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

#: A JSON file of more bytes, lists and objects, or levels was not written by medseg.
MOST_JSON = 64_000_000
MOST_LISTS_OF_JSON = 2_000_000
DEEPEST_JSON = 50

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class IrregularError(OSError):
    """What was to be read is no regular file."""


def refuse_irregular(path: Path) -> None:
    """Refuse what is no regular file, without opening it.

    Raises:
        OSError: It is none (`IrregularError`; of folders `IsADirectoryError`), or cannot be reached.
    """
    _refuse(path.stat().st_mode)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read bytes.

    Raises:
        OSError: As `refuse_irregular`, or it may not be read.
    """
    return open(path, "rb", opener=opener)


def open_text(path: Path) -> io.TextIOWrapper:
    """Open a regular file to read UTF-8 text, with or without a mark at its beginning; ends of lines are kept.

    Raises:
        OSError: As `open_regular`.
    """
    return io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="")


def opener(path: str, flags: int) -> int:
    """Open as `os.open` does, if it is a regular file; for `open` and `io.FileIO`.

    Raises:
        OSError: As `open_regular`.
    """
    refuse_irregular(Path(path))  # a device may do something as it is opened
    handle = os.open(
        path, flags | getattr(os, "O_NONBLOCK", 0)
    )  # should a pipe have taken its place meanwhile
    try:
        _refuse(os.fstat(handle).st_mode)
    except OSError:
        os.close(handle)
        raise
    return handle


def _refuse(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    kind = next((name for holds, name in _KINDS if holds(mode)), "no file")
    raise IrregularError(errno.EINVAL, f"it is {kind}, expected a regular file")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: It cannot be read; see `open_regular`.
        ValueError: It is no UTF-8 text or no JSON, or has more than `MOST_JSON` bytes or `DEEPEST_JSON` levels.
    """
    with open_regular(path) as file:
        raw = file.read(MOST_JSON + 1)
    if len(raw) > MOST_JSON:
        raise ValueError(f"it holds more than {MOST_JSON} bytes")
    return parse_json(raw.decode("utf-8-sig"))


def parse_json(text: str) -> Any:
    """Read JSON.

    Raises:
        ValueError: It is none, or has more than `DEEPEST_JSON` levels or `MOST_LISTS_OF_JSON` lists and objects.
    """
    if text.count("[") + text.count("{") > MOST_LISTS_OF_JSON:  # two bytes of which take sixty of memory
        raise ValueError(f"it holds more than {MOST_LISTS_OF_JSON} lists and objects")
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST_JSON} levels") from None
    level, depth = [found], 0
    while level:
        depth += 1
        if depth > DEEPEST_JSON:
            raise ValueError(f"it is nested deeper than {DEEPEST_JSON} levels")
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
    return found
