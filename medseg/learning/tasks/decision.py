"""What follows from the probabilities of an image's classes, and how it is scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.counts import Counts


class Decision(Protocol):
    """What probabilities lead to, and which scores of all classes together suit it. Without state.

    A task of whole images holds one, and whatever predicts or scores classes asks it.
    """

    @property
    def exclusive(self) -> bool:
        """Whether an image has exactly one class."""

    @property
    def own(self) -> tuple[str, ...]:
        """Names of `per_case` and `pooled`, in the order of tables."""

    @property
    def means(self) -> Mapping[str, str]:
        """Scores of all classes together that are means over classes, and of which score of a class."""

    def with_top(self, k: int | None, classes: int) -> Decision:
        """The same with the top-k accuracies that suit so many classes: that of `k`, or the usual ones.

        Raises:
            ValueError: There is none for that `k`.
        """

    def refuse(self, truth: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> None:
        """Refuse the truth (K,) or probabilities (K,) in [0, 1] that contradict it.

        Raises:
            ValueError: They do.
        """

    def chosen(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(N, K) the classes that probabilities (N, K) lead to."""

    def confidence(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N,) the probability that the decision rests on."""

    def of_truth(self, truth: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N,) the probability of the true class; the mean over classes where each is predicted by itself."""

    def forecasts(
        self, truth: NDArray[np.bool_], probabilities: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(N, F) predicted probabilities, and whether each was right: the input of calibration."""

    def per_case(
        self, truth: NDArray[np.bool_], probabilities: NDArray[np.float32]
    ) -> Mapping[str, NDArray[np.float64]]:
        """(N,) what each case adds to scores that are means over cases; NaN where it is undefined."""

    def pooled(self, counts: Counts[NDArray[np.float64]]) -> Mapping[str, NDArray[np.float64]]:
        """(R,) scores that follow from the counts (K, R) of all classes, of R resamples at once."""


def surprise(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Negative natural logarithm of probabilities, away from 0 and 1 by the step of float32 as scikit-learn does.

    A case that was thought impossible costs about 16, not infinity.
    """
    step = np.finfo(np.float32).eps
    kept = np.clip(probabilities.astype(np.float32), step, np.float32(1) - step)
    result: NDArray[np.float64] = -np.log(kept.astype(float))
    return result
