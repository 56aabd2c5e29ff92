"""What an archive says of series and images when it is asked: DICOM JSON as texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydicom.datadict import keyword_for_tag

Row = Mapping[str, str]
"""Texts of attributes by keyword, as `images.dicom.header.text_of` gives them. Private: they name a patient."""

_UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*", re.ASCII)
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_TEXTS = {"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
_NUMBERS = {"IS", "US", "SS", "UL", "SL", "DS"}


class OtherAnswerError(ValueError):
    """An answer is no DICOM JSON, or lacks what it must have."""


def row_of(answered: object) -> Row:
    """One match. Source: DICOM PS3.18, F.2.

    Raises:
        OtherAnswerError: It is none.
    """
    if not isinstance(answered, dict):
        raise OtherAnswerError
    found = {}
    for tag, element in answered.items():
        keyword = keyword_for_tag(int(tag, 16)) if _TAG.fullmatch(tag) else ""
        if keyword and isinstance(element, dict) and element.get("vr") in _TEXTS | _NUMBERS:
            values = element.get("Value", [])
            if not isinstance(values, list):
                raise OtherAnswerError
            found[keyword] = "\\".join(_text(value) for value in values)
    return found


def _text(value: object) -> str:
    if isinstance(value, dict):  # a name
        value = value.get("Alphabetic", "")
    return "" if value is None else str(value).strip(" \0")


def uid_in(row: Row, keyword: str) -> str:
    """A UID that a match must have.

    Raises:
        OtherAnswerError: It has none, or something else in its place.
    """
    uid = row.get(keyword, "")
    if not _UID.fullmatch(uid):
        raise OtherAnswerError
    return uid


def is_uid(text: str) -> bool:
    """Whether a text can be a UID: it becomes a part of a URL."""
    return _UID.fullmatch(text) is not None


def number_in(row: Row, keyword: str) -> int | None:
    """A whole number of a match; None where there is none that makes sense."""
    text = row.get(keyword, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def bytes_of(rows: Sequence[Row]) -> int | None:
    """How many bytes the pixels of images take at the most; None where the archive does not say."""
    total = 0
    for row in rows:
        sides = number_in(row, "Rows"), number_in(row, "Columns")
        if sides[0] is None or sides[1] is None:
            return None
        samples, bits = number_in(row, "SamplesPerPixel") or 3, number_in(row, "BitsAllocated") or 32
        frames = number_in(row, "NumberOfFrames") or 1
        total += sides[0] * sides[1] * samples * frames * max(1, -(-bits // 8))
    return total
