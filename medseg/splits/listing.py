"""Slices that a file lists one by one, beside those that there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from medseg.datasets.roles import Role
from medseg.errors import DataError
from medseg.splits.by_slice import Place
from medseg.text import many

RoleAt = Mapping[str, Mapping[int, Role]]
"""Role of each slice that is listed, by case and position."""

_WORDS: Mapping[Role, str] = {"train": "for training", "val": "to validate", "test": "to test"}


def refuse_absent(listed: RoleAt, there: Iterable[Place]) -> None:
    """Refuse a list of slices that were not prepared.

    Args:
        listed: The list.
        there: Case and position of every slice that was prepared.

    Raises:
        DataError: Some are not there; the message counts them.
    """
    absent = {(case, position) for case, at in listed.items() for position in at} - {*there}
    if absent:
        total, cases = sum(map(len, listed.values())), {case for case, _ in absent}
        raise DataError(
            f"the split file lists {len(absent)} of its {many(total, 'slice')}, of {many(len(cases), 'case')}, where "
            "there is none: the position is beyond the volume, or slices.keep leaves the slice out. Use the file of "
            "these data and of this slices.axis; to keep every slice: --set slices.keep=all"
        )


def listed_note(listed: RoleAt) -> str:
    """How many slices of how many cases are listed for what, as a sentence."""
    slices = Counter(role for at in listed.values() for role in at.values())
    cases = Counter(role for at in listed.values() for role in {*at.values()})
    parts = [
        f"{slices[role]:,} of {many(cases[role], 'case')} {words}"
        for role, words in _WORDS.items()
        if slices[role]
    ]
    return f"Split by slice, as the split file lists them: {', '.join(parts)}."


def unnamed_note(listed: RoleAt, cases: int) -> str:
    """How many of so many cases are not listed, as a sentence; empty for none."""
    unnamed = cases - len(listed)
    return (
        f"The split file lists no slice of {unnamed} of {many(cases, 'case')}: they are not used."
        if unnamed
        else ""
    )
