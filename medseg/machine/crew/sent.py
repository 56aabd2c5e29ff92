"""What is sent to a worker, and what the worker looks at before it does any of it.

Pickles of Python's own kind are sent, which name functions and classes and hold none: a worker runs the code that is
installed where it is, and says so where that is another version.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from medseg.errors import MedsegError, RunError

_COMPARED = ("medseg", "numpy", "torch", "monai", "nibabel")
"""Packages on whose versions results depend; of each the whole version counts, build and all."""

_KEPT_AT_ONCE = 2
"""Functions that a worker keeps unpickled: each may hold a model."""


def versions() -> tuple[tuple[str, str], ...]:
    """What must be alike wherever tasks are done, by name."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - a tenth of `medseg --help`

    found = [("Python", ".".join(platform.python_version_tuple()[:2]))]
    for name in _COMPARED:
        with suppress(PackageNotFoundError):
            found.append((name, version(name)))
    return tuple(found)


@dataclass(frozen=True)
class Refused:
    """Why a worker cannot be used, and what to do.

    Attributes:
        found: What was found there, without a path.
        remedy: A sentence.
        path: What it is about. Private.
    """

    found: str
    remedy: str
    path: Path | None = None


@dataclass(frozen=True)
class Done:
    """What came of a task: what it gave, or the error that the user can mend."""

    result: Any = None
    error: MedsegError | None = None


@dataclass(frozen=True)
class Sent:
    """A function on its way to workers; called with a task there, it does that.

    Attributes:
        digest: Of the pickled function.
        pickled: The function; empty where it lies in `place`.
        place: A file in the folder that results are written to, which holds it.
    """

    digest: str
    pickled: bytes = field(default=b"", repr=False)
    place: Path | None = None

    @classmethod
    def of(cls, do: Callable[[Any], Any], place: Path | None = None) -> Sent:
        """Pickle a function, into a file if there is a place for it.

        Raises:
            RunError: It holds what no other process could find.
        """
        try:
            pickled = pickle.dumps(do)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise RunError(
                f"this cannot be sent to another process: {error}. Put what it names into a module of an installed "
                "package, not into a script or a notebook; or leave --on out."
            ) from error
        digest = hashlib.sha256(pickled).hexdigest()
        if place is None:
            return cls(digest, pickled)
        with open(place, "xb", opener=_own) as file:
            file.write(pickled)
        return cls(digest, place=place)

    def __call__(self, task: Any) -> Any:
        """Do a task."""
        return _function(self)(task)


def _own(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@lru_cache(maxsize=_KEPT_AT_ONCE)
def _function(sent: Sent) -> Callable[[Any], Any]:
    pickled = sent.pickled if sent.place is None else sent.place.read_bytes()
    if hashlib.sha256(pickled).hexdigest() != sent.digest:
        raise ValueError("what was sent to a worker is not what arrived")
    found: Callable[[Any], Any] = pickle.loads(pickled)  # noqa: S301 - compared with what the caller pickled
    return found


@dataclass(frozen=True)
class Guarded:
    """What is sent, and what a worker must find before it does any of it.

    Attributes:
        sent: The function.
        versions: See `versions`.
        read: Folders of files that tasks read.
        write: The folder that results are written to.
        packages: Packages that declared objects come from, which must be there.
        allow: What `MEDSEG_ALLOW` says where the command was given.
    """

    sent: Sent
    versions: tuple[tuple[str, str], ...]
    read: tuple[Path, ...] = ()
    write: Path | None = None
    packages: tuple[str, ...] = ()
    allow: str = ""

    def refused(self) -> Refused | None:
        """What speaks against this worker; None where nothing does."""
        if (other := dict(versions())) != (mine := dict(self.versions)):
            name = next(each for each in {**mine, **other} if mine.get(each) != other.get(each))
            there, here = other.get(name, "none"), mine.get(name, "none")
            return Refused(
                f"it has {name} {there}, and this process {here}",
                "Install the same versions there, as with the same environment or container.",
            )
        for folder in self.read:
            if not os.access(folder, os.R_OK):
                return Refused(
                    "what the cases are read from is not there, or may not be read",
                    "Put the data where every worker has them by the same path, such as a shared file system.",
                    folder,
                )
        return self._unwritable() or self._unknown_packages()

    def _unwritable(self) -> Refused | None:
        if self.write is None:
            return None
        shared = "Set MEDSEG_CACHE (of predictions, -o) to a folder that every worker has by the same path."
        if self.sent.place is None or not self.sent.place.is_file():
            found = "the folder that results are written to is not there, or is another one than that of this process"
            return Refused(found, shared, self.write)
        if not os.access(self.write, os.W_OK | os.X_OK):
            return Refused("the folder that results are written to may not be written", shared, self.write)
        return None

    def _unknown_packages(self) -> Refused | None:
        for package in self.packages:
            try:
                import_module(package)
            except ImportError:
                return Refused(
                    f"the package {package}, which was allowed, cannot be imported",
                    "Install it there as well.",
                )
        return None


def done_there(guarded: Guarded, task: bytes) -> Refused | Done:
    """Do a task on a worker that is fit for it."""
    if (refused := _refused(guarded)) is not None:
        return refused
    try:
        return Done(guarded.sent(pickle.loads(task)))  # noqa: S301 - pickled by the process that works here
    except MedsegError as error:
        return Done(error=error)


@lru_cache(maxsize=4)
def _refused(guarded: Guarded) -> Refused | None:
    found = guarded.refused()
    if found is None and guarded.allow:
        os.environ["MEDSEG_ALLOW"] = guarded.allow
    return found
