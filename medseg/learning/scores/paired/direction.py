"""Which way a score is better."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

SMALLER = frozenset({
    "hd95", "volume_absolute_difference_ml", "brier", "calibration_error", "log_loss", "hamming_loss",
})  # fmt: skip
"""Scores of ours of which less is better."""

SIGNED = {"volume_difference_ml": "volume_absolute_difference_ml"}
"""Scores that are best at 0, and what to compare in their place."""


@dataclass(frozen=True)
class Direction:
    """What a difference of a score means.

    Attributes:
        sign: 1 where more is better, -1 where less is.
        better: What B is called if it has the better of it.
        worse: What it is called if A has.
    """

    sign: int
    better: str
    worse: str


def direction_of(score: str, known: Collection[str]) -> Direction:
    """Which way a score is better.

    Args:
        score: Its name.
        known: Names of those of ours; of any other nobody has said which way is better.
    """
    if score in known:
        return Direction(-1 if score in SMALLER else 1, "better", "worse")
    return Direction(1, "higher", "lower")
