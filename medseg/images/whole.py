"""Whole numbers that arithmetic moved a little, such as 0.99999994 where a file scales what it stores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_NEAR = 1e-3
"""How far from a whole number still counts as it: more than scaling in float32 or 16 bits moves labels, and far less
than interpolation does."""


def whole(stored: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers, of the same type, if all are nearly whole; else the array as it is."""
    if stored.dtype.kind != "f":
        return stored
    with np.errstate(invalid="ignore"):
        rounded = np.rint(stored)
        near = np.abs(stored - rounded) <= _NEAR  # False for what is not finite
    return rounded if near.all() else stored
