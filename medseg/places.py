"""Where medseg keeps things on this machine, and how a file is written without ever being half there."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from platformdirs import user_cache_path, user_config_path

from medseg.errors import RunError
from medseg.files.durable import flush, flush_folder
from medseg.files.lock import seen, take
from medseg.files.regular import read_json

Kept = TypeVar("Kept", bound=dict[str, Any] | list[Any])


def cache_folder() -> Path:
    """Prepared stores, samples, remembered checks: `$MEDSEG_CACHE`, or the user's cache folder."""
    named = os.environ.get("MEDSEG_CACHE")
    return _expanded(named, "MEDSEG_CACHE") if named else user_cache_path("medseg", appauthor=False)


def config_folder() -> Path:
    """The key of pseudonyms, further `pipelines/`: `$MEDSEG_CONFIG`, or the user's own folder."""
    named = os.environ.get("MEDSEG_CONFIG")
    return _expanded(named, "MEDSEG_CONFIG") if named else user_config_path("medseg", appauthor=False)


def _expanded(named: str, variable: str) -> Path:
    try:
        return Path(named).expanduser()
    except RuntimeError as error:  # ~somebody, who is not on this machine
        raise RunError(f"{variable} is {named!r}: {error} Set it to a folder's whole path.") from error


_OWN = 0o700  # rights of the user alone


class NotWrittenError(OSError):
    """Something that medseg makes could not be written; `filename` is its place, which may be shown.

    Such places are chosen by the user or by medseg and hold public ids only, unlike the paths of data.
    """


def private_folder(path: Path) -> Path:
    """Make a folder that its user alone may enter, whatever lies in it; one that is there is closed to others.

    Raises:
        NotWrittenError: It cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=_OWN, exist_ok=True)
        if stat.S_IMODE(path.stat().st_mode) & ~_OWN:
            with suppress(PermissionError):  # it belongs to another user, who opened it
                path.chmod(_OWN)
    except OSError as error:
        _not_written(error, path)
    return path


_PART = ".part"
_WRITING = ".writing"
_YOUNG, _OLD = 60.0, 86400.0  # seconds
_BEGUN = re.compile(r"\..+\.[a-z0-9_]{8}\.part")  # as `tempfile.mkdtemp` makes it of prefix and suffix


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it takes the place of `path` in one move.

    The yielded path does not exist yet, so that a file or a folder may be made there. A failure, or a
    process that is killed, leaves `path` as it was, and so does a power cut: what was made is on the disk before it
    gets its name. It is open to whom the user's umask opens it, however the library that wrote it does otherwise.
    What processes that were killed had begun in the same folder is removed.

    Raises:
        NotWrittenError: The place cannot be written to: its disk is full, a file is in the way, or the rights
            are missing.
    """
    try:
        new = [each for each in path.parents if not each.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent.absolute())
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name[:60]}.", suffix=_PART, dir=path.parent))
    except OSError as error:
        _not_written(error, path)
    target = beside / path.name
    with _at_work(beside):
        try:
            yield target
            _as_umask(target, beside)
            flush(target)
            if target.is_dir() and path.is_dir():
                old = beside / "old"
                path.replace(old)
            target.replace(path)
            for folder in (path.parent, *(each.parent for each in new)):
                flush_folder(folder)
        except OSError as error:
            # Others come from what the caller read meanwhile; a full disk gives no name at all.
            if error.errno in FULL or str(beside) in str(error.filename):
                _not_written(error, path)
            raise


@contextmanager
def passing_folder(name: str) -> Iterator[Path]:
    """Yield a folder among the system's temporary files that its user alone may enter, and remove it in the end.

    It may hold what a patient's files hold: those that killed processes of this user left are removed first.

    Args:
        name: What it is for, in letters and dashes.
    """
    clear_passing(name)
    place = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=_PART))  # of rights 0700
    with _at_work(place):
        yield place


def clear_passing(name: str) -> None:
    """Remove the passing folders of a name that killed processes of this user left."""
    for part in leftovers(Path(tempfile.gettempdir()), below=f"{name}."):
        if not hasattr(os, "getuid") or part.lstat().st_uid == os.getuid():
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _at_work(beside: Path) -> Iterator[None]:
    """Say by a lock that a process is at a folder, and remove it in the end: one that is killed cannot."""
    held = None
    with suppress(OSError):  # no locks there: only its age tells then that it is left over
        held = take(beside / _WRITING, 1.0)
    try:
        yield
    finally:
        _empty(beside)  # the lock goes last, for what is without one tells nobody that it is left over
        if held is not None:
            held.let_go()
        shutil.rmtree(beside, ignore_errors=True)


def _empty(beside: Path) -> None:
    """Remove all but the lock from a folder; what cannot be removed is left to others."""
    with suppress(OSError):
        for each in beside.iterdir():
            if each.name == _WRITING:
                continue
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)


def leftovers(folder: Path, *, below: str = "", own: bool = False) -> list[Path]:
    """What processes that are gone had begun to write in a folder, and in all folders of it.

    Args:
        folder: Where to look; it need not exist.
        below: Look for what was to become this file or folder alone, and in no folder of the folder.
        own: Nobody else can be writing there, so that whatever was begun is left over.
    """
    found: list[Path] = []
    for place, folders, _ in os.walk(folder):
        parts = [
            name
            for name in folders
            if name.startswith(f".{below[:60]}")
            and name.endswith(_PART)
            and not Path(place, name).is_symlink()
        ]
        folders[:] = [] if below else [name for name in folders if name not in parts]
        found += [part for part in (Path(place, name) for name in parts) if own or _is_dead(part)]
    return found


