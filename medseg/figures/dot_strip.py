"""Where the dots of a strip plot stand: one for each patient, none hidden behind another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

_PLACES = 80  # that dots are sorted into, along the axis
_LEVELS = 3  # of dots above the middle, and below


@dataclass(frozen=True)
class Axis:
    """The range of a strip plot.

    Attributes:
        low: Its left end.
        high: Its right end.
        ticks: Values that are written below it.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def across(self, value: float) -> float:
        """Where a value stands, from 0 on the left to 1 on the right."""
        return (value - self.low) / (self.high - self.low)


def axis_of(values: Sequence[float]) -> Axis:
    """The range for some values: from 0 to 1 where all lie there, as ratios do.

    Args:
        values: What is not finite is passed over.
    """
    known = [value for value in values if isfinite(value)]
    if all(0 <= value <= 1 for value in known):
        return Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(min(known), max(known))
    return Axis(float(ticks[0]), float(ticks[-1]), tuple(float(tick) for tick in ticks))


def dot_levels(across: Sequence[float]) -> NDArray[np.float64]:
    """How far each dot is moved up or down, so that dots of like values stand beside one another.

    Args:
        across: (P,) finite places in [0, 1].

    Returns:
        (P,) in [-1, 1]; 0 is the middle. The order of the values decides, not that of the patients.
    """
    places = np.asarray(across, dtype=np.float64)
    levels = np.zeros(len(places))
    bins = np.minimum((places * _PLACES).astype(np.intp), _PLACES - 1)
    for each in np.unique(bins):
        inside = np.flatnonzero(bins == each)
        inside = inside[np.argsort(places[inside], kind="stable")]
        steps = np.arange(1, len(inside) + 1) // 2 * np.where(np.arange(len(inside)) % 2, 1, -1)
        levels[inside] = steps / max(_LEVELS, int(np.abs(steps).max(initial=0)))
    return levels
