"""What a task is: the meaning of labels and of a network's output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Scorer(Protocol):
    """Gathers predictions of one pass over a role and scores them per case."""

    def update(self, cases: Sequence[str], logits: torch.Tensor, label: torch.Tensor) -> None:
        """Take one batch: the case of each slice, logits (B, K, H, W) and labels (B, 1, H, W)."""

    def compute(self) -> dict[str, float]:
        """Scores by name, never NaN; `score` is the one by which weights are chosen (larger is better)."""

    def by_case(self) -> dict[str, float]:
        """The score of each case, for choosing good, median and bad ones; never NaN."""


class Task(Protocol):
    """What labels and outputs mean. `fit` never asks which task it has.

    A perfect prediction has a `score` of 1.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their indices."""

    @property
    def regions(self) -> Mapping[str, tuple[int, ...]]:
        """Unions of classes that are scored as one, by name."""

    @property
    def select(self) -> tuple[str, ...]:
        """Names whose mean score chooses the best weights and ranks the cases."""

    @property
    def out_channels(self) -> int:
        """Channels that the network must give."""

    @property
    def maps(self) -> tuple[str, ...]:
        """What the probability in each of these channels is of."""

    @property
    def outside(self) -> tuple[float, ...]:
        """The probabilities of a place that no network has seen, such as one outside the body."""

    def weighted(self, voxels: NDArray[np.int64]) -> Task:
        """The same task, with what it wants to know of the training part: voxels of each class, (K,)."""

    def loss(self) -> Loss:
        """Loss of logits (B, K, H, W) and labels (B, 1, H, W)."""

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K, H, W) to probabilities of the same shape, in [0, 1]."""

    def decode(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K, H, W) to class indices (B, H, W)."""

    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Probabilities (N, ...), one a map, to class indices (...): what `decode` does of logits."""

    def scorer(self) -> Scorer:
        """A new scorer for one pass."""

    def spec(self) -> dict[str, Any]:
        """The declaration that builds this task again for inference."""


def _task(found: type) -> bool:
    """Whether a class is a task, as far as its names tell."""
    return all(hasattr(found, name) for name in ("loss", "decode", "probabilities", "scorer", "weighted"))


TASK = _task
"""What the slot `task` of a definition or of a saved model takes."""
