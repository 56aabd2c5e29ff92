"""An image has any number of K classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.calibration import squared_errors
from medseg.learning.scores.counts import Counts, dice, iou
from medseg.learning.tasks.decision import surprise

THRESHOLD = 0.5
"""The default threshold: a class is predicted from this probability on."""


@dataclass(frozen=True)
class AnyClasses:
    """An image has any number of K classes: each one whose probability reaches the threshold is predicted.

    Attributes:
        threshold: In (0, 1); taken as the nearest float32, as NumPy does when it compares with float32.
    """

    threshold: float = THRESHOLD

    @property
    def exclusive(self) -> bool:
        """No."""
        return False

    @property
    def own(self) -> tuple[str, ...]:
        """Subset accuracy, Hamming loss, Jaccard index of samples, micro F1, Brier score and log loss."""
        return ("subset_accuracy", "hamming_loss", "jaccard_samples", "f1_micro", "brier", "log_loss")

    @property
    def means(self) -> Mapping[str, str]:
        """Balanced accuracy is that of each class against its absence."""
        return {"balanced_accuracy": "balanced_accuracy"}

    def __post_init__(self) -> None:
        """Refuse a threshold by which every class of every image would be predicted, or none."""
        given = self.threshold
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if not number or not 0 < given < 1 or not 0 < np.float32(given) < 1:
            raise ValueError(f"threshold is {given!r}, expected a number more than 0 and less than 1")

    def with_top(self, k: int | None, classes: int) -> AnyClasses:
        """As it is: without a most probable class there is no top-k accuracy."""
        del classes
        if k is not None:
            raise ValueError("top_k is of exclusive classes; leave it out where an image has several")
        return self

    def refuse(self, truth: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> None:
        """Every truth and all probabilities suit it."""

    def chosen(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Each class by itself."""
        found: NDArray[np.bool_] = probabilities >= np.float32(self.threshold)
        return found

    def confidence(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """The smallest probability, over classes, of what is predicted of each."""
        smallest: NDArray[np.float32] = np.where(
            self.chosen(probabilities), probabilities, 1 - probabilities
        ).min(axis=1)
        return smallest

    def of_truth(self, truth: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean over classes of the probability that each is there, or is not."""
        mean: NDArray[np.float32] = np.where(truth, probabilities, 1 - probabilities).mean(axis=1)
        return mean

    def forecasts(
        self, truth: NDArray[np.bool_], probabilities: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Each class of each image."""
        return probabilities, truth

    def per_case(
        self, truth: NDArray[np.bool_], probabilities: NDArray[np.float32]
    ) -> Mapping[str, NDArray[np.float64]]:
        """What is right of all classes, wrong of each, and shared by both sets of classes.

        Brier score and log loss are means over the classes. The Jaccard index of an image that rightly has
        no class is 0/0: it is left out, by the one rule of `medseg.learning.scores.counts`.
        """
        chosen = self.chosen(probabilities)
        wrong = (chosen != truth).mean(axis=1)
        return {
            "subset_accuracy": (wrong == 0).astype(float),
            "hamming_loss": wrong,
            "jaccard_samples": iou(
                *(each.sum(axis=1) for each in (chosen & truth, chosen & ~truth, ~chosen & truth))
            ),
            "brier": squared_errors(probabilities, truth).mean(axis=1),
            "log_loss": surprise(np.where(truth, probabilities, 1 - probabilities)).mean(axis=1),
        }

    def pooled(self, counts: Counts[NDArray[np.float64]]) -> Mapping[str, NDArray[np.float64]]:
        """F1 of all decisions together."""
        return {"f1_micro": dice(*(count.sum(axis=0) for count in counts))}
