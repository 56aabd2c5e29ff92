"""Files that are neither DICOM nor pictures by their content, and were to be images all the same.

A slice that was not copied whole has nothing in it that tells what it was to be: its name, and the files that lie
beside it, do.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from medseg.datasets.manifest.slips import UNFINISHED
from medseg.errors import DataError
from medseg.files.regular import open_regular
from medseg.images.dicom.sniff import SUFFIXES, begins_as_dicom
from medseg.images.refusal import found_and_remedy

#: What programs put behind a name as they pack or fetch a file, in lower case.
_BEHIND = (*UNFINISHED, ".gz", ".bz2", ".xz", ".zst")

#: What no plain text begins with.
_BINARY = bytes({*range(32)} - {*b"\t\n\f\r"})


def own_ending(path: Path) -> str:
    """The ending of a name in lower case, without what packing or fetching put behind it.

    Empty where there is none, or a number alone: names of DICOM files often end with that of an image or a UID.
    """
    ending = path.suffix.lower()
    if ending in _BEHIND:
        ending = path.with_suffix("").suffix.lower()
    return "" if ending[1:].isdigit() else ending


def may_be_image(path: Path, beside: Collection[str]) -> bool:
    """Whether a file that was not recognised claims to be DICOM, or cannot be looked into where images lie.

    Args:
        path: The file.
        beside: What the images in its folder have for `own_ending`; none where there are no images.
    """
    ending = own_ending(path)
    try:
        with open_regular(path) as handle:
            head = handle.read(352)
    except OSError:
        return bool(beside) or ending in ("", *SUFFIXES)
    if begins_as_dicom(head):  # a directory of others
        return False
    if not head:
        return bool(beside) or ending in SUFFIXES
    return ending in SUFFIXES or (ending in beside and head.translate(None, _BINARY) != head)


def refusal(path: Path) -> tuple[str, str]:
    """What is wrong with such a file, read as DICOM, and what to do about it."""
    from medseg.images.dicom.header import parsed  # noqa: PLC0415 - imports pydicom

    try:
        parsed(path, pixels=False, only=[])
    except DataError as error:
        return found_and_remedy(error)
    return "the file changed while it was looked at", "Try again when nothing writes to it."
