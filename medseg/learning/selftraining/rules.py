"""Which predictions a round of self-training accepts as labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medseg.learning.settings import is_number

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]


class Rule(Protocol):
    """Accepts, in rounds from 1 on, some of the predictions; the label of each is its most probable class."""

    @property
    def rounds(self) -> int:
        """How many rounds there are at most."""

    @property
    def name(self) -> str:
        """What is set for each round, in a word."""

    def value(self, number: int) -> float:
        """What is set for a round."""

    def accept(self, number: int, probabilities: Floats) -> Flags:
        """(N,) which predictions a round accepts, of probabilities (N, K) that sum to 1."""

    def mark(self, number: int, least: float | None) -> float | None:
        """The probability from which on predictions are accepted; `least` is the lowest of those that were."""


@dataclass(frozen=True)
class ThresholdSchedule:
    """Accept what is at least as probable as a threshold that goes evenly from `first` to `last`.

    Args:
        first: Threshold of the first round, above 0 and at most 1.
        last: That of the last.
        rounds: How many.
        balanced: Whether as many of each class are accepted as of the one with the fewest; the most probable ones.

    Raises:
        ValueError: A setting is out of its range.
    """

    first: float = 0.70
    last: float = 0.95
    rounds: int = 11
    balanced: bool = False

    def __post_init__(self) -> None:
        _refuse_settings(self.first, self.last, self.rounds, balanced=self.balanced)

    @property
    def name(self) -> str:
        """The threshold."""
        return "threshold"

    def value(self, number: int) -> float:
        """The threshold of a round."""
        return _even(self.first, self.last, self.rounds, number)

    def accept(self, number: int, probabilities: Floats) -> Flags:
        """(N,) which of the predictions (N, K) are accepted."""
        sure = probabilities.max(axis=1) >= self.value(number)
        return _balanced(sure, probabilities) if self.balanced else sure

    def mark(self, number: int, least: float | None) -> float | None:
        """The threshold."""
        del least
        return self.value(number)


@dataclass(frozen=True)
class ByRank:
    """Accept the most probable share of each predicted class; it goes evenly from `first` to `last`.

    The share says nothing of how sure a network must be, so that one that is sure of everything accepts no more than
    another (Cascante-Bonilla et al., "Curriculum labeling", AAAI 2021).

    Args:
        first: Share in the first round, above 0 and at most 1.
        last: That in the last.
        rounds: How many.
        balanced: As of `ThresholdSchedule`.

    Raises:
        ValueError: A setting is out of its range.
    """

    first: float = 0.2
    last: float = 1.0
    rounds: int = 5
    balanced: bool = False

    def __post_init__(self) -> None:
        _refuse_settings(self.first, self.last, self.rounds, balanced=self.balanced)

    @property
    def name(self) -> str:
        """The share."""
        return "share"

    def value(self, number: int) -> float:
        """The share in a round."""
        return _even(self.first, self.last, self.rounds, number)

    def accept(self, number: int, probabilities: Floats) -> Flags:
        """(N,) which of the predictions (N, K) are accepted; of each class the share, rounded up."""
        counts = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
        # 0.29 * 100 is 29.000000000000004, of which no more than 29 are meant
        most = np.ceil(np.round(self.value(number) * counts, 9)).astype(np.int64)
        chosen = _most_probable(np.ones(len(probabilities), dtype=bool), probabilities, most)
        return _balanced(chosen, probabilities) if self.balanced else chosen

    def mark(self, number: int, least: float | None) -> float | None:
        """The lowest probability that was accepted."""
        del number
        return least


def _even(first: float, last: float, rounds: int, number: int) -> float:
    if not 1 <= number <= rounds:
        raise ValueError(f"round {number}; expected 1 to {rounds}")
    return float(np.linspace(first, last, rounds)[number - 1])


def _balanced(chosen: Flags, probabilities: Floats) -> Flags:
    """As many of each class as of the one of which the fewest are chosen; none where a class has none."""
    classes = probabilities.shape[1]
    fewest = np.bincount(probabilities.argmax(axis=1)[chosen], minlength=classes).min()
    return _most_probable(chosen, probabilities, np.full(classes, fewest))


def _most_probable(among: Flags, probabilities: Floats, most: NDArray[np.int64]) -> Flags:
    """(N,) of each predicted class as many as `most` (K,) says, of those `among`; of equals the first."""
    predicted, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    found = np.zeros(len(probabilities), dtype=bool)
    for index, count in enumerate(most):
        of_class = np.flatnonzero(among & (predicted == index))
        found[of_class[np.argsort(-sure[of_class], kind="stable")][:count]] = True
    return found


def _refuse_settings(first: object, last: object, rounds: object, *, balanced: object) -> None:
    for name, value in (("first", first), ("last", last)):
        if not is_number(value) or not 0 < value <= 1:
            raise ValueError(f"{name} is {value!r}, expected a number above 0, 1 at most")
    if not isinstance(rounds, int) or isinstance(rounds, bool) or rounds < 1:
        raise ValueError(f"rounds is {rounds!r}, expected a whole number, 1 or more")
    if not isinstance(balanced, bool):
        raise ValueError(f"balanced is {balanced!r}, expected true or false")  # noqa: TRY004
