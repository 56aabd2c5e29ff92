"""How many elements and items a DICOM file may hold: each takes the time and memory of an object of pydicom's.

An item of eight bytes takes some kilobytes and a ten-thousandth of a second: few megabytes would take minutes.
"""

from __future__ import annotations

import io

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from medseg.images.dicom.attributes import COPY, value_of
from medseg.images.refusal import RefusedError

_MOST, _MOST_OF_A_FRAME = 100_000, 100
"""Elements, with those of items, of a file, and of each of its frames: usual ones have some hundred, and thirty."""

_MOST_CALLS = 500_000
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
"""What items begin with, in either order of bytes. Source: DICOM PS3.5, 7.5."""

_SEVERAL = frozenset(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI"])
"""Value representations of texts that may be several, each of which becomes an object. Source: PS3.5, 6.2."""


class Counted(io.BufferedReader):
    """An open file of which pydicom reads element by element, and not without end."""

    calls = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file.

        Raises:
            RefusedError: It was asked for more often than any file needs.
        """
        self.calls += 1
        if self.calls > _MOST_CALLS:
            raise too_many(_MOST_CALLS)
        return super().read(size)


def most_elements(data: Dataset) -> int:
    """How many elements a file may hold, by the number of frames that it says."""
    try:
        frames = int(value_of(data, "NumberOfFrames") or 1)
    except (RefusedError, TypeError, ValueError, OverflowError):
        frames = 1
    return _MOST + _MOST_OF_A_FRAME * max(frames, 1)


def refuse_many_elements(data: Dataset) -> None:
    """Refuse a file of very many elements, items or values, before its sequences are taken apart.

    Raises:
        RefusedError: It is one.
    """
    most = most_elements(data)
    found = len(data)
    for element in data.values():
        if isinstance(element, RawDataElement) and element.VR in (None, "SQ", "UN", "UC") and element.value:
            found += _within(element, element.value)
    if found > most:
        raise too_many(most)


def _within(element: RawDataElement, raw: bytes) -> int:
    """Items of a sequence, or values of a text."""
    kind = dictionary_VR(element.tag) if dictionary_has_tag(element.tag) else "SQ"
    if kind in _SEVERAL:
        return raw.count(b"\\")
    return sum(raw.count(mark) for mark in _ITEMS) if kind == "SQ" else 0


def too_many(most: int) -> RefusedError:
    """That a file holds more elements than any needs."""
    return RefusedError(
        f"the DICOM file holds more than {most} attributes, values and items of sequences, as decompression bombs do",
        COPY,
    )
