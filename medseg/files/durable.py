"""What survives a power cut: files and folders are sent to the disk before anything says that they are there.

A rename is no promise: without a flush a file may have its name and no content, or zeros. And a journal, which grows
line by line, may end within a line or in NUL bytes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from isal import isal_zlib

from medseg.files.regular import open_regular

#: What network shares answer that take no folder: they write names at once.
_NO_FOLDERS = frozenset(
    getattr(errno, name)
    for name in ("EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EBADF")
    if hasattr(errno, name)
)

_CHUNK = 1 << 22
_TAIL = 1 << 16


def flush(made: Path) -> None:
    """Send a file, or a folder with all that it holds, to the disk.

    Raises:
        OSError: The disk does not take it.
    """
    for each in (made, *(made.rglob("*") if made.is_dir() else ())):
        if each.is_symlink():
            continue
        if each.is_dir():
            flush_folder(each)
        elif each.is_file():
            with each.open(_mode(each)) as handle:
                os.fsync(handle.fileno())


def _mode(file: Path) -> Literal["rb+", "rb"]:
    """Windows flushes only what is open for writing, and POSIX also what may only be read."""
    return "rb" if os.name == "posix" and not os.access(file, os.W_OK) else "rb+"


def flush_folder(folder: Path) -> None:
    """Send the names in a folder to the disk; systems that have no such thing, as Windows, do it themselves.

    Raises:
        OSError: The disk does not take them.
    """
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:  # a disk that fails is no such share
            raise
    finally:
        os.close(handle)


def checksum(path: Path) -> int:
    """CRC-32 (ISO 3309) of a regular file: it finds damage by chance, at the speed of the memory.

    Raises:
        OSError: It cannot be read.
    """
    found = 0
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            found = isal_zlib.crc32(chunk, found)
    return found


def checksum_of(parts: Iterable[object]) -> int:
    """What `checksum` gives for a file of these parts, each bytes or a view of some."""
    found = 0
    for part in parts:
        found = isal_zlib.crc32(part, found)
    return found


def append_line(journal: Path, line: str) -> int:
    """Add a line to a journal, and send it to the disk.

    Args:
        journal: Made if missing; a damaged end is cut off first.
        line: Without its end.

    Returns:
        Bytes that were cut off.
    """
    cut = cut_damage(journal)
    new = not journal.exists()
    with journal.open("ab") as handle:
        handle.write(line.encode() + b"\n")
        handle.flush()
        os.fsync(handle.fileno())
    if new:
        flush_folder(journal.parent)
    return cut


def cut_damage(journal: Path) -> int:
    """Cut the end of a journal off that a kill or a power cut has damaged: within a line, or NUL bytes.

    Returns:
        Bytes that were cut off.
    """
    if not journal.exists() or _ends_well(journal):
        return 0
    with open_regular(journal) as file:
        content = file.read()
    good = content.partition(b"\0")[0]  # no line of text holds one
    good = good[: good.rfind(b"\n") + 1]
    with journal.open("rb+") as handle:
        handle.truncate(len(good))
        os.fsync(handle.fileno())
    return len(content) - len(good)


def _ends_well(journal: Path) -> bool:
    with open_regular(journal) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    return not tail or (tail.endswith(b"\n") and b"\0" not in tail)
