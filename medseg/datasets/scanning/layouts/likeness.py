"""Whether files look like label maps by what they hold, where their names do not say so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medseg.datasets.scanning.colours import spread
from medseg.datasets.scanning.folder import ITK, VOLUME, Entry
from medseg.errors import DataError

_LOOKED_AT = 3  # files of a part
_LEAST = 3  # files that a part must have
_MOST_VALUES = 12
_MOST_PARTS = 40  # that are looked into; names that differ in every file are parts too


class LooksLikeLabels:
    """Judges parts by some of their files: whole numbers, 0 among them, few of them and more than one."""

    def __init__(self) -> None:
        self._known: dict[Path, bool] = {}
        self._left = _MOST_PARTS

    def __call__(self, part: str, files: Mapping[str, Entry]) -> bool:  # noqa: ARG002 - as others that judge
        """Whether all that are looked at do."""
        if len(files) < _LEAST or self._left <= 0:
            return False
        self._left -= 1
        return all(self._looks(entry) for entry in spread(list(files.values()), _LOOKED_AT))

    def _looks(self, entry: Entry) -> bool:
        if entry.path not in self._known:
            self._known[entry.path] = _holds_labels(entry)
        return self._known[entry.path]


def _holds_labels(entry: Entry) -> bool:
    from medseg.images.itk.kind import ItkFiles  # noqa: PLC0415 - nibabel takes a while
    from medseg.images.nifti.read import read_nifti  # noqa: PLC0415
    from medseg.images.pictures.read import read_mask  # noqa: PLC0415

    read = {VOLUME: read_nifti, ITK: ItkFiles().read_image}.get(entry.kind)
    try:
        data = read_mask(entry.path).pixels if read is None else read(entry.path).data
    except DataError:
        return False
    values = np.unique(data)
    whole = np.array_equal(values, np.round(values))
    return bool(whole and 1 < values.size <= _MOST_VALUES and values[0] == 0)