def clear_leftovers(folder: Path, *, below: str = "", own: bool = False) -> None:
    """Remove what `leftovers` finds; arguments as of it."""
    for part in leftovers(folder, below=below, own=own):
        shutil.rmtree(part, ignore_errors=True)


@lru_cache(maxsize=4096)  # a folder of thousands of files is looked through once, not at each of them
def _sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder, be it anybody's: nothing but what medseg names so."""
    with suppress(OSError), os.scandir(folder) as entries:
        named = [each for each in entries if _BEGUN.fullmatch(each.name)]
        for part in (Path(each.path) for each in named if each.is_dir(follow_symlinks=False)):
            marked = (part / _WRITING).exists() or not any(part.iterdir())
            if marked and _is_dead(part):
                shutil.rmtree(part, ignore_errors=True)


def clear_outputs(folder: Path) -> None:
    """Remove what killed processes left in a folder of outputs, and in the folders of its cases."""
    place = folder.absolute()
    _sweep(place)
    with suppress(OSError), os.scandir(place) as entries:
        for each in entries:
            if each.is_dir(follow_symlinks=False) and not each.name.endswith(_PART):
                _sweep(Path(each.path))


def _is_dead(part: Path) -> bool:
    """Whether nobody holds the lock of what was begun; a young one may not have it yet, or have it no more."""
    try:
        age = abs(time.time() - part.stat().st_mtime)
        if age <= min(
            _YOUNG, _OLD
        ):  # to look at its lock would make the file of it anew, as its owner removes it
            return False
        state = seen(part / _WRITING) if (part / _WRITING).exists() else "unknown"
        bare = state == "unknown" and not any(part.iterdir())
    except OSError:  # it is gone meanwhile, or another user's own
        return False
    return ((state == "free" or bare) and age > _YOUNG) or (state == "unknown" and age > _OLD)


def read_kept(path: Path, kind: type[Kept]) -> Kept:
    """What a run wrote down in a JSON file.

    Args:
        path: Of the file.
        kind: What it holds, `dict` or `list`.

    Raises:
        RunError: The file is gone or damaged, or holds something else.
    """
    try:
        found = read_json(path)
    except OSError as error:
        raise RunError(f"{path.name} of the run cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise RunError(f"{path.name} of the run is damaged. Start the pipeline again.") from error
    if not isinstance(found, kind):
        raise RunError(f"{path.name} of the run is damaged. Start the pipeline again.")
    return found


def _as_umask(made: Path, beside: Path) -> None:
    """Give files, and folders with all they hold, the rights that a plain new one gets there."""
    plain = {}
    for is_folder, make in ((False, Path.touch), (True, Path.mkdir)):
        probe = beside / f".plain.{is_folder}"  # asking for the umask itself would change it for all threads
        make(probe)
        plain[is_folder] = stat.S_IMODE(probe.stat().st_mode)
    for each in (made, *(made.rglob("*") if made.is_dir() else ())):
        if not each.is_symlink() and stat.S_IMODE(each.stat().st_mode) != plain[each.is_dir()]:
            each.chmod(plain[each.is_dir()])


def _not_written(error: OSError, path: Path) -> NoReturn:
    raise NotWrittenError(error.errno or 0, error.strerror or str(error), str(path)) from error


FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)
"""What the system says where no space is left."""


KINDS = ("stores", "samples", "checked", "models")
"""What the cache holds; `cache clear` touches nothing else."""


def samples_folder() -> Path:
    """Where samples of pipelines are generated that run without data: nothing else lies there."""
    return cache_folder() / "samples"


def cache_contents() -> dict[str, tuple[int, int]]:
    """Entries and bytes of each kind in the cache, and of what killed processes left over, if there is any.

    Raises:
        RunError: The cache cannot be read.
    """
    found = {}
    for kind in KINDS:
        folder = cache_folder() / kind
        try:
            entries = [each for each in folder.iterdir() if each.suffix != _PART] if folder.is_dir() else []
            found[kind] = (len(entries), sum(_bytes_of(entry) for entry in entries))
        except OSError as error:
            raise RunError(_closed(kind, "read", error)) from error
    left = [part for kind in KINDS for part in leftovers(cache_folder() / kind)]
    return {**found, "leftovers": (len(left), sum(map(_bytes_of, left)))} if left else found


def clear_cache_leftovers() -> None:
    """Remove what killed processes left over in the cache, and nothing that is not medseg's."""
    for kind in KINDS:
        clear_leftovers(cache_folder() / kind)


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
        try:
            if not folder.is_dir():
                continue
            freed += _bytes_of(folder)
            shutil.rmtree(folder)
        except OSError as error:
            raise RunError(_closed(each, "deleted", error)) from error
    return freed


def _closed(kind: str, done: str, error: OSError) -> str:
    return (
        f"the {kind} in the cache {cache_folder()} cannot be {done}: {error.strerror}. Give this user the right, "
        "or set MEDSEG_CACHE to another folder."
    )


def _bytes_of(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
