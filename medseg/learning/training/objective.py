"""What a training step computes of a batch: logits, and their loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from medseg.learning.outputs.main_output import Outputs

OutputsLoss = Callable[[Any, torch.Tensor], torch.Tensor]
"""Loss of what a network gives as it trains, one output or several, and labels."""


class Objective(Protocol):
    """What the engine asks in each iteration: first for logits, then for the loss of these."""

    @property
    def times(self) -> int:
        """How many times the slices of a batch pass through the network at once."""

    def begin(self, epoch: int) -> None:
        """Get ready for an epoch; what is drawn in it may depend on it alone."""

    def __call__(self, images: torch.Tensor, network: torch.nn.Module, *_: Any, **__: Any) -> Outputs:
        """Logits (B, ...) for the slices (B, C, H, W) of a batch, of each output where a network has several."""

    def loss(self, loss: OutputsLoss, logits: Outputs, label: torch.Tensor) -> torch.Tensor:
        """The loss of the logits that were asked for last, by that of the task, or another."""


@dataclass(frozen=True)
class Supervised:
    """The loss of the task."""

    times: int = 1

    def begin(self, epoch: int) -> None:
        """Nothing is to be got ready."""

    def __call__(self, images: torch.Tensor, network: torch.nn.Module, *_: Any, **__: Any) -> Outputs:
        """What the network gives."""
        found: Outputs = network(images)
        return found

    def loss(self, loss: OutputsLoss, logits: Outputs, label: torch.Tensor) -> torch.Tensor:
        """That of the task."""
        return loss(logits, label)


SUPERVISED = Supervised()
"""Learn from what has a label alone."""
