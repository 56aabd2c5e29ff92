"""Scores of many patients in a few numbers, each with an interval: the bootstrap over patients.

Groups are drawn with replacement, as many as there are, 1000 times; an interval holds the middle 95 % of the
resamples that define the score (percentile bootstrap: Efron, "Bootstrap methods", Annals of Statistics 7, 1979;
over groups since images of one patient resemble each other: Field and Welsh, "Bootstrapping clustered data",
Journal of the Royal Statistical Society B 69, 2007).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas import DataFrame

RESAMPLES = 1000
OVER_PATIENTS = ("mean", "median", "std", "low", "high", "patients")
"""Statistics of scores that each patient has."""
OVER_IMAGES = ("mean", "low", "high", "patients", "cases", "resamples")
"""Statistics of scores that all images have together."""

LEAST = 100
"""Resamples that an interval of a score of all images needs: of fewer, no 2.5 % lie beyond its ends."""
_AGREE = 1e-9  # resamples that add up the same values in another order differ by less
BLOCK = 1 << 20
"""Weights held at once."""

Key = tuple[int | None, str]
"""The index of a class, or None for all together, and the score."""


class Resampled(Protocol):
    """Scores of N images, and of resamples of them."""

    @property
    def point(self) -> Mapping[Key, NDArray[np.float64]]:
        """(1,) each score of the images themselves."""

    def resampled(self, weights: NDArray[np.float64]) -> Mapping[Key, NDArray[np.float64]]:
        """(R,) each score of resamples that take each image so often, (N, R)."""

    def behind(self, name: int | None, score: str) -> NDArray[np.bool_]:
        """(N,) the images in the denominator of a score."""

    def is_share(self, name: int | None, score: str) -> bool:
        """Whether it is the share of images of which something holds."""


def draws(groups: int, seed: int, block: int = RESAMPLES) -> Iterator[NDArray[np.int64]]:
    """The groups in each resample, (r, G), in blocks of so many resamples; the same ones whatever the block."""
    rng = np.random.default_rng(seed)
    for start in range(0, RESAMPLES, block):
        yield rng.integers(groups, size=(min(block, RESAMPLES - start), groups))


def times(drawn: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
    """How often each group is in each resample, (r, G)."""
    return np.stack([np.bincount(row, minlength=groups) for row in drawn]).astype(float)


def middle(values: NDArray[np.float64]) -> tuple[float, float]:
    """The ends of the middle 95 % of the resamples that define a score."""
    low, high = np.quantile(values[~np.isnan(values)], (0.025, 0.975))
    return float(low), float(high)


def over_patients(values: NDArray[np.float64], seed: int) -> dict[str, float]:
    """`OVER_PATIENTS` of the score of each patient; NaN is left out.

    Returns:
        std has ddof=1. It and the interval are NaN for fewer than two patients: one patient gives no spread.
    """
    defined = values[~np.isnan(values)]
    if not defined.size:
        return undefined()
    mean = float(defined.mean())
    # a generator of its own for each figure: adding a class leaves the other intervals as they were
    (drawn,) = draws(defined.size, seed)
    low, high = middle(defined[drawn].mean(axis=1)) if defined.size > 1 else (np.nan, np.nan)
    return {
        "mean": mean,
        "median": float(np.median(defined)),
        "std": float(defined.std(ddof=1)) if defined.size > 1 else np.nan,
        "low": low,
        "high": high,
        "patients": int(defined.size),
    }


def undefined() -> dict[str, float]:
    """`OVER_PATIENTS` of a score that no patient defines."""
    return dict.fromkeys(OVER_PATIENTS[:-1], np.nan) | {"patients": 0}


def summarise(frame: DataFrame, scores: Sequence[str], *, seed: int = 0) -> DataFrame:
    """Summarise scores of cases over patients.

    A patient counts once: where a group has several cases, its defined values are averaged first. A
    patient whose score is undefined (NaN) is left out, and `patients` says how many remain.

    Args:
        frame: One row per case and name: group, name, and the scores.
        scores: Its columns that are summarised.
        seed: Of the bootstrap.

    Returns:
        One row per name and score: name, score, `OVER_PATIENTS`.
    """
    from pandas import DataFrame  # noqa: PLC0415 - half a second that the command line's help does without

    rows = []
    for name in frame["name"].unique():
        patients = by_patient(frame[frame["name"] == name], scores)
        rows += [
            {"name": name, "score": score} | over_patients(patients[score].to_numpy(dtype=float), seed)
            for score in scores
        ]
    return DataFrame(rows, columns=["name", "score", *OVER_PATIENTS])


def case_means(frame: DataFrame, names: Sequence[str], score: str) -> DataFrame:
    """The mean of a score over some classes and regions, of each case over those of them that it defines.

    The score of them all together, `dice/mean`, is the mean of these over patients.

    Args:
        frame: One row per case and name: case, group, name, and the score.
        names: Which of the names.
        score: A column.

    Returns:
        One row per case: case, group, and the score; NaN where the case defines it for none of the names.
    """
    chosen = frame[frame["name"].isin(list(names))]
    return chosen.groupby(["case", "group"], sort=False, dropna=False)[score].mean().reset_index()


def by_patient(frame: DataFrame, scores: Sequence[str]) -> DataFrame:
    """The mean of the defined scores of each patient's cases.

    Args:
        frame: One row per case: group, and the scores.
        scores: Its columns that are averaged.

    Returns:
        One row per patient, sorted: the bootstrap must not depend on the order in which patients were scored.
    """
    return frame.groupby("group", sort=True, dropna=False)[list(scores)].mean()


def over_images(measures: Resampled, groups: NDArray[np.intp], seed: int) -> dict[Key, dict[str, float]]:
    """Give each score of all images with its interval over groups.

    A resample that does not define a score, since it lacks a class, is left out of that score; with fewer than
    100 left, there is no interval, nor where one group alone is behind a score. Resamples have larger calibration
    errors than the images, since each bin's error adds up without its sign: they are moved together so that their
    median is the value.

    Where all that is counted is right, or all wrong, every resample agrees. An interval of no width would claim
    that nothing is uncertain: of scores that are a share of images the other end is then the exact one, with
    patients for trials (Clopper and Pearson, "The use of confidence or fiducial limits", Biometrika 26, 1934);
    other scores have none.

    Args:
        measures: Of N images.
        groups: (N,) indices 0..G-1 of each image's group.
        seed: Of the drawing.

    Returns:
        `OVER_IMAGES` by class and score: the value as `mean`, the ends `low` and `high` (NaN without an
        interval), the groups and images in its denominator, and the resamples behind the interval.
    """
    count = int(groups.max()) + 1
    blocks = [
        measures.resampled(times(drawn, count).T[groups])
        for drawn in draws(count, seed, max(1, BLOCK // len(groups)))
    ]
    found = {}
    for key, value in measures.point.items():
        point = float(value[0])
        behind = measures.behind(*key)
        patients, cases = len(np.unique(groups[behind])), int(behind.sum())
        values = np.concatenate([block[key] for block in blocks])
        values = values[~np.isnan(values)] if patients else values[:0]
        low, high = np.nan, np.nan
        if patients > 1 and values.size >= LEAST:
            if key[1] == "calibration_error":
                values = np.clip(values + (point - np.median(values)), 0, 1)
            low, high = middle(values)
            if high - low <= _AGREE:
                share = measures.is_share(*key)
                low, high = exact_ends(round(point, 9), patients) if share else (np.nan, np.nan)
        ends = {"mean": point, "low": low, "high": high}
        found[key] = ends | {"patients": patients, "cases": cases, "resamples": values.size}
    return found


def exact_ends(point: float, patients: int) -> tuple[float, float]:
    """Clopper and Pearson's ends of a share that is 0 or 1; none of any other."""
    room = 0.025 ** (1 / patients)
    return {1.0: (room, 1.0), 0.0: (0.0, 1 - room)}.get(point, (np.nan, np.nan))
