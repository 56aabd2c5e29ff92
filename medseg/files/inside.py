"""Paths that must stay within a folder, whatever a file of it says and wherever links of it lead."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from medseg.errors import RunError


def inside(folder: Path, given: str) -> Path:
    """The path that a file of a folder gives, with all links followed.

    Args:
        folder: Where it starts, and must stay with all that lies below it.
        given: What the file says.

    Raises:
        RunError: It leads out of the folder.
    """
    root, path = folder.resolve(), (folder / given).resolve()
    if not path.is_relative_to(root) or any(True for _ in _ways_out(path, root)):
        raise RunError(f"the path leads out of the folder {folder.name}.")
    return path


def own_place(folder: Path, given: str) -> Path:
    """As `inside`, of a path that no link turns elsewhere: what is read or deleted there is what is named.

    It takes no longer in a full folder than in an empty one.

    Raises:
        RunError: It leads out of the folder, or through a link.
    """
    path = (folder / given).resolve()
    if not is_normal(given) or path != folder.resolve() / given:
        raise RunError(f"a path in the folder {folder.name} leads elsewhere, through a link or `..`.")
    return path


def is_normal(given: str) -> bool:
    """Whether a relative path is in the one form that its file has: no `.`, no `..`, no empty part."""
    return "\0" not in given and not {"", ".", ".."} & set(given.split("/"))


def refuse_ways_out(folder: Path) -> None:
    """Refuse a folder through which files elsewhere would be read or written.

    Raises:
        RunError: A link in it leads out of it, something in it is neither file nor folder, or a folder in it cannot
            be looked into; names one.
    """
    root = folder.resolve()
    for path in _ways_out(root, root):
        raise RunError(
            f"{path.relative_to(root).as_posix()!r} in the folder {folder.name} is a link that leads out of it, or "
            "no plain file: files elsewhere would be read or changed. Put the file itself there, or remove it."
        )


def _ways_out(top: Path, root: Path) -> Iterator[Path]:
    """Links below `top` that lead out of `root`, and what is neither file nor folder.

    Raises:
        RunError: A folder cannot be looked into, so that nobody knows.
    """

    def closed(error: OSError) -> None:
        if isinstance(
            error, FileNotFoundError | NotADirectoryError
        ):  # gone meanwhile; a file, which holds none
            return
        place = Path(error.filename)
        named = place.relative_to(root).as_posix() if place.is_relative_to(root) else place.name
        raise RunError(
            f"{named!r} in the folder {root.name} cannot be looked into: {error.strerror}. Give this user the "
            "right to read and enter it."
        ) from error

    for place, folders, files in os.walk(top, onerror=closed):
        for path in (Path(place) / name for name in (*folders, *files)):
            try:
                kind = path.lstat().st_mode
            except FileNotFoundError:  # a file that was being written, and has its own name by now
                continue
            out = stat.S_ISLNK(kind) and not path.resolve().is_relative_to(root)
            if out or not (stat.S_ISLNK(kind) or stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                yield path
