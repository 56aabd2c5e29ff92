"""Files that hold nothing, for tests that look at names alone."""

from __future__ import annotations

from pathlib import Path


def empty_files(root: Path, *names: str) -> Path:
    """Make files of no bytes below a folder, with the folders that they need; gives the folder.

    Args:
        root: Made if missing.
        names: Paths below it.
    """
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root
