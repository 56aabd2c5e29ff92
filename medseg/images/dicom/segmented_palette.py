"""Palettes in segments, of which a few bytes stand for many entries. Source: DICOM PS3.3 C.7.9.2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

MOST_ENTRIES = 65_536
"""Of a palette: more a descriptor cannot say."""

_INDIRECT = 2
_LONGEST = 4  # numbers of a segment of one entry
_MOST_COPIED = 1 << 26
"""Numbers that pydicom may copy on its way: for each indirect segment all that stand behind its place."""


def refuse_long(data: bytes, *, bits: int, little: bool) -> None:
    """Refuse segments that come to more entries than a palette can have, before pydicom writes them out.

    Args:
        data: The segments of a colour.
        bits: Of an entry: 8 or 16.
        little: The order of the bytes of an entry.

    Raises:
        ValueError: They do, or indirect segments lead to one another.
    """
    size = bits // 8
    if len(data) > size * _LONGEST * MOST_ENTRIES:
        raise ValueError("more segments than a palette can need")
    words = np.frombuffer(data[: len(data) // size * size], f"{'<' if little else '>'}u{size}").tolist()
    entries = copied = 0
    for kind, length, place in _segments(words, 0, size):
        if kind != _INDIRECT:
            entries += max(length, 1)
        else:
            begin = _begin(words[place : place + 4 // size], size, little=little)
            copied += max(len(words) - begin, 0)
            for inner, many, _ in islice(
                _segments(words, begin, size), length or None
            ):  # 0 is all to pydicom
                if inner == _INDIRECT:
                    raise ValueError("an indirect segment leads to another")
                entries += max(many, 1)
        if entries > MOST_ENTRIES or copied > _MOST_COPIED:
            raise ValueError("more entries than a palette can have")


def _segments(words: Sequence[int], begin: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Kind and length of each segment, and where its content stands."""
    place = begin
    while place + 1 < len(words):
        kind, length = words[place], words[place + 1]
        if kind > _INDIRECT:
            raise ValueError("a segment of no known kind")
        yield kind, length, place + 2
        place += 2 + (length, 1, 4 // size)[kind]


def _begin(given: Sequence[int], size: int, *, little: bool) -> int:
    """Where the segments stand that an indirect one means, as pydicom reads it."""
    if size == 1:
        return int.from_bytes(
            bytes(given if little else (*given[2:], *given[:2])), "little" if little else "big"
        )
    return given[1] << 16 | given[0]
