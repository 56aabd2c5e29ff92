"""The best threshold, exactly: every set of pixels that some threshold makes foreground is looked at.

Foreground is p >= threshold. Between two neighbouring probabilities nothing changes, so that the distinct
probabilities, and one threshold above them all, are all there is to try.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medseg.errors import DataError
from medseg.learning.scores.counts import COUNT_SCORES, CountScore, ratio
from medseg.learning.scores.probability_counts import ProbabilityCounts

COARSE = tuple(step / 10 for step in range(11))
FINE = 1024
"""Steps of the curve that figures show."""
CHUNK = 1 << 20


@dataclass(frozen=True)
class ThresholdSearch:
    """The best threshold and how good it is.

    Attributes:
        threshold: Foreground is p >= threshold. Equals a float32, so that comparing float32 with it is exact.
        value: The score there; no threshold reaches more.
        value_at_half: The score at 0.5; NaN if undefined there.
        coarse: (threshold, score) for 0.0, 0.1, ..., 1.0; NaN where undefined.
        score: Name of the score.
        over: `pooled` or `groups`.
        groups: Number of groups searched over.
        fine: (threshold, score) in steps of 1/1024.
    """

    threshold: float
    value: float
    value_at_half: float
    coarse: tuple[tuple[float, float], ...]
    score: str
    over: str
    groups: int
    fine: tuple[tuple[float, float], ...] = field(repr=False)

    def curve(self, points: int = 200) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the score over the threshold, for a figure.

        Args:
            points: About how many; 0, 1 and the best threshold are always among them, 1025 the most.

        Returns:
            Thresholds, ascending, and the scores there; NaN where undefined.
        """
        kept = np.unique(np.linspace(0, FINE, max(min(points, FINE + 1), 2)).round().astype(int))
        chosen = {self.fine[index] for index in kept} | {(self.threshold, self.value)}
        t, score = zip(*sorted(chosen), strict=True)
        return np.array(t), np.array(score)


def search(
    counts: Mapping[str, ProbabilityCounts],
    *,
    score: str = "f1",
    over: Literal["pooled", "groups"] = "pooled",
) -> ThresholdSearch:
    """Find the threshold of the highest score among all in [0, 1].

    Where several reach exactly the same, it is 0.5 if 0.5 is one of them; else the distinct probability
    nearest to 0.5, the lower of two as near. 1.0 is tried as well: only probabilities of exactly 1 reach it.

    Args:
        counts: Counts of each group (patient, article) of validation cases.
        score: One of `COUNT_SCORES`.
        over: `pooled`: the score of all pixels together. `groups`: the mean of the groups' scores, groups
            left out at thresholds where their score is undefined (0/0), as everywhere; means are
            compared to the last bit of float64, whatever the number of groups and their order.

    Raises:
        ValueError: An unknown score or `over`.
        DataError: Foreground or background is missing, or the score is undefined at every threshold.
    """
    if score not in COUNT_SCORES:
        raise ValueError(f"score {score!r} is unknown; expected one of {', '.join(COUNT_SCORES)}")
    if over not in ("pooled", "groups"):
        raise ValueError(f"over={over!r} is unknown; expected 'pooled' or 'groups'")
    _check(counts)
    series = [ProbabilityCounts.merged(counts.values())] if over == "pooled" else list(counts.values())
    steps = _Steps.of(series, COUNT_SCORES[score])
    if np.isnan(steps.means).all():
        raise DataError(
            f"no threshold can be searched: {score} averaged over groups is undefined (0/0) at every threshold, "
            "since no group has both foreground and background. Search by another score, over='pooled', or "
            "choose validation cases with both"
        )
    threshold, value = steps.best()
    half, coarse, fine = (steps.at(at) for at in ((0.5,), COARSE, np.arange(FINE + 1) / FINE))
    return ThresholdSearch(
        threshold=threshold,
        value=value,
        value_at_half=float(half[0]),
        coarse=tuple(zip(COARSE, coarse.tolist(), strict=True)),
        score=score,
        over=over,
        groups=len(counts),
        fine=tuple(zip((np.arange(FINE + 1) / FINE).tolist(), fine.tolist(), strict=True)),
    )


