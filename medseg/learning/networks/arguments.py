"""What the constructors of networks are given, checked in one place."""

from __future__ import annotations

from collections.abc import Sequence

from medseg.learning.settings import is_number


def whole(name: str, value: object, least: int = 1) -> int:
    """The value itself.

    Raises:
        ValueError: It is no whole number, or less than `least`.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}, expected a whole number, {least} or more")
    return value


def share(name: str, value: object) -> float:
    """The value itself: a share that leaves something over.

    Raises:
        ValueError: It does not lie in [0, 1).
    """
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{name} is {value!r}, expected a number from 0 to below 1")
    return float(value)


def height_and_width(name: str, value: object) -> tuple[int, int]:
    """Height and width of an image, in pixels.

    Raises:
        ValueError: They are not two whole numbers, 1 or more.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ValueError(f"{name} is {value!r}, expected height and width: [H, W]")
    height, width = value
    return whole(f"the height of {name}", height), whole(f"the width of {name}", width)
