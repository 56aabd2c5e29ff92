"""What the settings of steps, tasks and networks have in common."""

from __future__ import annotations

import sys
from typing import TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number that a float can hold, and no truth value.

    Whole numbers of hundreds of digits are below infinity, but no float is as large.
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_whole(value: object, least: int) -> bool:
    """Whether a value is a whole number, `least` or more, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def refuse_unless(fine: bool, name: str, given: object, expected: str) -> None:
    """Refuse the value of a setting.

    Raises:
        ValueError: It is not fine; the text names the setting, what was given and what is expected.
    """
    if not fine:
        raise ValueError(f"{name} is {given!r}, expected {expected}")
