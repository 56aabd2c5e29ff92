"""How often each probability occurs on foreground and on background: all that thresholds are judged by.

Everywhere in medseg a pixel is foreground where p >= threshold. Networks give float32, so that distinct
probabilities are few beside the pixels, and every score of every threshold comes from their counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.calibration import BINS, Reliability, squared_errors
from medseg.learning.scores.counts import Counts, ratio
from medseg.learning.scores.ranking import auroc, average_precision


def pack(probabilities: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Write each pixel's probability and truth into one number of 4 bytes, in any order of pixels.

    Args:
        probabilities: Foreground probabilities in [0, 1], float32, of any shape.
        truth: Whether each pixel is foreground, of the same shape.

    Returns:
        (pixels,) numbers that sort as the probabilities do: `ProbabilityCounts.of_packed` counts them.

    Raises:
        ValueError: Another type or shape, NaN, or a value outside [0, 1].
    """
    probabilities, truth = np.asarray(probabilities), np.asarray(truth)
    if probabilities.dtype != np.float32 or truth.dtype != np.bool_:
        raise ValueError(
            f"probabilities are {probabilities.dtype} and truth is {truth.dtype}; expected float32 and bool, "
            "as the network gives them: a conversion would move values across thresholds"
        )
    if probabilities.shape != truth.shape:
        raise ValueError(f"probabilities are {probabilities.shape} and truth {truth.shape}; use one grid")
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1):  # NaN fails too
        raise ValueError(
            f"probabilities lie in {probabilities.min()}..{probabilities.max()}; expected numbers in [0, 1]: "
            "apply the sigmoid first, and look for NaN in the network's output"
        )
    # the bits of non-negative floats sort as the floats do; those of 1.0 leave the topmost two free.
    # Adding 0 turns -0.0 into 0.0
    bits = (probabilities.ravel() + np.float32(0)).view(np.uint32)
    return (bits << np.uint32(1)) | truth.ravel()


