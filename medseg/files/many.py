"""Several files that hold one thing together, such as the slices of a series, where a path is expected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())  # of this system: before Python 3.12, `Path` itself cannot be derived from


class ManyFiles(_Path):
    """The path of the first of several files, which knows the others; made by `together`.

    Where a part of a case is shown, compared or looked up, the first file stands for it. What reads it, or asks
    whether it changed, takes `files_of`.
    """

    every: tuple[Path, ...] = ()

    def absolute(self) -> Any:
        """All of them, from the root of the file system."""
        return together([each.absolute() for each in self.every]) if self.every else Path(self).absolute()

    def __reduce__(self) -> Any:
        """The others go along to another process."""
        return (together, (self.every,)) if self.every else (Path, (str(self),))


def together(paths: Sequence[Path]) -> Path:
    """Several files as one path, that of the first.

    Args:
        paths: At least one.
    """
    made = ManyFiles(paths[0])
    made.every = tuple(Path(path) for path in paths)
    return made


def files_of(path: Path) -> tuple[Path, ...]:
    """Every file that a path stands for: the one of a usual path."""
    return getattr(path, "every", ()) or (path,)
