"""Accept predictions that stay the same whatever is done to the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.learning.selftraining.rules import Flags, Floats, Rule
from medseg.learning.settings import is_number


@dataclass(frozen=True)
class Agreement:
    """Of what another rule accepts by the mean over augmented views, accept that on which the views agree.

    A network may be sure of an image and say something else once it is turned a little. Views are sent through the
    whole network, also where the head alone learns.

    Args:
        rule: What accepts: it gets the mean of the probabilities over the views.
        augment: Random dictionary transforms of images (C, H, W) with `keys: [image]`; they make a view.
        views: How many there are of each image, 2 or more.
        deviation: The largest standard deviation over the views of the probability of the most probable class, in
            [0, 0.5].

    Raises:
        ValueError: A setting is out of its range.
    """

    rule: Rule
    augment: Sequence[Callable[[Any], Any]]
    views: int = 8
    deviation: float = 0.1

    def __post_init__(self) -> None:
        if not callable(getattr(self.rule, "accept", None)) or isinstance(self.rule, Agreement):
            expected = "such as {_target_: medseg.learning.ThresholdSchedule}"
            raise ValueError(f"rule is {self.rule!r}, expected {expected}")  # noqa: TRY004
        given = self.augment
        transforms = isinstance(given, Sequence) and all(map(callable, given))
        if not transforms or not given:
            raise ValueError(f"augment is {given!r}, expected a list of one or more random transforms")
        if not isinstance(self.views, int) or isinstance(self.views, bool) or self.views < 2:
            raise ValueError(f"views is {self.views!r}, expected a whole number, 2 or more")
        if not is_number(self.deviation) or not 0 <= self.deviation <= 0.5:
            raise ValueError(f"deviation is {self.deviation!r}, expected a number in [0, 0.5]")

    @property
    def rounds(self) -> int:
        """Those of the rule."""
        return self.rule.rounds

    @property
    def name(self) -> str:
        """That of the rule."""
        return self.rule.name

    def value(self, number: int) -> float:
        """That of the rule."""
        return self.rule.value(number)

    def accept(self, number: int, probabilities: Floats) -> Flags:
        """(N,) what the rule accepts of the predictions (N, K), whether views agree or not."""
        return self.rule.accept(number, probabilities)

    def accept_views(self, number: int, views: Floats) -> Flags:
        """(N,) which predictions are accepted, of probabilities (V, N, K) of V views."""
        agreed, probabilities = deviation_of(views) <= self.deviation, views.mean(axis=0)
        accepted = np.zeros(len(probabilities), dtype=bool)
        # asked of those that agree alone, so that shares and balance are of these
        accepted[agreed] = self.rule.accept(number, probabilities[agreed]) if agreed.any() else False
        return accepted

    def mark(self, number: int, least: float | None) -> float | None:
        """That of the rule."""
        return self.rule.mark(number, least)


def deviation_of(views: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N,) over V views (V, N, K) the standard deviation of the probability of the class of the highest mean."""
    predicted = views.mean(axis=0).argmax(axis=1)
    found: NDArray[np.float64] = views.std(axis=0)[np.arange(views.shape[1]), predicted]
    return found