def _check(counts: Mapping[str, ProbabilityCounts]) -> None:
    """Refuse what could only give a threshold by chance."""
    for name, missing in (("foreground", "positives"), ("background", "negatives")):
        if not any(getattr(one, missing).any() for one in counts.values()):
            raise DataError(
                f"no threshold can be searched: got no {name} pixel in the validation cases, expected both "
                "foreground and background. Choose validation cases that have both, look whether the masks are "
                "read as meant, or set task.threshold by hand"
            )


_ROUNDING = 1e-13


@dataclass(frozen=True)
class _Steps:
    """The mean score as a function of the threshold, constant between neighbouring probabilities.

    Attributes:
        thresholds: (N,) float32, all distinct probabilities, ascending.
        means: (N + 1,) the score at each, and above all of them; NaN where undefined.
    """

    thresholds: NDArray[np.float32]
    means: NDArray[np.float64]

    @classmethod
    def of(cls, series: Sequence[ProbabilityCounts], score: CountScore) -> _Steps:
        """Sort the changes of all groups' scores by probability, and add them up from the top.

        The sums are of integers, multiples of 2^-bits, so that no rounding piles up on the way and equal
        scores stay equal; half a multiple is below the last bit of the mean.
        """
        if len(series) == 1:
            return cls(series[0].values, _scores(series[0], score))
        bits = 62 - len(series).bit_length()
        total, defined = 0, 0
        changes, comings = [], []
        for counts in series:
            values = _scores(counts, score)
            there = ~np.isnan(values)
            whole = np.rint(np.ldexp(np.where(there, values, 0), bits)).astype(np.int64)
            total, defined = total + int(whole[-1]), defined + int(there[-1])
            changes.append(whole[:-1] - whole[1:])
            comings.append(there[:-1].astype(np.int8) - there[1:])
        thresholds = np.concatenate([counts.values for counts in series])
        order = np.argsort(thresholds, kind="stable")  # merges runs that are sorted already
        thresholds = thresholds[order]
        starts = np.flatnonzero(np.append(True, thresholds[1:] != thresholds[:-1]))
        sums = [
            np.append(
                np.cumsum(np.add.reduceat(np.concatenate(parts)[order], starts, dtype=np.int64)[::-1])[::-1],
                0,
            )
            for parts in (changes, comings)
        ]
        return cls(
            thresholds[starts], ratio(np.ldexp((sums[0] + total).astype(float), -bits), sums[1] + defined)
        )

    def at(self, thresholds: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        return self.means[np.searchsorted(self.thresholds, np.asarray(thresholds, dtype=np.float32))]

    def best(self) -> tuple[float, float]:
        # above a probability of 1 no threshold in [0, 1] lies
        last = self.thresholds[-1] == 1
        candidates = self.thresholds if last else np.append(self.thresholds, np.float32(1))
        values = self.means[: candidates.size]
        value = float(np.nanmax(values))
        # equal but for the rounding of their sums
        if self.at((0.5,))[0] >= value - _ROUNDING:
            return 0.5, value
        ties = candidates[values >= value - _ROUNDING].astype(float)
        return float(ties[np.argmin(np.abs(ties - 0.5))]), value


def _scores(counts: ProbabilityCounts, score: CountScore) -> NDArray[np.float64]:
    """The score at each distinct probability, and above all of them; in chunks, to spare memory."""
    positives, negatives = counts.foreground, counts.background
    fn = np.append(0, np.cumsum(counts.positives))
    tn = np.append(0, np.cumsum(counts.negatives))
    out = np.empty(fn.size)
    for start in range(0, fn.size, CHUNK):
        part = slice(start, start + CHUNK)
        out[part] = score(positives - fn[part], negatives - tn[part], fn[part], tn[part])
    return out
