"""AUROC and average precision of one class, of many weightings of the cases at once.

A bootstrap changes how often each case counts, never the order of the probabilities: that is found once, and
each resample costs one running sum. All is exact: no probability is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.probability_counts import ratio


@dataclass(frozen=True)
class Ranking:
    """The order of the probabilities of one class.

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

    def areas(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute the areas under both curves.

        Args:
            weights: (N, R) how often each case counts, one column a resample.

        Returns:
            AUROC: the probability that a case of the class has more than one without it, ties counting
            half (Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 143,
            1982); NaN where either is missing. Average precision: mean of the precision over the steps of
            recall, without interpolation, as scikit-learn has it; NaN where no case has the class. Both
            (R,) in [0, 1].
        """
        of_positives = weights[self.positives]
        negatives, positives = _running(weights[self.negatives]), _running(of_positives)
        below = negatives[self.below]
        pairs = (of_positives * (below + negatives[self.level])).sum(axis=0) / 2
        area = ratio(pairs, positives[-1] * negatives[-1])
        # what is at least as probable as each positive
        tp, fp = positives[-1] - positives[self.first], negatives[-1] - below
        # a positive that is not drawn may have nothing above it, and counts for nothing
        precision = np.divide(tp, tp + fp, out=np.zeros_like(tp), where=tp > 0)
        return area, ratio((of_positives * precision).sum(axis=0), positives[-1])


def _running(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the first 0, 1, 2, ... rows."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums
