"""Whether a difference between two models on the same patients may be chance, and what several such tests cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

SWAPS = 999
"""Random swaps behind a permutation test: its smallest p is 1 in 1000."""

_FEW = 13  # up to which SciPy's test is exact where differences are tied or zero, too

DIGITS = 12
"""Decimals that count: means of the same scores in another order differ after them, and would break ties."""


def wilcoxon_p(differences: NDArray[np.float64]) -> float:
    """The two-sided p of Wilcoxon's signed-rank test, as SciPy has it.

    Differences of zero are left out (Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1,
    1945). It is exact up to 50 patients, and up to 13 where differences are tied or zero.

    Args:
        differences: (P,) of each patient, without NaN.

    Returns:
        In (0, 1]; 1 where nothing differs, NaN of nobody.
    """
    from scipy.stats import wilcoxon  # noqa: PLC0415 - seconds that the command line's help does without

    rounded = np.round(differences, DIGITS)
    if not rounded.size:
        return float("nan")
    if rounded.size <= _FEW:
        return _of_all_signs(rounded[rounded != 0])
    return float(wilcoxon(rounded).pvalue) if rounded.any() else 1.0


def _of_all_signs(differences: NDArray[np.float64]) -> float:
    """The exact p of few differences, tied or not: SciPy's own way with ties takes seconds a test."""
    from scipy.stats import rankdata  # noqa: PLC0415 - as above

    ranks = rankdata(np.abs(differences))  # halves at most, so that their sums are exact
    signs = np.arange(2**ranks.size)[:, None] >> np.arange(ranks.size) & 1
    sums, found = signs @ ranks, ranks[differences > 0].sum()
    return float(min(1.0, 2 * min((sums >= found).mean(), (sums <= found).mean())))


def swapped_p(
    values: NDArray[np.float64],
    ours: int,
    groups: NDArray[np.intp],
    statistic: Callable[[NDArray[np.float64]], float],
    seed: int,
) -> float:
    """The two-sided p of a permutation test that swaps the models of each patient.

    Where models do not differ, it is all the same which of them gave which answer for a patient: Good, "Permutation,
    parametric, and bootstrap tests of hypotheses", 2005, chapter 3; of ROC curves, Bandos, Rockette and Gur, "A
    permutation test sensitive to differences in areas for comparing ROC curves from a paired design", Statistics in
    Medicine 24, 2005. It is valid whatever the number of patients.

    Args:
        values: (S, N) what each of S runs says of N images, on a scale that all runs share.
        ours: The first so many runs are of the one model, the others of the other.
        groups: (N,) index of each image's patient.
        statistic: One number of a side's (S', N) values.
        seed: Of the swaps.
    """

    def difference(runs: NDArray[np.float64]) -> float:
        return round(statistic(runs[ours:]) - statistic(runs[:ours]), DIGITS)

    found, rng, patients = difference(values), np.random.default_rng(seed), int(groups.max()) + 1
    larger = 0
    for _ in range(SWAPS):
        order = rng.random((patients, len(values))).argsort(axis=1)[groups].T
        larger += abs(difference(np.take_along_axis(values, order, axis=0))) >= abs(found)
    return (larger + 1) / (SWAPS + 1)


def holm(values: ArrayLike) -> NDArray[np.float64]:
    """Correct the p of several tests, so that one false finding among all is as rare as the level says.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.

    Args:
        values: (M,) p in [0, 1]; NaN is no test.

    Returns:
        (M,) to be compared with the level; NaN where there was no test.
    """
    given = np.asarray(values, dtype=float)
    tests = np.flatnonzero(~np.isnan(given))
    order = tests[np.argsort(given[tests], kind="stable")]
    corrected = np.full(given.shape, np.nan)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(given[order] * np.arange(len(order), 0, -1)))
    return corrected


def least_p(patients: int) -> float:
    """The smallest p of Wilcoxon's test, or of swaps of two models: all patients differ in one direction."""
    return min(1.0, 2.0 ** (1 - patients))
