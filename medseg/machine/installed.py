"""What installed packages bring to medseg, by the groups of their entry points."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints


def brought(group: str) -> EntryPoints:
    """Entry points of one group, of the packages that are installed now.

    Reading them of some hundred packages takes a tenth of a second, and a command asks several times: they are read
    again once a folder of packages has changed.
    """
    return _read(tuple((path, _changed(path)) for path in sys.path), group)


def _changed(path: str) -> int:
    with suppress(OSError):  # not there, or within an archive
        return Path(path or ".").stat().st_mtime_ns
    return 0


@lru_cache(maxsize=16)
def _read(folders: tuple[tuple[str, int], ...], group: str) -> EntryPoints:
    from importlib.metadata import entry_points  # noqa: PLC0415 - a tenth of the time of `medseg --help`

    del folders
    return entry_points(group=group)


def origin(point: EntryPoint) -> str:
    """The package that brings an entry point, by the name under which it is installed."""
    return point.dist.name if point.dist else point.name
