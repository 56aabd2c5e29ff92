"""How much two models differ on the same patients: in scores of each patient, and in ranks of all images.

A model may have been trained several times with other seeds; what is compared is then the mean over its runs. The
interval and the test are over patients, for these runs: how much runs of one model differ is told apart from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.intervals import BLOCK, LEAST, draws, middle, over_patients, times
from medseg.learning.scores.paired.significance import DIGITS, swapped_p, wilcoxon_p
from medseg.learning.scores.ranking import Ranking

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """What is found of two models, A and B.

    Attributes:
        a: The score of A, mean over its runs.
        b: Of B.
        difference: B - A.
        low: Lower end of its 95 % interval over patients; NaN where there is none.
        high: Upper end.
        p: That there is no difference; two-sided, for this one test.
        test: Name of the test.
        larger: Share of resamples of the patients in which B has more than A, half of those with as much.
        patients: Behind all this.
        left_out: Patients whom the runs do not agree to have a score.
        patient_std: Standard deviation of the difference over patients; NaN of a score of all together.
        a_seed_std: Standard deviation of the score over the runs of A; NaN of a single one.
        b_seed_std: Of B.
    """

    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    test: str
    larger: float
    patients: int
    left_out: int
    patient_std: float
    a_seed_std: float
    b_seed_std: float


class Compared(Protocol):
    """A score of two models on the same patients."""

    def difference(self, seed: int) -> Difference:
        """Compare them.

        Args:
            seed: Of resamples and swaps.
        """

    def of_patients(self) -> tuple[Floats, Floats]:
        """(P,) the score of each patient, of A and of B, means over runs; NaN where a patient has none alone."""


@dataclass(frozen=True)
class OfPatients:
    """A score that each patient has.

    Attributes:
        a: (S, P) of S runs of A on P patients; NaN where it is undefined.
        b: (T, P) of T runs of B.
    """

    a: Floats
    b: Floats

    def of_patients(self) -> tuple[Floats, Floats]:
        """The means over runs, where all runs of both define them."""
        kept = self._defined.all(axis=0)
        return tuple(np.where(kept, side.mean(axis=0), np.nan) for side in (self.a, self.b))  # type: ignore[return-value]

    def difference(self, seed: int) -> Difference:
        """Over patients, by the bootstrap and by Wilcoxon's test."""
        kept = self._defined.all(axis=0)
        a, b = self.a[:, kept], self.b[:, kept]
        each = b.mean(axis=0) - a.mean(axis=0)
        found, nobody = over_patients(each, seed), not each.size
        several = draws(each.size, seed) if each.size > 1 else ()
        resampled = np.concatenate([each[:0], *(each[drawn].mean(axis=1) for drawn in several)])
        return Difference(
            np.nan if nobody else float(a.mean()),
            np.nan if nobody else float(b.mean()),
            found["mean"],
            found["low"],
            found["high"],
            wilcoxon_p(each),
            "Wilcoxon signed rank",
            _larger(resampled),
            int(found["patients"]),
            int((self._defined.any(axis=0) & ~kept).sum()),
            found["std"],
            np.nan if nobody else _std(a.mean(axis=1)),
            np.nan if nobody else _std(b.mean(axis=1)),
        )

    @property
    def _defined(self) -> NDArray[np.bool_]:
        return ~np.isnan(np.concatenate([self.a, self.b]))


@dataclass(frozen=True)
class OfRanks:
    """The area under the ROC curve of a class: all images have it together, and no patient alone.

    Attributes:
        a: (S, N) probability that S runs of A give each of N images.
        b: (T, N) of T runs of B.
        truth: (N,) whether each image has the class.
        groups: (N,) index of each image's patient, 0..P-1.
    """

    a: Floats
    b: Floats
    truth: NDArray[np.bool_]
    groups: NDArray[np.intp]

    def of_patients(self) -> tuple[Floats, Floats]:
        """Nobody has one."""
        nothing = np.full(int(self.groups.max()) + 1, np.nan)
        return nothing, nothing

    def difference(self, seed: int) -> Difference:
        """By the bootstrap over patients, and by swapping the models' ranks of each patient's images."""
        patients, once = int(self.groups.max()) + 1, np.ones((len(self.truth), 1))
        a, b = (self._areas(side, once)[:, 0] for side in (self.a, self.b))
        resampled = np.concatenate(
            [
                self._resampled(drawn, patients)
                for drawn in draws(patients, seed, max(1, BLOCK // len(self.truth)))
            ]
        )
        resampled = resampled[~np.isnan(resampled)]
        found = float(b.mean() - a.mean())
        enough = patients > 1 and resampled.size >= LEAST
        low, high = middle(resampled) if enough else (np.nan, np.nan)
        return Difference(
            float(a.mean()),
            float(b.mean()),
            found,
            low,
            high,
            np.nan if np.isnan(found) else self._p(seed),
            "swaps of patients",
            _larger(resampled if enough else resampled[:0]),
            0 if np.isnan(found) else patients,
            0,
            np.nan,
            _std(a),
            _std(b),
        )

    def _p(self, seed: int) -> float:
        from scipy.stats import rankdata  # noqa: PLC0415 - seconds that the command line's help does without

        ranks = rankdata(np.concatenate([self.a, self.b]), axis=1)  # models may be sure in different measure
        once = np.ones((len(self.truth), 1))
        mean = partial(self._mean_area, once)
        return swapped_p(ranks, len(self.a), self.groups, mean, seed)

    def _mean_area(self, weights: Floats, values: Floats) -> float:
        return float(self._areas(values, weights).mean())

    def _resampled(self, drawn: NDArray[np.int64], patients: int) -> Floats:
        weights = times(drawn, patients).T[self.groups]
        return self._areas(self.b, weights).mean(axis=0) - self._areas(self.a, weights).mean(axis=0)

    def _areas(self, side: Floats, weights: Floats) -> Floats:
        """(S, R) of each run and weighting."""
        return np.stack([Ranking.of(row, self.truth).areas(weights)[0] for row in side])


def _larger(differences: Floats) -> float:
    if not differences.size:
        return float("nan")
    rounded = np.round(differences, DIGITS)
    return float((rounded > 0).mean() + (rounded == 0).mean() / 2)


def _std(values: Floats) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else float("nan")
