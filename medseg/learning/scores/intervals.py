"""Intervals of the scores of classes: the bootstrap over patients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.class_measures import ClassMeasures, Values
from medseg.learning.scores.summaries import RESAMPLES

STATISTICS = ("mean", "low", "high", "patients", "cases", "resamples")
LEAST = 100
"""Resamples that an interval needs: of fewer, no 2.5 % lie beyond its ends."""
_AGREE = 1e-9  # resamples that add up the same values in another order differ by less
BLOCK = 1 << 20
"""Weights held at once."""


def intervals(
    measures: ClassMeasures, groups: NDArray[np.intp], seed: int
) -> dict[tuple[int | None, str], dict[str, float]]:
    """Give each score with its interval.

    Groups are drawn with replacement, as many as there are, 1000 times; the interval holds the middle 95 % of the
    resamples that define the score (percentile bootstrap: Efron, "Bootstrap methods", Annals of Statistics 7,
    1979; over groups since images of one patient resemble each other: Field and Welsh, "Bootstrapping clustered
    data", Journal of the Royal Statistical Society B 69, 2007).

    A resample that does not define a score, since it lacks a class, is left out of that score; with fewer than
    100 left, there is no interval, nor where one group alone is behind a score. Resamples have larger calibration
    errors than the images, since each bin's error adds up without its sign: they are moved together so that their
    median is the value.

    Where all that is counted is right, or all wrong, every resample agrees. An interval of no width would claim
    that nothing is uncertain: of scores that are a share of images (`is_share`) the other end is then the exact
    one, with patients for trials (Clopper and Pearson, "The use of confidence or fiducial limits", Biometrika
    26, 1934); other scores have none.

    Args:
        measures: Of N images.
        groups: (N,) indices 0..G-1 of each image's group.
        seed: Of the drawing.

    Returns:
        `STATISTICS` by class and score: the value as `mean`, the ends `low` and `high` (NaN without an
        interval), the groups and images in its denominator, and the resamples behind the interval.
    """
    drawn = _gathered(measures.resampled(weights) for weights in _weights(groups, seed))
    found = {}
    for key, value in measures.point.items():
        point = float(value[0])
        behind = measures.behind(*key)
        patients, cases = len(np.unique(groups[behind])), int(behind.sum())
        values = drawn[key][~np.isnan(drawn[key])]
        if not patients:
            low, high, values = np.nan, np.nan, values[:0]
        elif patients == 1 or values.size < LEAST:
            low, high = np.nan, np.nan
        else:
            if key[1] == "calibration_error":
                values = np.clip(values + (point - np.median(values)), 0, 1)
            low, high = (float(end) for end in np.quantile(values, (0.025, 0.975)))
            if high - low <= _AGREE:
                low, high = _exact_ends(round(point, 9), patients) if is_share(*key) else (np.nan, np.nan)
        ends = {"mean": point, "low": low, "high": high}
        found[key] = ends | {"patients": patients, "cases": cases, "resamples": values.size}
    return found


def is_share(place: int | None, score: str) -> bool:
    """Whether a score is the share of images of which something holds; not a mean over classes."""
    if place is None:
        return "accuracy" in score and score != "balanced_accuracy"
    return score in ("precision", "recall", "specificity")


def _exact_ends(point: float, patients: int) -> tuple[float, float]:
    """Clopper and Pearson's ends of a share that is 0 or 1; none of any other."""
    room = 0.025 ** (1 / patients)
    return {1.0: (room, 1.0), 0.0: (0.0, 1 - room)}.get(point, (np.nan, np.nan))


def _weights(groups: NDArray[np.intp], seed: int) -> Iterator[NDArray[np.float64]]:
    """(N, R) how often each image is in each resample, block by block."""
    count = int(groups.max()) + 1
    rng = np.random.default_rng(seed)
    size = max(1, BLOCK // len(groups))
    for start in range(0, RESAMPLES, size):
        drawn = rng.integers(count, size=(min(size, RESAMPLES - start), count))
        times = np.stack([np.bincount(row, minlength=count) for row in drawn], axis=1)
        yield times[groups].astype(float)


def _gathered(blocks: Iterator[Values]) -> Values:
    parts = list(blocks)
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
