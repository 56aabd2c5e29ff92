"""Whether pictures show colours, or grey that is stored in three planes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from medseg.datasets.scanning.folder import DICOM, Entry
from medseg.errors import DataError

_Each = TypeVar("_Each")

_LOOKED_AT = 24
_DIFFERENT = 4.0  # levels of grey, of 256, that red, green and blue differ on average
_SHARE = 0.05


def spread(entries: Sequence[_Each], count: int) -> list[_Each]:
    """So many of them, spread evenly; all if there are no more."""
    if len(entries) <= count:
        return list(entries)
    return [entries[int(place)] for place in np.linspace(0, len(entries) - 1, count)]


def coloured(entries: Sequence[Entry]) -> bool:
    """Whether a twentieth of the pictures or more shows colours; some of them are looked at."""
    seen = [_is_coloured(entry) for entry in spread(entries, _LOOKED_AT)]
    return bool(seen) and sum(seen) / len(seen) >= _SHARE


def _is_coloured(entry: Entry) -> bool:
    from medseg.images.pictures.read import read_picture  # noqa: PLC0415 - Pillow takes a while

    if entry.kind == DICOM:
        return False
    try:
        planes = read_picture(entry.path, "rgb").pixels[:, ::4, ::4].astype(np.float32)
    except DataError:
        return False
    return float((planes.max(0) - planes.min(0)).mean()) > _DIFFERENT
