"""What the settings of steps, tasks and networks have in common."""

from __future__ import annotations

import sys
from typing import TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number that a float can hold, and no truth value.

    Whole numbers of hundreds of digits are below infinity, but no float is as large.
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
