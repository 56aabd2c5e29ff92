"""Single attributes of a DICOM file, or of an item in it."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from medseg.images.made_up import is_made_up
from medseg.images.refusal import RefusedError

#: Value representations of what slices of a series have in common; no text that a character set changes.
_REPEATED = frozenset({"US", "UI", "DS", "IS", "CS"})
_SHORT = 128
_MOST_KNOWN = 4096
_known: dict[tuple[Any, ...], Any] = {}

COPY = "Copy or export it anew, or leave the case out."


def value_of(data: Dataset, keyword: str) -> Any:
    """The value of an attribute of the file or of an item in it, None where there is none.

    Raises:
        RefusedError: It is written in a way that cannot be read.
    """
    tag = _tag(keyword)
    try:
        raw: Any = data.get_item(tag)
        if raw is None:
            return None
        if isinstance(raw, RawDataElement) and raw.VR in _REPEATED and len(raw.value or b"") <= _SHORT:
            return _converted(data, raw)
        return data[tag].value
    except Exception as error:  # pydicom converts a value as it is asked for, and raises whatever it meets
        raise RefusedError(f"the DICOM header is damaged: its `{keyword}` cannot be read", COPY) from error


def _converted(data: Dataset, raw: RawDataElement) -> Any:
    """As pydicom converts it, once for all slices that hold the same bytes: it takes half the time of a header."""
    key = (raw.tag, raw.VR, raw.value, raw.is_little_endian)
    if key not in _known:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = data[raw.tag].value
    return _known[key]


@cache
def _tag(keyword: str) -> BaseTag:
    """The tag of a keyword: to look it up for each value takes as long as the value."""
    return Tag(keyword)


def is_given(value: Any) -> bool:
    """Whether a value is there: sequences and texts may be empty."""
    return value is not None and (not hasattr(value, "__len__") or len(value) > 0)


def says_made_up(data: Dataset) -> bool:
    """Whether a file says that medseg generated it; what cannot be read of it says nothing."""
    try:
        return is_made_up(data.get("ImageComments"))
    except Exception:  # noqa: BLE001 - pydicom raises whatever a damaged value makes it meet
        return False
