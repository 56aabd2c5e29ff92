"""Taking out of a folder what names a patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.datasets.pseudonym import secret_key
from medseg.errors import Fault
from medseg.progress import Progress, Silent

if TYPE_CHECKING:
    from medseg.datasets.deidentification.folder import FileReport

LIMITS = (
    "It cannot promise that pixels show no name and no face, nor that a kept word names nobody: look at the files "
    "before you pass them on."
)
"""What is said at the end of every de-identification."""


@dataclass(frozen=True)
class Deidentified:
    """What became of a folder.

    Attributes:
        files: One report for each file, in the order of their paths; their `source` is private.
        report: The table of them, in the new folder. Holds no name and no path of the source.
    """

    files: tuple[FileReport, ...]
    report: Path

    @property
    def kinds(self) -> Mapping[str, Counter[str]]:
        """By kind: how many files were `written` and `left out`, and what was done to their parts."""
        found: dict[str, Counter[str]] = {}
        for each in self.files:
            counts = found.setdefault(each.kind or "other", Counter())
            counts["left out" if each.reason else "written"] += 1
            counts.update(each.changes)
        return found

    @property
    def left_out(self) -> tuple[Fault, ...]:
        """Files that were not written, with their reasons."""
        return tuple(_fault(each, each.reason, "") for each in self.files if each.reason)


def _fault(each: FileReport, found: str, part: str) -> Fault:
    problem, _, remedy = found.partition(". ")
    return Fault("", each.number, part, problem, remedy or "Leave it out.", each.source)


def deidentify(
    inputs: str | Path,
    out: str | Path,
    *,
    keep_uids: bool = False,
    shift_dates: bool = False,
    keep_device: bool = False,
    keep: Sequence[str] = (),
    key_map: str | Path | None = None,
    progress: Progress | None = None,
) -> Deidentified:
    """Write a folder anew without what names a patient: DICOM, NIfTI, PNG, JPEG, TIFF, side-cars in JSON.

    DICOM follows the Basic Application Level Confidentiality Profile (PS3.15, annex E). Pixels are not touched. Names
    of folders and files become pseudonyms by this machine's key. Other kinds of files are left out.

    Args:
        inputs: A folder, or a file.
        out: A new folder; it appears when it is whole.
        keep_uids: Leave UIDs of DICOM as they are. Default: consistent new ones.
        shift_dates: Move the dates of a patient by the same number of days. Default: they are taken out.
        keep_device: Leave what names the device. Default: it is taken out.
        keep: Words that name nobody, such as `t1c` or `seg`: they stay in names of files and descriptions of DICOM.
        key_map: A new file for which name became which, readable by its user alone. Default: none is written.
        progress: Shows a bar.

    Returns:
        What became of each file.

    Raises:
        DataError: There is no file to read.
        RunError: A place to write to is taken, or lies within `inputs`.
    """
    from medseg.datasets.deidentification.choice import Choice  # noqa: PLC0415
    from medseg.datasets.deidentification.folder import REPORT, clean_folder  # noqa: PLC0415  # imports pydicom

    choice = Choice(
        keep_uids=keep_uids,
        shift_dates=shift_dates,
        keep_device=keep_device,
        words=frozenset(word.casefold() for word in keep),
    )
    target = Path(out)
    found = clean_folder(
        Path(inputs),
        target,
        choice,
        secret_key(),
        progress or Silent(),
        None if key_map is None else Path(key_map),
    )
    return Deidentified(found, target / REPORT)
