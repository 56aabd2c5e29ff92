"""Every image has one of K classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.calibration import squared_errors
from medseg.learning.scores.counts import Counts, ratio
from medseg.learning.tasks.decision import surprise

TOLERANCE = 1e-3
"""By which the probabilities may miss a sum of 1: half-precision networks do."""

MANY = 5
"""Classes from which on top-k accuracy is asked for."""

TOPS = (2, 3, 5)


@dataclass(frozen=True)
class OneClass:
    """Every image has one of K classes; the most probable is predicted, the first of equals.

    Attributes:
        tops: The k of top-k accuracy.
    """

    tops: tuple[int, ...] = ()

    @property
    def exclusive(self) -> bool:
        """Yes."""
        return True

    def with_top(self, k: int | None, classes: int) -> OneClass:
        """Choose the k of top-k accuracy: the given one, else those of 2, 3 and 5 below K where K is 5 or more.

        Raises:
            ValueError: The given one is not in 2..K - 1.
        """
        if k is None:
            return OneClass(tuple(each for each in TOPS if each < classes) if classes >= MANY else ())
        if not 2 <= k < classes:
            expected = f"expected 2..{classes - 1}" if classes > 2 else "of two there is none: leave it out"
            raise ValueError(f"top_k is {k} of {classes} classes; {expected}")
        return OneClass((k,))

    @property
    def own(self) -> tuple[str, ...]:
        """Accuracy and Cohen's kappa, Brier score and log loss, top-k accuracy."""
        return ("accuracy", "cohen_kappa", "brier", "log_loss", *(f"top_{k}_accuracy" for k in self.tops))

    @property
    def means(self) -> Mapping[str, str]:
        """Balanced accuracy is the mean recall, as scikit-learn has it."""
        return {"balanced_accuracy": "recall"}

    def refuse(self, truth: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> None:
        """Refuse a truth that is not one class, and probabilities that do not sum to 1."""
        if np.count_nonzero(truth) != 1:
            raise ValueError(f"the truth has {np.count_nonzero(truth)} classes; expected exactly one of them")
        total = float(probabilities.sum(dtype=float))
        if abs(total - 1) > TOLERANCE:
            raise ValueError(f"the probabilities sum to {total:.6g}; expected 1: apply the softmax first")

    def chosen(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """The most probable class; the first of equals."""
        found: NDArray[np.bool_] = (
            probabilities.argmax(axis=1)[:, None] == np.arange(probabilities.shape[1])[None]
        )
        return found

    def confidence(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """The largest probability."""
        largest: NDArray[np.float32] = probabilities.max(axis=1)
        return largest

    def of_truth(self, truth: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probability of the true class."""
        return probabilities[truth]  # one a row

    def forecasts(
        self, truth: NDArray[np.bool_], probabilities: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The predicted class, as Guo et al., "On calibration of modern neural networks" (ICML 2017)."""
        hit = (self.chosen(probabilities) & truth).sum(axis=1, keepdims=True) > 0
        return self.confidence(probabilities)[:, None], hit

    def per_case(
        self, truth: NDArray[np.bool_], probabilities: NDArray[np.float32]
    ) -> Mapping[str, NDArray[np.float64]]:
        """Hits, squared errors, and the negative logarithm of the probability of the true class.

        Brier score: sum over classes of (p - truth)^2, of two classes the half of it, as scikit-learn has it
        (Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78,
        1950): in [0, 2], of two classes in [0, 1].
        """
        of_true = self.of_truth(truth, probabilities)
        squares = squared_errors(probabilities, truth).sum(axis=1)
        found = {
            "accuracy": (self.chosen(probabilities) & truth).any(axis=1).astype(float),
            "brier": squares / 2 if truth.shape[1] == 2 else squares,
            "log_loss": surprise(of_true),
        }
        # its rank among the probabilities; the first of equals comes first, as when one class is predicted
        earlier = np.arange(truth.shape[1])[None] < truth.argmax(axis=1)[:, None]
        ahead = probabilities > of_true[:, None]
        ahead |= (probabilities == of_true[:, None]) & earlier
        rank = ahead.sum(axis=1)
        return found | {f"top_{k}_accuracy": (rank < k).astype(float) for k in self.tops}

    def pooled(self, counts: Counts[NDArray[np.float64]]) -> Mapping[str, NDArray[np.float64]]:
        """Cohen's kappa: agreement beyond what chance would give; NaN where chance alone gives all of it.

        Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20
        (1960).
        """
        tp, fp, fn, tn = counts
        cases = (tp + fp + fn + tn)[0]  # each class counts all of them
        by_chance = ((tp + fn) * (tp + fp)).sum(axis=0)
        agreed = tp.sum(axis=0) * cases
        return {"cohen_kappa": ratio(agreed - by_chance, cases**2 - by_chance)}
