"""Headers whose voxels lie in a file beside them, as one thing."""

from __future__ import annotations

from pathlib import Path

from medseg.errors import DataError
from medseg.files.many import together
from medseg.images.itk.names import APART


def whole(path: Path) -> Path:
    """A file; of a header with its voxels beside it both, so that whoever asks what it holds sees either change.

    What is wrong with them is said where they are read.
    """
    if not path.name.lower().endswith(APART):
        return path
    from medseg.images.itk.kind import voxels_beside  # noqa: PLC0415 - nibabel takes a while

    try:
        voxels = voxels_beside(path)
    except DataError:
        return path
    return path if voxels is None else together((path, voxels))
