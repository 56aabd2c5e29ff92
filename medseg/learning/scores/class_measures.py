"""Scores of the classes of images, of many weightings of the images at once.

The one rule for what is empty is that of `scores.counts`: a ratio 0/0 is NaN and left out of the mean over
classes. A score of all classes ("macro") is the mean over those of which the images at hand define it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.calibration import calibration_error, gaps_by_case, squared_errors
from medseg.learning.scores.counts import COUNT_SCORES, Counts, balanced_accuracy, fbeta, ratio
from medseg.learning.scores.intervals import Key
from medseg.learning.scores.ranking import Ranking
from medseg.learning.tasks.decision import Decision

Values = dict[Key, NDArray[np.float64]]
"""(R,) by class and score."""

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
        added: (N,) what a definition adds, by class and score: a mean over the images that define it.
    """

    decision: Decision
    truth: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    beta: float = 2.0
    added: Mapping[Key, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def fbeta(self) -> str:
        """Name of the F-beta score: `f2`, `f0.5`."""
        return f"f{self.beta:g}"

    @property
    def always(self) -> str:
        """Name of the F-beta score of a model that says a class of every image: ours must be read against it."""
        return f"{self.fbeta}_always"

    @property
    def means(self) -> Mapping[str, str]:
        """Scores of all classes together that are means over classes, and of which score of a class."""
        return {**self.decision.means, **{score: score for score in (*MACRO, self.fbeta)}}

    @property
    def of_class(self) -> tuple[str, ...]:
        """Names of the scores of each class, in the order of tables."""
        names = (
            *COUNTED,
            self.fbeta,
            self.always,
            *RANKED,
            "brier",
            "calibration_error",
            *self.means.values(),
        )
        return tuple(dict.fromkeys(names))

    @property
    def of_all(self) -> tuple[str, ...]:
        """Names of the scores of all classes together, in the order of tables."""
        return (*self.decision.own, *self.means, "auroc_weighted", "calibration_error")

    @cached_property
    def chosen(self) -> NDArray[np.bool_]:
        """(N, K) the predicted classes."""
        return self.decision.chosen(self.probabilities)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """(N,) the probability that each decision rests on."""
        return self.decision.confidence(self.probabilities)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether every class of each image is predicted rightly."""
        correct: NDArray[np.bool_] = (self.chosen == self.truth).all(axis=1)
        return correct

    @cached_property
    def per_case(self) -> Mapping[str, NDArray[np.float64]]:
        """(N,) what each image adds to scores that are means; NaN where it is undefined."""
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
        if (name, score) in self.added:
            return ~np.isnan(self.added[name, score])
        everything = np.ones(len(self.truth), dtype=bool)
        if np.isnan(self.point[name, score][0]):
            return ~everything
        if name is None:
            return ~np.isnan(self.per_case[score]) if score in self.per_case else everything
        has, predicted = self.truth[:, name], self.chosen[:, name]
        either = has | predicted
        of = {"precision": predicted, "recall": has, "specificity": ~has, "f1": either, self.fbeta: either}
        return of.get(score, everything)

    def is_share(self, name: int | None, score: str) -> bool:
        """Whether a score is the share of images of which something holds; not a mean over classes."""
        if (name, score) in self.added:
            return False
        if name is None:
            return "accuracy" in score and score != "balanced_accuracy"
        return score in ("precision", "recall", "specificity")

    @cached_property
    def _rankings(self) -> tuple[Ranking, ...]:
        return tuple(Ranking.of(p, t) for p, t in zip(self.probabilities.T, self.truth.T, strict=True))

    @cached_property
    def _gaps(self) -> tuple[NDArray[np.float64], ...]:
        """By class, then those of the decision's forecasts."""
        own = [
            gaps_by_case(self.probabilities[:, [k]], self.truth[:, [k]]) for k in range(self.truth.shape[1])
        ]
        return (*own, gaps_by_case(*self.decision.forecasts(self.truth, self.probabilities)))

    def _scores(self, weights: NDArray[np.float64], known: Values | None) -> Values:
        """Score weightings; means are over the classes that are defined in `known`, else in themselves."""
        cases = weights.sum(axis=0)
        tp, truth, predicted = (
            has.T.astype(float) @ weights for has in (self.truth & self.chosen, self.truth, self.chosen)
        )
        counts = Counts(tp, predicted - tp, truth - tp, cases - truth - predicted + tp)
        of_class = self._of_class(counts, cases, weights)
        found: Values = {(k, score): of_class[score][k] for score in self.of_class for k in range(len(tp))}

        def mean(score: str, by: NDArray[np.float64]) -> NDArray[np.float64]:
            kept = [not np.isnan((known or found)[k, score][0]) for k in range(len(tp))]
            return ratio((of_class[score] * by)[kept].sum(axis=0), by[kept].sum(axis=0))

        together = {score: _mean(values, weights) for score, values in self.per_case.items()}
        together |= self.decision.pooled(counts)
        together |= {score: mean(of, np.ones_like(tp)) for score, of in self.means.items()}
        together["auroc_weighted"] = mean("auroc", truth)
        together["calibration_error"] = calibration_error(self._gaps[-1] @ weights, cases, axis=0)
        found |= {(None, score): together[score] for score in self.of_all}
        return {**found, **{key: _mean(values, weights) for key, values in self.added.items()}}

    def _of_class(
        self, counts: Counts[NDArray[np.float64]], cases: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """(K, R) by score."""
        areas = [ranking.areas(weights) for ranking in self._rankings]
        errors = squared_errors(self.probabilities, self.truth)
        gaps = [calibration_error(gap @ weights, cases, axis=0) for gap in self._gaps[:-1]]
        return {
            **{score: COUNT_SCORES[score](*counts) for score in COUNTED},
            self.fbeta: fbeta(*counts, beta=self.beta),
            self.always: fbeta(
                counts.tp + counts.fn, counts.fp + counts.tn, np.zeros_like(counts.tp), beta=self.beta
            ),
            "balanced_accuracy": balanced_accuracy(*counts),
            "auroc": np.stack([area for area, _ in areas]),
            "average_precision": np.stack([precision for _, precision in areas]),
            "brier": ratio(errors.T @ weights, cases),
            "calibration_error": np.stack(gaps),
        }


def _mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) mean of (N,) values by weights (N, R), without those that are NaN."""
    return ratio(np.nan_to_num(values) @ weights, (~np.isnan(values)).astype(float) @ weights)
