"""Where medseg keeps things on this machine, and how a file is written without ever being half there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path, user_config_path

from medseg.errors import RunError


def cache_folder() -> Path:
    """Prepared stores, samples, remembered checks: `$MEDSEG_CACHE`, or the user's cache folder."""
    named = os.environ.get("MEDSEG_CACHE")
    return Path(named).expanduser() if named else user_cache_path("medseg", appauthor=False)


def config_folder() -> Path:
    """The key of pseudonyms, further `pipelines/`: `$MEDSEG_CONFIG`, or the user's own folder."""
    named = os.environ.get("MEDSEG_CONFIG")
    return Path(named).expanduser() if named else user_config_path("medseg", appauthor=False)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it takes the place of `path` in one move.

    The yielded path does not exist yet, so that a file or a folder may be made there. A failure, or a
    process that is killed, leaves `path` as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name[:60]}.", suffix=".part", dir=path.parent))
    target = beside / path.name
    try:
        yield target
        if target.is_file():
            with target.open("rb+") as handle:
                os.fsync(handle.fileno())
        if target.is_dir() and path.is_dir():
            old = beside / "old"
            path.replace(old)
        target.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


KINDS = ("stores", "samples", "checked", "models")
"""What the cache holds; `cache clear` touches nothing else."""


def cache_contents() -> dict[str, tuple[int, int]]:
    """Entries and bytes of each kind in the cache."""
    found = {}
    for kind in KINDS:
        folder = cache_folder() / kind
        entries = list(folder.iterdir()) if folder.is_dir() else []
        found[kind] = (len(entries), sum(_bytes_of(entry) for entry in entries))
    return found


def clear_cache(kind: str | None = None) -> int:
    """Delete what medseg keeps in the cache, and nothing else; gives the bytes freed.

    Raises:
        RunError: There is no such kind, or a file cannot be deleted.
    """
    if kind is not None and kind not in KINDS:
        raise RunError(f"the cache keeps no {kind!r}, only {', '.join(KINDS)}.")
    freed = 0
    for each in KINDS if kind is None else (kind,):
        folder = cache_folder() / each
        if not folder.is_dir():
            continue
        freed += _bytes_of(folder)
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise RunError(f"the cache's {each} cannot be deleted: {error.strerror}.") from error
    return freed


def _bytes_of(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
