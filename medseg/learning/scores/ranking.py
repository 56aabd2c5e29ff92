"""AUROC and average precision, of counts by probability and of many weightings of the cases at once.

All is exact: no probability is rounded. Both forms add up in the order in which their probabilities lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.counts import ratio

Floats = NDArray[np.float64]


def auroc(positives: NDArray[Any], negatives: NDArray[Any]) -> Floats:
    """Area under the ROC curve along the last axis, which ascends in probability; NaN where either is missing.

    The probability that what is so has more than what is not, ties counting half (Hanley and McNeil, "The
    meaning and use of the area under a ROC curve", Radiology 143, 1982).

    Args:
        positives: (..., N) how often each distinct probability occurs where the class is.
        negatives: (..., N) how often it occurs elsewhere.
    """
    positives, negatives = positives.astype(float), negatives.astype(float)
    level = np.cumsum(negatives, axis=-1)
    totals = positives.sum(axis=-1), negatives.sum(axis=-1)
    return _area(positives, level - negatives, level, totals, axis=-1)


def average_precision(positives: NDArray[Any], negatives: NDArray[Any]) -> Floats:
    """Mean of the precision over the steps of recall, along the last axis, which ascends in probability.

    Without interpolation, as scikit-learn has it; NaN where nothing is positive.

    Args:
        positives: As of `auroc`.
        negatives: Likewise.
    """
    descending = positives[..., ::-1]
    tp = np.cumsum(descending, axis=-1, dtype=float)
    of_all = tp + np.cumsum(negatives[..., ::-1], axis=-1, dtype=float)
    return _mean_precision(descending, tp, of_all, positives.sum(axis=-1), axis=-1)


@dataclass(frozen=True)
class Ranking:
    """The order of the probabilities of one class.

    A bootstrap changes how often each case counts, never this order: it is found once, and each resample costs
    one running sum.

    Attributes:
        positives: (P,) places of the cases that have the class, ascending in probability.
        negatives: (M,) places of those that have not, ascending in probability.
        below: (P,) negatives with a smaller probability than each positive.
        level: (P,) negatives with a smaller or the same probability.
        first: (P,) positives with a smaller probability.
    """

    positives: NDArray[np.intp]
    negatives: NDArray[np.intp]
    below: NDArray[np.intp]
    level: NDArray[np.intp]
    first: NDArray[np.intp]

    @classmethod
    def of(cls, probabilities: NDArray[np.float32], truth: NDArray[np.bool_]) -> Ranking:
        """Rank cases.

        Args:
            probabilities: (N,) probability of the class.
            truth: (N,) whether each case has it.
        """
        order = np.argsort(probabilities, kind="stable")
        positives, negatives = order[truth[order]], order[~truth[order]]
        of_positives, of_negatives = probabilities[positives], probabilities[negatives]
        return cls(
            positives,
            negatives,
            np.searchsorted(of_negatives, of_positives, side="left"),
            np.searchsorted(of_negatives, of_positives, side="right"),
            np.searchsorted(of_positives, of_positives, side="left"),
        )

    def areas(self, weights: Floats) -> tuple[Floats, Floats]:
        """Compute the areas under both curves: `auroc` and `average_precision`, each (R,) in [0, 1].

        Args:
            weights: (N, R) how often each case counts, one column a resample.
        """
        of_positives = weights[self.positives]
        negatives, positives = _running(weights[self.negatives]), _running(of_positives)
        below, totals = negatives[self.below], (positives[-1], negatives[-1])
        # what is at least as probable as each positive
        tp, fp = positives[-1] - positives[self.first], negatives[-1] - below
        return (
            _area(of_positives, below, negatives[self.level], totals, axis=0),
            _mean_precision(of_positives, tp, tp + fp, positives[-1], axis=0),
        )


def _area(
    positives: NDArray[Any], below: Floats, level: Floats, totals: tuple[Floats, Floats], *, axis: int
) -> Floats:
    """AUROC of positives, each with the negatives of less, and of less or the same, probability."""
    pairs = (positives * (below + level)).sum(axis=axis) / 2
    return ratio(pairs, totals[0] * totals[1])


def _mean_precision(
    positives: NDArray[Any], tp: Floats, of_all: Floats, total: Floats, *, axis: int
) -> Floats:
    """Average precision of positives, each with the true and all cases that are at least as probable."""
    # a positive that is not drawn may have nothing above it, and counts for nothing
    precision = np.divide(tp, of_all, out=np.zeros_like(tp), where=tp > 0)
    return ratio((positives * precision).sum(axis=axis), total)


def _running(weights: Floats) -> Floats:
    """Sums of the first 0, 1, 2, ... rows."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums
