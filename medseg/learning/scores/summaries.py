"""Scores of many patients in a few numbers, each with an interval and the number of patients behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.volumes import SCORES

if TYPE_CHECKING:
    from pandas import DataFrame

RESAMPLES = 1000
STATISTICS = ("mean", "median", "std", "low", "high", "patients")


def summarise(frame: DataFrame, *, seed: int = 0) -> DataFrame:
    """Summarise the scores of a scorer's table over patients.

    A patient counts once: where a group has several cases, its defined values are averaged first. A
    patient whose score is undefined (NaN) is left out, and `patients` says how many remain.

    Args:
        frame: As `VolumeScorer.frame` gives it: one row per case and name.
        seed: Of the bootstrap.

    Returns:
        One row per name and score: name, score, mean, median, std (ddof=1, NaN for fewer than two
        patients), low and high (95 % percentile bootstrap of the mean over patients, 1000 resamples;
        the mean itself for fewer than two), patients.
    """
    from pandas import DataFrame  # noqa: PLC0415 - half a second that the command line's help does without

    scores = [score for score in SCORES if score in frame.columns]
    rows = []
    for name in frame["name"].unique():
        of_name = frame[frame["name"] == name]
        # sort: the bootstrap must not depend on the order in which patients were scored
        patients = of_name.groupby("group", sort=True, dropna=False)[scores].mean()
        rows += [
            {"name": name, "score": score} | _statistics(patients[score].to_numpy(dtype=float), seed)
            for score in scores
        ]
    return DataFrame(rows, columns=["name", "score", *STATISTICS])


def _statistics(values: NDArray[np.float64], seed: int) -> dict[str, float]:
    defined = values[~np.isnan(values)]
    if not defined.size:
        return dict.fromkeys(STATISTICS[:-1], np.nan) | {"patients": 0}
    mean = float(defined.mean())
    low, high = _bootstrap(defined, seed) if defined.size > 1 else (mean, mean)
    return {
        "mean": mean,
        "median": float(np.median(defined)),
        "std": float(defined.std(ddof=1)) if defined.size > 1 else np.nan,
        "low": low,
        "high": high,
        "patients": int(defined.size),
    }


def _bootstrap(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Percentile interval of the mean (Efron, "Bootstrap methods", Annals of Statistics 7, 1979)."""
    # a generator of its own for each figure: adding a class leaves the other intervals as they were
    drawn = np.random.default_rng(seed).integers(values.size, size=(RESAMPLES, values.size))
    low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def metrics_of(summary: DataFrame, role: str) -> dict[str, float]:
    """Name the figures of a summary as a tracker keeps them.

    Args:
        summary: As `summarise` gives it.
        role: `train`, `val` or `test`.

    Returns:
        `<role>/<score>/<name>` is the mean; `/median`, `/low`, `/high` and `/patients` follow it. What
        is undefined (NaN) is omitted.
    """
    endings = {"mean": "", "median": "/median", "low": "/low", "high": "/high", "patients": "/patients"}
    rows: Sequence[Mapping[Any, Any]] = summary.to_dict("records")
    return {
        f"{role}/{row['score']}/{row['name']}{ending}": float(row[statistic])
        for row in rows
        for statistic, ending in endings.items()
        if not np.isnan(row[statistic])
    }
