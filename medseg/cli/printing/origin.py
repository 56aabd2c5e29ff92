"""What a title and a line below scores say of data that were generated."""

from __future__ import annotations


def origin_in_title(generated: bool, mixture: str) -> str:
    """The end of a title: that all cases were generated, or how many (`8 of 11`); empty where none was."""
    if generated:
        return ", GENERATED DATA"
    return f", {mixture} GENERATED" if mixture else ""


def origin_line(generated: bool, mixture: str) -> str:
    """What generated cases make of scores; empty where there are none."""
    if generated:
        return "GENERATED DATA: these scores say nothing about real patients."
    if mixture:
        return f"GENERATED CASES: {mixture} are of a sample. These scores say little about real patients."
    return ""
