"""The mark of a generated sample: which files medseg made, so that learning from them says so wherever they lie."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from medseg.errors import DataError
from medseg.files.content import Content, content_of
from medseg.files.of_systems import is_of_system
from medseg.files.regular import read_json
from medseg.places import samples_folder, written_whole

_MARK = re.compile(r"medseg-sample(-[0-9a-f]{8})?\.json")
_MOST = 100  # marks in a folder that are looked at

_LEVELS = 12  # of folders above a file in which its mark may lie


def is_mark(name: str) -> bool:
    """Whether a file of this name is the mark of a sample.

    It begins with no dot, so that `cp -r sample/*` takes it along; and samples that differ have marks of other names,
    so that none replaces another where they are copied into one folder.
    """
    return _MARK.fullmatch(name) is not None


class Marks:
    """The marks of samples that lie in the folders of some files, and in those above; each is read once.

    Samples in the cache need none.
    """

    def __init__(self) -> None:
        self._known: dict[Path, frozenset[str] | None] = {}
        self._own = samples_folder().absolute()

    def hold(self, files: Mapping[str, Path], contents: Mapping[str, Content]) -> bool:
        """Whether all files of a case were generated, each by the sample whose folder it lies in.

        Args:
            files: Of a case, by their parts.
            contents: What those of them hold that were looked at.
        """
        return bool(contents) and all(self._holds(files[part], each) for part, each in contents.items())

    def _holds(self, path: Path, content: Content) -> bool:
        folders = dict.fromkeys([*path.absolute().parents[:_LEVELS], *path.resolve().parents[:_LEVELS]])
        for folder in folders:  # also where a link leads
            if folder == self._own:
                return True
            known = self._of(folder)
            if known is not None and content.digest in known:
                return True
        return False

    def _of(self, folder: Path) -> frozenset[str] | None:
        if folder not in self._known:
            self._known[folder] = marked(folder)
        return self._known[folder]


def marked(folder: Path) -> frozenset[str] | None:
    """Digests of the files that were generated in a folder; None if it has no mark, or none that can be read."""
    found: list[frozenset[str]] = []
    for path in _marks(folder):
        with suppress(OSError, ValueError, KeyError, TypeError):
            found.append(frozenset(read_json(path)["files"]))
    return frozenset().union(*found) if found else None


def _marks(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            named = sorted(each.name for each in entries if is_mark(each.name))
    except OSError:
        return []
    return [folder / name for name in named[:_MOST]]


def begin_sample(folder: Path) -> frozenset[str]:
    """Mark a folder in which a sample is about to be generated.

    Args:
        folder: Empty, or of a sample, of which more is wanted; it need not exist.

    Returns:
        Paths of the files, within the folder, that were not generated: they are never signed. Where the making of
        a sample was interrupted, what it left is among them.

    Raises:
        DataError: It holds other files.
        NotWrittenError: The mark cannot be written.
    """
    there = _files(folder)
    known = marked(folder)
    if there and known is None:
        raise DataError(
            f"the folder holds {len(there)} file{'' if len(there) == 1 else 's'} that no sample has made: generated "
            "cases are not put among others. Name an empty folder, or one that does not exist."
        )
    _write(folder, known or frozenset())
    return frozenset(path for path, each in there.items() if each.digest not in (known or ()))


def mark_sample(folder: Path, others: frozenset[str] = frozenset()) -> None:
    """Write down the digest of every file of a sample that was generated whole.

    Args:
        folder: Of the sample. Equal files give an equal mark.
        others: Paths, within it, of files that were not generated.

    Raises:
        OSError: A file cannot be read.
        NotWrittenError: The mark cannot be written.
    """
    made = {each.digest for path, each in _files(folder).items() if path not in others}
    _write(folder, made | (marked(folder) or frozenset()))


def _files(folder: Path) -> dict[str, Content]:
    """What the files of a folder hold, but for the mark and what systems leave, by their path within it."""
    paths = (Path(at, name).relative_to(folder) for at, _, names in os.walk(folder) for name in names)
    return {
        path.as_posix(): content_of(folder / path)
        for path in paths
        if not (is_mark(path.name) or any(map(is_of_system, path.parts))) and (folder / path).is_file()
    }


def _write(folder: Path, digests: frozenset[str] | set[str]) -> None:
    """Write a mark in place of those that are there, whose digests are among these."""
    content = {"about": "Digests of the files here that medseg has generated.", "files": sorted(digests)}
    text = json.dumps(content, indent=0) + "\n"
    made = folder / f"medseg-sample-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
    before = _marks(folder)
    with written_whole(made) as target:
        target.write_text(text, encoding="utf-8")
    for path in before:
        if path != made:
            path.unlink(missing_ok=True)
