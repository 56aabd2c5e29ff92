"""Predictions for one case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.reading.volume import Volume


@dataclass(frozen=True)
class Prediction:
    """The predicted label map of one case.

    Attributes:
        labels: (I, J, K) class indices on the grid, and in the order of axes, of the input files.
        probabilities: (N, I, J, K) in [0, 1], one for each of the task's `maps`, on the same grid; None unless
            asked for.
        volume: The input.
        millilitres: Volume of each class and region, mL.
        warnings: What is odd about its files, as `medseg data check` notes it; what lies outside the training data.
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32] | None
    volume: Volume
    millilitres: Mapping[str, float]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Classification:
    """The predicted classes of one case as a whole.

    Attributes:
        probabilities: (K,) float32 in [0, 1], one for each class: the mean over the slices of the case.
        names: The predicted classes: one, or any number where classes are no alternatives.
        volume: The input.
        warnings: What is odd about its files, as `medseg data check` notes it; what lies outside the training data.
    """

    probabilities: NDArray[np.float32]
    names: tuple[str, ...]
    volume: Volume
    warnings: tuple[str, ...]
