"""Which of several sides can be compared with which, where not all can: the comparisons, and why others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medseg.api.kept.comparing import Named, each_of, run_to_compare
from medseg.errors import RunError

if TYPE_CHECKING:
    from medseg.pipeline.study.comparison import Comparison


@dataclass(frozen=True)
class Refused:
    """Sides that cannot be compared with another.

    Attributes:
        places: Theirs, from 0.
        other: Place of the other.
        reason: Why, as one message for all of them.
    """

    places: Sequence[int]
    other: int
    reason: str


def letter(place: int) -> str:
    """Of a side, by its place."""
    return chr(ord("A") + place)


def compared_together(
    given: Sequence[Named], *, on_common: bool
) -> tuple[Sequence[tuple[Sequence[int], Comparison]], Sequence[Refused]]:
    """Compare all sides with the first; those that cannot be, with one another.

    Args:
        given: What names the runs of each side.
        on_common: Compare on the patients that the compared runs share, where patients or data differ.

    Returns:
        The comparisons, each with the places of its sides; and which sides were refused. Sides have the letters of
        their places, where the first is among them; else letters of their own.
    """
    every = range(len(given))
    try:
        return [(every, _compared(given, every, on_common=on_common))], []
    except RunError as error:
        if len(given) == 2:
            return [], [Refused([1], 0, str(error))]
    found: list[tuple[Sequence[int], Comparison]] = []
    refused: dict[tuple[int, str], list[int]] = {}
    rest = list(every)
    while rest:
        first, *others = rest
        pairs: dict[int, Comparison] = {}
        for other in others:
            try:
                pairs[other] = _compared(given, (first, other), on_common=on_common)
            except RunError as error:
                refused.setdefault((first, str(error)), []).append(other)
        found += _joined(given, first, pairs, on_common=on_common)
        rest = [other for other in others if other not in pairs]
    return found, [Refused(places, first, reason) for (first, reason), places in refused.items()]


def _joined(
    given: Sequence[Named], first: int, pairs: dict[int, Comparison], *, on_common: bool
) -> Sequence[tuple[Sequence[int], Comparison]]:
    """All that can be compared with one side in one comparison; in pairs, where they have nobody in common."""
    each = [((first, other), found) for other, found in pairs.items()]
    if len(each) < 2:
        return each
    places = (first, *pairs)
    try:
        return [(places, _compared(given, places, on_common=on_common))]
    except RunError:
        return each


def _compared(given: Sequence[Named], places: Sequence[int], *, on_common: bool) -> Comparison:
    from medseg.pipeline.study.comparison import compare  # noqa: PLC0415 - pandas and SciPy

    letters = [letter(place if places[0] == 0 else number) for number, place in enumerate(places)]
    folders = [[run_to_compare(run) for run in each_of(given[place])] for place in places]
    return compare(folders, on_common=on_common, letters=letters)
