"""Amounts as they are printed."""

from __future__ import annotations


def bytes_text(count: int) -> str:
    """Such as `12.0 MiB`."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"


def time_text(seconds: float) -> str:
    """Such as `12 s`, and minutes from two on."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def measure_text(value: float | str, name: str) -> str:
    """What is measured of a case; a volume that three decimals would hide has all of its digits.

    Args:
        value: The measure, or a class.
        name: Of the column: that of a volume ends with `_ml`.
    """
    if isinstance(value, int | str) or (0 < value < 0.001 and name.endswith("_ml")):
        return str(value)
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"
