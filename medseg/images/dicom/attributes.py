"""Single attributes of a DICOM file, or of an item in it."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from medseg.images.refusal import RefusedError

COPY = "Copy or export it anew, or leave the case out."


def value_of(data: Dataset, keyword: str) -> Any:
    """The value of an attribute of the file or of an item in it, None where there is none.

    Raises:
        RefusedError: It is written in a way that cannot be read.
    """
    try:
        return data.get(keyword)
    except Exception as error:  # pydicom converts a value as it is asked for, and raises whatever it meets
        raise RefusedError(f"the DICOM header is damaged: its `{keyword}` cannot be read", COPY) from error


def is_given(value: Any) -> bool:
    """Whether a value is there: sequences and texts may be empty."""
    return value is not None and (not hasattr(value, "__len__") or len(value) > 0)
