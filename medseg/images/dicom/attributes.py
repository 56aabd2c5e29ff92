"""Single attributes of a DICOM file, or of an item in it."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from medseg.images.made_up import is_made_up
from medseg.images.refusal import RefusedError

COPY = "Copy or export it anew, or leave the case out."


def value_of(data: Dataset, keyword: str) -> Any:
    """The value of an attribute of the file or of an item in it, None where there is none.

    Raises:
        RefusedError: It is written in a way that cannot be read.
    """
    try:
        tag = _tag(keyword)
        return data[tag].value if tag in data else None
    except Exception as error:  # pydicom converts a value as it is asked for, and raises whatever it meets
        raise RefusedError(f"the DICOM header is damaged: its `{keyword}` cannot be read", COPY) from error


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
