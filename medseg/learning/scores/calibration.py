"""Whether probabilities are what they say: bins, calibration error, Brier score.

Bins have equal width; each holds its right edge, the first one both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medseg.learning.scores.counts import ratio

BINS = 15
"""Of reliability diagrams and the calibration error: as many as Guo et al. take."""

Floats = NDArray[np.float64]


def calibration_error(gaps: Floats, total: ArrayLike, *, axis: int = -1) -> Floats:
    """Expected calibration error: the mean over what was forecast of |observed - expected| of its bin.

    Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning" (AAAI 2015), of the
    probability of a class; Guo et al., "On calibration of modern neural networks" (ICML 2017), of the predicted
    class.

    Args:
        gaps: Of each bin, along `axis`: how many were so, minus the sum of their probabilities.
        total: How many there are in all bins.
        axis: That of the bins.

    Returns:
        In [0, 1]; NaN of nothing.
    """
    return ratio(np.abs(gaps).sum(axis=axis), total)


def squared_errors(probabilities: ArrayLike, truth: ArrayLike) -> Floats:
    """(p - truth)^2 of each; their mean is the Brier score.

    Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950); of
    two classes in the half that is usual today.
    """
    errors: Floats = (np.asarray(probabilities, dtype=float) - np.asarray(truth, dtype=float)) ** 2
    return errors


def gaps_by_case(probabilities: NDArray[np.float32], truth: NDArray[np.bool_]) -> Floats:
    """(`BINS`, N) what each case adds to the gap of each bin, of forecasts (N, F), of which each has a share."""
    # compared as float64: a float32 edge could lie on the other side of a probability
    expected = probabilities.astype(float)
    bins = np.searchsorted(_edges(BINS)[1:-1], expected, side="left")
    cases, forecasts = truth.shape
    gaps = np.zeros((BINS, cases))
    np.add.at(gaps, (bins, np.arange(cases)[:, None]), (truth - expected) / forecasts)
    return gaps


@dataclass(frozen=True)
class Reliability:
    """Observed share of what is so against the probability, in bins of equal width.

    Attributes:
        edges: (bins + 1,) from 0 to 1.
        mean_probability: (bins,) mean of the probabilities in each; NaN where a bin is empty.
        observed: (bins,) share that is so in each; NaN where a bin is empty.
        count: (bins,) how many lie in each.
    """

    edges: Floats
    mean_probability: Floats
    observed: Floats
    count: NDArray[np.int64]

    @classmethod
    def of(
        cls, values: NDArray[np.float32], positives: NDArray[Any], negatives: NDArray[Any], bins: int = BINS
    ) -> Reliability:
        """Bin counts by probability.

        Args:
            values: (N,) distinct probabilities, ascending.
            positives: (N,) how often each was so.
            negatives: (N,) how often it was not.
            bins: How many.

        Raises:
            ValueError: Less than one bin.
        """
        if bins < 1:
            raise ValueError(f"{bins} bins; expected at least 1")
        edges = _edges(bins)
        # as float64: see above
        ends = [0, *(np.searchsorted(values.astype(float), edges[1:-1], side="right")), values.size]
        parts = [slice(first, last) for first, last in pairwise(ends)]
        total = positives + negatives
        count = np.array([total[part].sum() for part in parts], dtype=np.int64)
        probability = np.array([values[part].astype(float) @ total[part] for part in parts])
        observed = np.array([positives[part].sum() for part in parts])
        return cls(edges, ratio(probability, count), ratio(observed, count), count)

    def sums(self) -> tuple[Floats, Floats]:
        """How many are so in each bin, and the sum of its probabilities, (bins,) each."""
        return np.nan_to_num(self.observed) * self.count, np.nan_to_num(self.mean_probability) * self.count

    def calibration_error(self) -> float:
        """That of all that was binned: see the function of this name."""
        gaps = np.nan_to_num(self.observed - self.mean_probability) * self.count
        return float(calibration_error(gaps, self.count.sum()))


def _edges(bins: int) -> Floats:
    return np.linspace(0, 1, bins + 1)
