"""What stands where a file should, and is none: pipes, devices, folders, links in circles."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from medseg.testing.broken.form import Write


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _circle(path: Path) -> None:
    other = path.with_name(f"to-{path.name}")
    path.symlink_to(other.name)
    other.symlink_to(path.name)


def _nowhere(path: Path) -> None:
    path.symlink_to("gone")


def _folder_above(path: Path) -> None:
    path.symlink_to("..")


def _zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


def _nothing(path: Path) -> None:
    path.symlink_to("/dev/null")


def _memory(path: Path) -> None:
    path.symlink_to("/proc/self/mem")


def _process(path: Path) -> None:
    path.symlink_to("/proc/self/maps")


def _folder(path: Path) -> None:
    path.mkdir()


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _closed(path: Path) -> None:
    path.write_bytes(b"nothing")
    path.chmod(0)


PLACES: Mapping[str, Write] = {
    "a named pipe": _pipe,
    "a socket": _socket,
    "a link to itself": _loop,
    "two links in a circle": _circle,
    "a link to nothing": _nowhere,
    "a link to the folder above": _folder_above,
    "a link to a device that never ends": _zeros,
    "a link to the terminal": _terminal,
    "a link to the device of nothing": _nothing,
    "a link to the memory of the process": _memory,
    "a link to a file of the system without a size": _process,
    "a folder where a file should be": _folder,
    "a file of a terabyte of nothing": _sparse,
    "a file that nobody may read": _closed,
}
"""Each by what it is; what the system forbids raises OSError."""
