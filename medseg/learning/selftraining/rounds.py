"""What the rounds of a self-training gave, which was the best, and when it ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ConfigDict

Outcome = Literal["start", "better", "level", "worse", "uncalibrated", "one class", "nothing"]
"""What became of a round: `start` is the network as it came; `level` has the same score and a lower log loss."""

KEPT: tuple[Outcome, ...] = ("start", "better", "level")
"""Rounds whose weights are kept."""

TRAINED: tuple[Outcome, ...] = ("better", "level", "worse", "uncalibrated")
"""Rounds in which something was learned."""


@dataclass(frozen=True)
class Quality:
    """How good a network is on the validation images.

    Attributes:
        score: That of `task.select`, higher is better.
        log_loss: Lower is better.
        calibration_error: Of the predicted class, in [0, 1], at the temperature of the network that it learned from:
            what learning did to it.
        calibration_error_after: The same at its own temperature, at which it predicts.
        temperature: Its own: that of the least log loss, on these images.
    """

    __pydantic_config__ = ConfigDict(strict=True)

    score: float
    log_loss: float
    calibration_error: float
    calibration_error_after: float
    temperature: float


@dataclass(frozen=True)
class Round:
    """What a round gave.

    Attributes:
        number: From 1 on; 0 is the network as it came.
        outcome: What became of it.
        quality: On the validation images, of rounds in which something was learned, and of the first network.
        value: What the rule set for it; None of the first network.
        pool: How many images without a label there were.
        accepted: How many of them were accepted, by class.
        epochs: That it trained.
        precision: Share of accepted labels that are right, where a key tells.
    """

    __pydantic_config__ = ConfigDict(strict=True)

    number: int
    outcome: Outcome
    quality: Quality | None = None
    value: float | None = None
    pool: int = 0
    accepted: Mapping[str, int] = field(default_factory=dict)
    epochs: int = 0
    precision: float | None = None

    @property
    def taken(self) -> int:
        """How many were accepted, of all classes."""
        return sum(self.accepted.values())


def outcome(found: Quality, best: Quality, stop_calibration: float) -> Outcome:
    """What becomes of a round in which something was learned.

    Args:
        found: How good it is.
        best: How good the best one before it is.
        stop_calibration: Calibration error above which a network is not kept.
    """
    if found.calibration_error > stop_calibration:
        return "uncalibrated"
    if found.score != best.score:
        return "better" if found.score > best.score else "worse"
    return "level" if found.log_loss < best.log_loss else "worse"


def best_round(rounds: Sequence[Round]) -> Round:
    """The last one that was kept."""
    return next(each for each in reversed(rounds) if each.outcome in KEPT)


def quality_of(each: Round) -> Quality:
    """That of a round in which something was learned, or of the first network."""
    if each.quality is None:
        raise ValueError(f"nothing was learned in round {each.number}")
    return each.quality


def ending(rounds: Sequence[Round], *, most: int, patience: int, stop_calibration: float) -> str:
    """Why no further round follows; empty if one does.

    Args:
        rounds: Those that are done, the first network before them.
        most: How many there are to be.
        patience: After how many rounds without a better score it ends.
        stop_calibration: Calibration error above which it ends.
    """
    last = rounds[-1]
    error = math.nan if last.quality is None else last.quality.calibration_error
    if error > stop_calibration:
        return f"the calibration error is {error:.2f}, more than {stop_calibration:g} (stop_calibration)"
    if last.outcome == "nothing":
        return f"round {last.number} accepted nothing"
    since = next(place for place, each in enumerate(reversed(rounds)) if each.outcome in ("start", "better"))
    if since >= patience:
        return f"{since} rounds brought no better score (patience)"
    return f"all {most} rounds are done" if last.number >= most else ""