@dataclass(frozen=True)
class ProbabilityCounts:
    """How often each distinct probability occurs on foreground and on background pixels.

    Attributes:
        values: (N,) float32 probabilities, distinct and ascending.
        positives: (N,) int64 foreground pixels that have each.
        negatives: (N,) int64 background pixels that have each.
    """

    values: NDArray[np.float32]
    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]

    @classmethod
    def of(cls, probabilities: NDArray[np.float32], truth: NDArray[np.bool_]) -> ProbabilityCounts:
        """Count pixels.

        Args:
            probabilities: Foreground probabilities in [0, 1], float32, of any shape.
            truth: Whether each pixel is foreground, of the same shape.

        Raises:
            ValueError: Another type or shape, NaN, or a value outside [0, 1].
        """
        return cls.of_packed(pack(probabilities, truth))

    @classmethod
    def of_packed(cls, packed: NDArray[np.uint32]) -> ProbabilityCounts:
        """Count pixels that `pack` has written, of one picture or of several joined."""
        found, times = np.unique(packed, return_counts=True)
        values = (found >> np.uint32(1)).view(np.float32)
        on_foreground = (found & np.uint32(1)).astype(bool)
        return _joined(values, np.where(on_foreground, times, 0), np.where(on_foreground, 0, times))

    @classmethod
    def merged(cls, counts: Iterable[ProbabilityCounts]) -> ProbabilityCounts:
        """Add counts up; none at all give counts of no pixel."""
        parts = list(counts)
        if len(parts) == 1:
            return parts[0]
        values = np.concatenate([np.empty(0, np.float32), *(part.values for part in parts)])
        values.sort()
        values = values[_starts(values)]
        positives, negatives = (np.zeros(values.size, dtype=np.int64) for _ in range(2))
        for part in parts:
            places = np.searchsorted(values, part.values)
            positives[places] += part.positives
            negatives[places] += part.negatives
        return cls(values, positives, negatives)

    @property
    def foreground(self) -> int:
        """Foreground pixels."""
        return int(self.positives.sum())

    @property
    def background(self) -> int:
        """Background pixels."""
        return int(self.negatives.sum())

    def at(self, threshold: float) -> Counts[int]:
        """Count true and false positives and negatives where foreground is p >= threshold.

        Args:
            threshold: Taken as the nearest float32, as NumPy and PyTorch do when they compare float32
                with a Python number.

        Raises:
            ValueError: The threshold is NaN.
        """
        if isnan(threshold):
            raise ValueError("the threshold is NaN; expected a number")
        first = int(np.searchsorted(self.values, np.float32(threshold)))
        tp, fp = int(self.positives[first:].sum()), int(self.negatives[first:].sum())
        return Counts(tp=tp, fp=fp, fn=self.foreground - tp, tn=self.background - fp)

    def cumulative(self) -> Counts[NDArray[np.int64]]:
        """Count true and false positives and negatives with each of `values` as the threshold."""
        fn = np.cumsum(self.positives) - self.positives
        tn = np.cumsum(self.negatives) - self.negatives
        return Counts(tp=self.foreground - fn, fp=self.background - tn, fn=fn, tn=tn)

    def auroc(self) -> float:
        """Area under the ROC curve, ties counting half; NaN without foreground or without background."""
        return float(auroc(self.positives, self.negatives))

    def average_precision(self) -> float:
        """Average precision without interpolation; NaN without foreground, 1 without background."""
        return float(average_precision(self.positives, self.negatives))

    def roc(self, points: int = 2000) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the ROC curve, from (0, 0) to (1, 1).

        Args:
            points: About how many to keep, spread along the curve; the ends always stay.

        Returns:
            False positive rates, ascending, and true positive rates; empty if one class only is there.
        """
        if not (self.foreground and self.background):
            return np.empty(0), np.empty(0)
        counts = self.cumulative()
        fpr = np.append(0.0, counts.fp[::-1] / self.background)
        tpr = np.append(0.0, counts.tp[::-1] / self.foreground)
        return _thinned(fpr, tpr, points)

    def precision_recall(self, points: int = 2000) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the precision-recall curve, from recall 0 (precision 1 by convention) to recall 1.

        Args:
            points: About how many to keep, spread along the curve; the ends always stay.

        Returns:
            Recall, ascending, and precision; empty without foreground.
        """
        if not self.foreground:
            return np.empty(0), np.empty(0)
        counts = self.cumulative()
        recall = np.append(0.0, counts.tp[::-1] / self.foreground)
        precision = np.append(1.0, counts.tp[::-1] / (counts.tp + counts.fp)[::-1])
        return _thinned(recall, precision, points)

    def squared_error(self) -> float:
        """Sum of (p - truth)^2 over pixels."""
        so, not_so = squared_errors(self.values, 1), squared_errors(self.values, 0)
        return float(self.positives @ so + self.negatives @ not_so)

    def brier(self) -> float:
        """Mean of (p - truth)^2 over pixels, in [0, 1]; NaN without pixels."""
        return float(ratio(self.squared_error(), self.foreground + self.background))

    def reliability(self, bins: int = BINS) -> Reliability:
        """Compare probabilities with observed shares in bins of equal width.

        Raises:
            ValueError: Less than one bin.
        """
        return Reliability.of(self.values, self.positives, self.negatives, bins)

    def calibration_error(self, bins: int = BINS) -> float:
        """Expected calibration error of the foreground probability: see `Reliability`."""
        return self.reliability(bins).calibration_error()

    def rounded(self, step: float = 1 / 1024) -> ProbabilityCounts:
        """Join probabilities down to multiples of a step: fewer counts, at most 1 / step + 1.

        With a power of two as step, counts at thresholds that are multiples of it stay exact.

        Raises:
            ValueError: The step is not in (0, 1].
        """
        if not 0 < step <= 1:
            raise ValueError(f"step {step}; expected a number in (0, 1]")
        values = (np.floor(self.values.astype(float) / step) * step).astype(np.float32)
        return _joined(values, self.positives, self.negatives)

    def coarse(self, bits: int = 6) -> ProbabilityCounts:
        """Join probabilities down to a grid that grows finer towards 0 and towards 1.

        Trained networks put most pixels so near to 0 or 1 that equal steps would make ties of them and
        move AUROC and average precision. Here p below 0.5, and 1 - p above, keep their leading bits.

        Args:
            bits: Kept behind the leading one: 6 for steps of p, or of 1 - p, by at most 1.6 %; 0 to 23.

        Raises:
            ValueError: Other bits.
        """
        if not 0 <= bits <= 23:
            raise ValueError(f"{bits} bits; expected 0 to 23")
        cut = np.uint32((1 << (23 - bits)) - 1)
        below = (self.values.view(np.uint32) & ~cut).view(np.float32)
        # 1 - p is exact from 0.5 on; rounding it up rounds p down
        rest = (np.float32(1) - self.values).view(np.uint32)
        above = np.float32(1) - ((rest + cut) & ~cut).view(np.float32)
        values = np.where(self.values < np.float32(0.5), below, above)
        return _joined(values, self.positives, self.negatives)


def _starts(values: NDArray[np.float32]) -> NDArray[np.intp]:
    """Where ascending values change."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1])[: values.size])


def _joined(
    values: NDArray[np.float32], positives: NDArray[np.int64], negatives: NDArray[np.int64]
) -> ProbabilityCounts:
    """Add up the counts of equal values, which ascend."""
    starts = _starts(values)
    if not starts.size:
        return ProbabilityCounts(np.empty(0, np.float32), np.empty(0, np.int64), np.empty(0, np.int64))
    sums = (np.add.reduceat(counts, starts, dtype=np.int64) for counts in (positives, negatives))
    return ProbabilityCounts(values[starts], *sums)


def _thinned(
    x: NDArray[np.float64], y: NDArray[np.float64], points: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Keep points at even distances along a curve, and its ends."""
    if x.size <= points:
        return x, y
    way = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    kept = np.searchsorted(way, np.linspace(0, way[-1], max(points, 2)))
    kept = np.unique(np.append(np.minimum(kept, x.size - 1), [0, x.size - 1]))
    return x[kept], y[kept]
