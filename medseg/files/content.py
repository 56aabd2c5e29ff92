"""What a file holds, as a digest of its bytes, and whether it may have changed since."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import cast

from medseg.files.many import files_of
from medseg.files.regular import open_regular


@dataclass(frozen=True)
class Content:
    """The bytes of a file when it was looked at.

    Attributes:
        stamp: `stamp_of` then.
        digest: 32 hexadecimal digits of its bytes; of several files together, of their digests in their order.
    """

    stamp: tuple[int, ...]
    digest: str


def stamp_of(path: Path) -> tuple[int, ...]:
    """Size, times of change and number of a file, or of each of `files_of`: other files or bytes give another stamp.

    The time at which the system saw it change (ctime) is in it besides that of the content (mtime), which archives
    and copies set to what they like.

    Raises:
        OSError: It cannot be reached.
    """
    found = [each.stat() for each in files_of(path)]
    return tuple(n for each in found for n in (each.st_size, each.st_mtime_ns, each.st_ctime_ns, each.st_ino))


def content_of(path: Path, known: Content | None = None) -> Content:
    """What a file holds: `known`, if it has not changed since; else all of it is read.

    Raises:
        OSError: It is no regular file, or cannot be read.
    """
    stamp = stamp_of(path)  # before its bytes: should they change meanwhile, the stamp is the older one
    if known is not None and known.stamp == stamp:
        return known
    digests = [_digest(each) for each in files_of(path)]
    return Content(stamp, digests[0] if len(digests) == 1 else _of_all(digests))


def _digest(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(cast("BufferedReader", file), _hash).hexdigest()


def _of_all(digests: list[str]) -> str:
    together = _hash()
    together.update("\n".join(digests).encode())
    return together.hexdigest()


def _hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)
