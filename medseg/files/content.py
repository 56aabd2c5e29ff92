"""What a file holds, as a digest of its bytes, and whether it may have changed since."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import cast

from medseg.files.regular import open_regular


@dataclass(frozen=True)
class Content:
    """The bytes of a file when it was looked at.

    Attributes:
        stamp: `stamp_of` then.
        digest: 32 hexadecimal digits of its bytes.
    """

    stamp: tuple[int, ...]
    digest: str


def stamp_of(path: Path) -> tuple[int, ...]:
    """Size, times of change and number of a file: another file, or other bytes, give another stamp.

    The time at which the system saw it change (ctime) is in it besides that of the content (mtime), which archives
    and copies set to what they like.

    Raises:
        OSError: It cannot be reached.
    """
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def content_of(path: Path, known: Content | None = None) -> Content:
    """What a file holds: `known`, if it has not changed since; else all of it is read.

    Raises:
        OSError: It is no regular file, or cannot be read.
    """
    stamp = stamp_of(path)  # before its bytes: should they change meanwhile, the stamp is the older one
    if known is not None and known.stamp == stamp:
        return known
    with open_regular(path) as file:
        return Content(stamp, hashlib.file_digest(cast("BufferedReader", file), _hash).hexdigest())


def _hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)
