"""The file beside a header that holds its voxels: a header never leads anywhere else."""

from __future__ import annotations

import os
from pathlib import Path

from medseg.images.refusal import RefusedError

_LONGEST = 255  # bytes of a name
_ONE = "Save the volume as one file (.mha, .nrrd, .nii.gz), or leave the case out."


def plain_name(given: str) -> str:
    """The name of a file beside the header, as the header gives it.

    Raises:
        RefusedError: It leads elsewhere: into another folder, or to several files.
    """
    several = given.upper().split()[:1] == ["LIST"] or "%" in given
    if len(os.fsencode(given)) > _LONGEST:
        raise RefusedError("the file's header names a file of more characters than a name can have", _ONE)
    if several or given in ("", ".", "..") or any(each in given for each in "/\\\0:"):
        what = "in several files" if several else "elsewhere than in a file beside it"
        raise RefusedError(
            f"the file's header says that its voxels lie {what}; on its word no file is read but one in its folder",
            _ONE,
        )
    return given


def beside(header: Path, name: str) -> Path:
    """The file that holds the voxels of a header: a file beside it, or itself where no name is given.

    Raises:
        RefusedError: It is not there, or a link, which may lead out of the data.
    """
    if not name:
        return header
    place = header.parent / name
    if place.is_symlink():
        raise RefusedError(
            "the file of the voxels, which the header names, is a link", f"Put the file itself there. {_ONE}"
        )
    if not place.exists():
        raise RefusedError(
            "the file of the voxels, which the header names, is not there beside it",
            "Put it there under the name that the header gives, or leave the case out.",
        )
    return place
