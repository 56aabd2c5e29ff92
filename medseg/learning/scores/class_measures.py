"""Scores of the classes of images, of many weightings of the images at once.

The one rule for what is empty is that of `scores.volumes`: a ratio 0/0 is NaN and left out of the mean
over classes. A score of all classes ("macro") is the mean over those of which the images at hand define it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.probability_counts import BINS, ratio
from medseg.learning.scores.ranking import Ranking
from medseg.learning.tasks.decision import ClassCounts, Decision

Values = dict[tuple[int | None, str], NDArray[np.float64]]
"""(R,) by index of the class, or None for all classes together, and by score."""

COUNTED = ("precision", "recall", "specificity", "f1")
RANKED = ("auroc", "average_precision")
MACRO = ("precision", "recall", "f1", *RANKED)
"""Scores of a class whose plain mean over classes bears the same name, as that of the F-beta score does."""


@dataclass(frozen=True)
class ClassMeasures:
    """What is to be scored: N images of K classes.

    Attributes:
        decision: What probabilities lead to.
        truth: (N, K) whether each image has each class.
        probabilities: (N, K) float32 in [0, 1].
        beta: How many times as much recall counts as precision in the F-beta score (van Rijsbergen,
            "Information Retrieval", 1979).
    """

    decision: Decision
    truth: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    beta: float = 2.0

    @property
    def fbeta(self) -> str:
        """Name of the F-beta score: `f2`, `f0.5`."""
        return f"f{self.beta:g}"

    @property
    def means(self) -> Mapping[str, str]:
        """Scores of all classes together that are means over classes, and of which score of a class."""
        return {**self.decision.means, **{score: score for score in (*MACRO, self.fbeta)}}

    @property
    def of_class(self) -> tuple[str, ...]:
        """Names of the scores of each class, in the order of tables."""
        names = (*COUNTED, self.fbeta, *RANKED, "brier", "calibration_error", *self.means.values())
        return tuple(dict.fromkeys(names))

    @property
    def of_all(self) -> tuple[str, ...]:
        """Names of the scores of all classes together, in the order of tables."""
        return (*self.decision.own, *self.means, "auroc_weighted", "calibration_error")

    @cached_property
    def chosen(self) -> NDArray[np.bool_]:
        """(N, K) the classes that were said."""
        return self.decision.chosen(self.probabilities)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """(N,) the probability that each decision rests on."""
        return self.decision.confidence(self.probabilities)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether all that was said of each image is so."""
        correct: NDArray[np.bool_] = (self.chosen == self.truth).all(axis=1)
        return correct

    @cached_property
    def per_case(self) -> Mapping[str, NDArray[np.float64]]:
        """(N,) what each image adds to scores that are means; NaN where it has no say."""
        return self.decision.per_case(self.truth, self.probabilities)

    @cached_property
    def point(self) -> Values:
        """Each score of the images themselves, (1,)."""
        return self._scores(np.ones((len(self.truth), 1)), None)

    def resampled(self, weights: NDArray[np.float64]) -> Values:
        """Score resamples.

        Args:
            weights: (N, R) how often each image counts, one column a resample.

        Returns:
            (R,) by class and score. NaN where a resample does not define a score. A mean over classes is
            NaN where one class lacks a score that the images themselves define: it would be the mean of
            other classes than the value which it is to bound.
        """
        return self._scores(weights, self.point)

    def behind(self, name: int | None, score: str) -> NDArray[np.bool_]:
        """(N,) the images that are in the denominator of a score; none where it is undefined."""
        everything = np.ones(len(self.truth), dtype=bool)
        if np.isnan(self.point[name, score][0]):
            return ~everything
        if name is None:
            return ~np.isnan(self.per_case[score]) if score in self.per_case else everything
        has, said = self.truth[:, name], self.chosen[:, name]
        either = has | said
        of = {"precision": said, "recall": has, "specificity": ~has, "f1": either, self.fbeta: either}
        return of.get(score, everything)

    @cached_property
    def _rankings(self) -> tuple[Ranking, ...]:
        return tuple(Ranking.of(p, t) for p, t in zip(self.probabilities.T, self.truth.T, strict=True))

    @cached_property
    def _gaps(self) -> tuple[NDArray[np.float64], ...]:
        """By class, then those of the decision's forecasts."""
        own = [_gaps(self.probabilities[:, [k]], self.truth[:, [k]]) for k in range(self.truth.shape[1])]
        return (*own, _gaps(*self.decision.forecasts(self.truth, self.probabilities)))

    def _scores(self, weights: NDArray[np.float64], known: Values | None) -> Values:
        """Score weightings; means are over the classes that are defined in `known`, else in themselves."""
        cases = weights.sum(axis=0)
        tp, truth, predicted = (
            has.T.astype(float) @ weights for has in (self.truth & self.chosen, self.truth, self.chosen)
        )
        counts = ClassCounts(tp, truth, predicted, cases)
        of_class = self._of_class(counts, weights)
        found: Values = {(k, score): of_class[score][k] for score in self.of_class for k in range(len(tp))}

        def mean(score: str, by: NDArray[np.float64]) -> NDArray[np.float64]:
            kept = [not np.isnan((known or found)[k, score][0]) for k in range(len(tp))]
            return ratio((of_class[score] * by)[kept].sum(axis=0), by[kept].sum(axis=0))

        together = {
            score: ratio(np.nan_to_num(values) @ weights, (~np.isnan(values)).astype(float) @ weights)
            for score, values in self.per_case.items()
        }
        together |= self.decision.pooled(counts)
        together |= {score: mean(of, np.ones_like(tp)) for score, of in self.means.items()}
        together["auroc_weighted"] = mean("auroc", truth)
        together["calibration_error"] = ratio(np.abs(self._gaps[-1] @ weights).sum(axis=0), cases)
        return {**found, **{(None, score): together[score] for score in self.of_all}}

    def _of_class(self, counts: ClassCounts, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """(K, R) by score."""
        tp, truth, predicted, cases = counts.tp, counts.truth, counts.predicted, counts.cases
        square = self.beta**2
        areas = [ranking.areas(weights) for ranking in self._rankings]
        errors = (self.probabilities.astype(float) - self.truth) ** 2
        gaps = np.stack([np.abs(gap @ weights).sum(axis=0) for gap in self._gaps[:-1]])
        recall = ratio(tp, truth)
        specificity = ratio(cases - truth - predicted + tp, cases - truth)
        return {
            "precision": ratio(tp, predicted),
            "recall": recall,
            "specificity": specificity,
            "f1": ratio(2 * tp, truth + predicted),
            self.fbeta: ratio((1 + square) * tp, square * truth + predicted),
            "balanced_accuracy": (recall + specificity) / 2,
            "auroc": np.stack([area for area, _ in areas]),
            "average_precision": np.stack([precision for _, precision in areas]),
            "brier": ratio(errors.T @ weights, cases),
            "calibration_error": ratio(gaps, cases),
        }


def _gaps(probabilities: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(`BINS`, N) what each image adds to observed minus expected in each bin, of forecasts (N, F).

    The calibration error is the sum over bins of the absolute sum over images, of the mean image (Naeini et
    al., "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015). Bins have equal width;
    each holds its right edge, the first one both.
    """
    edges = np.linspace(0, 1, BINS + 1)
    # compared as float64: a float32 edge could lie on the other side of a probability
    expected = probabilities.astype(float)
    bins = np.searchsorted(edges[1:-1], expected, side="left")
    images, forecasts = truth.shape
    gaps = np.zeros((BINS, images))
    np.add.at(gaps, (bins, np.arange(images)[:, None]), (truth - expected) / forecasts)
    return gaps
