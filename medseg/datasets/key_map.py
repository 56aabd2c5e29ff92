"""The way back from public names to those of the data set: written on request alone, for one pair of eyes."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from medseg.datasets.case import Case
from medseg.errors import RunError
from medseg.files.many import files_of

CASE_COLUMNS = ("case", "patient", "id", "patient_id", "source")
"""Of a map of cases: public name of the case and of the patient, what the data set calls them, and where it lies."""


def refuse_key_map(path: Path, *passed_on: Path) -> None:
    """Refuse a place at which no key map can or may be written, before any work is done.

    Args:
        path: Of the file.
        passed_on: Folders whose content others get to see.

    Raises:
        RunError: There is something at `path`, its folder is not there, or it lies in a folder that is passed on.
    """
    if any(path.resolve().is_relative_to(folder.resolve()) for folder in passed_on):
        raise RunError(
            f"{path.name}, for the key map, lies in a folder that is passed on. Name a file outside of it: who has "
            "both knows who everybody is."
        )
    if os.path.lexists(path):
        raise RunError(
            f"{path.name}, for the key map, is there already, and is not written over. Name a new file."
        )
    if not path.absolute().parent.is_dir():
        raise RunError(
            f"the folder of {path.name}, for the key map, is not there. Make it, or name another place."
        )


def write_key_map(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a new CSV that its user alone may read (mode 600), whatever the umask.

    Raises:
        FileExistsError: There is something at `path` by now.
        OSError: It cannot be written; nothing is left then.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        # A file's name need not be Unicode: Python then holds halves of characters in its place.
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            table = csv.writer(file)
            table.writerow(columns)
            table.writerows(rows)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def case_rows(
    cases: Iterable[Case], own: Mapping[str, tuple[str, str]], sources: Mapping[str, object]
) -> Iterator[Sequence[object]]:
    """One row a case, by `CASE_COLUMNS`.

    Args:
        cases: Which.
        own: What the data set calls each, and its patient, by its public id.
        sources: Where each lies, likewise.
    """
    for case in cases:
        yield (case.id, case.group, *own[case.id], sources[case.id])


def source_of(case: Case) -> Path:
    """The one file of the images of a case, or the folder of its files. Private."""
    paths = tuple(case.images.values()) or tuple(case.files.values())
    first, *others = dict.fromkeys(file for path in paths for file in files_of(path))
    return first.parent if others else first
