"""The temperature that makes the probabilities of a classifier what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.errors import DataError
from medseg.learning.tasks.task import TemperatureTask

RANGE = (1e-3, 1e3)
"""In which it is looked for."""

_AT_THE_END = 0.01  # of the logarithm


def best_temperature(
    task: TemperatureTask, logits: Sequence[NDArray[np.float32]], truth: NDArray[np.bool_]
) -> float:
    """The temperature of the least log loss: Guo et al., "On calibration of modern neural networks", ICML 2017.

    Args:
        task: What logits and truth mean.
        logits: (S, K) of the slices of each of N cases.
        truth: (N, K) whether each case has each class.

    Raises:
        DataError: There is none: the loss only falls towards one end.
    """
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 - a second that the command line's help does without

    def loss(logarithm: float) -> float:
        found = probabilities(task.at_temperature(math.exp(logarithm)), logits)
        return float(task.decision.per_case(truth, found)["log_loss"].mean())

    low, high = (math.log(end) for end in RANGE)
    best = float(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4}).x)
    if best - low < _AT_THE_END or loss(low) <= loss(best):  # which may be level: no loss is below 0
        right = bool((task.decision.chosen(probabilities(task, logits)) == truth).all())
        why = "every case is right" if right else f"the best temperature is below {RANGE[0]:g}"
        raise DataError(f"{why}, so that the surest probabilities would fit best")
    if high - best < _AT_THE_END or loss(high) <= loss(best):
        raise DataError(
            f"the best temperature is above {RANGE[1]:g}: equal probabilities would fit best, as of wrong logits"
        )
    return math.exp(best)


def probabilities(task: TemperatureTask, logits: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(N, K): of each of N cases the mean over its slices (S, K)."""
    each = [task.probabilities(torch.from_numpy(case)).mean(dim=0).numpy() for case in logits]
    return np.stack(each).astype(np.float32)
