"""Paths that the rows of a table name: which files they are, below the folders of the data alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.text import composed


@dataclass(frozen=True)
class Bases:
    """The folder of the list, and that of the data: below these are the files that a row may name.

    Attributes:
        listed: The first of them.
        root: The second.
        spelt: Both as they are named.
        real: Both with all links followed.
    """

    listed: Path
    root: Path
    spelt: tuple[Path, ...]
    real: tuple[Path, ...]

    @classmethod
    def of(cls, listed: Path, root: Path) -> Bases:
        """Look once where both are."""
        both = tuple(dict.fromkeys((listed, root)))
        spelt = tuple(Path(os.path.normpath(each.absolute())) for each in both)
        return cls(listed, root, spelt, tuple(Path(os.path.realpath(each)) for each in both))

    def ways(self, text: str) -> list[tuple[Path, Path]]:
        """From where, and how, a row may name a file below one of them; a backslash may stand for a slash."""
        ways = [(base, each) for each in spellings(text) for base in dict.fromkeys((self.listed, self.root))]
        return [way for way in ways if self._stay(*way)]

    def _stay(self, base: Path, written: Path) -> bool:
        """Whether a way leads to no other place than below one of them, but for links that lie there."""
        path = base / written
        if not _is_below(Path(os.path.normpath(path.absolute())), (*self.spelt, *self.real)):
            return False
        if ".." not in written.parts or "\0" in str(written):  # no name of a file: it will be missing
            return True
        # What is above a linked folder is where the link leads, and not what the names say.
        return _is_below(Path(os.path.realpath(path.parent)), self.real)


def _is_below(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(each) for each in folders)


def spellings(text: str) -> list[Path]:
    """A path as it is written, and with slashes in place of backslashes."""
    return [Path(each) for each in dict.fromkeys((text, text.replace("\\", "/")))]


def there(ways: Sequence[tuple[Path, Path]]) -> Path | None:
    """The first file that is there."""
    found = (_spelt(base, written) for base, written in ways)
    return next((path for path in found if path is not None), None)


def missing(ways: Sequence[tuple[Path, Path]]) -> str:
    """What a row names in place of a file."""
    named = (base / written for base, written in ways)
    return "what is no regular file" if any(map(os.path.lexists, named)) else "a file that is missing"


def _spelt(base: Path, written: Path) -> Path | None:
    """The file, with names spelt as they are stored: with composed accents, or with decomposed ones."""
    path = base / written
    try:
        if path.is_file():
            return path
        if written.is_absolute():
            return None
        path = base
        for name in written.parts:
            step = path / name
            if not step.exists():
                step = next((each for each in path.iterdir() if composed(each.name) == composed(name)), step)
            path = step
        return path if path.is_file() else None
    except (OSError, ValueError):  # no folder, no right to enter it, or no name of a file at all
        return None


def named_below(path: Path, root: Path) -> str:
    """`<root's name>/<relative path>`, in which further columns are searched; the name alone if not below."""
    try:
        return composed(f"{root.resolve().name}/{path.relative_to(root).as_posix()}")
    except ValueError:
        return composed(path.name)
