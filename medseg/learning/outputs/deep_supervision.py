"""The loss of a network with several outputs."""

from __future__ import annotations

from typing import Any

import torch
from monai.losses import DeepSupervisionLoss

from medseg.learning.outputs.main_output import Outputs


def output_weights(count: int) -> list[float]:
    """How much the loss of each of `count` outputs counts: each half of the one before it, 1 in all.

    The sum of 1 keeps the loss in the range of that of one output, as nnU-Net has it (Isensee et al., Nature Methods
    18, 2021).
    """
    total = 2.0 - 0.5 ** (count - 1)
    return [0.5**level / total for level in range(count)]


class DeepSupervision(DeepSupervisionLoss):
    """A loss of one output made one of several: MONAI's `DeepSupervisionLoss`, with weights that sum to 1.

    Labels (B, 1, H, W) are brought to the size of smaller outputs by the nearest pixel. Of one output it is the loss
    itself.

    Args:
        loss: Of logits and labels; a module or a plain function.
    """

    def __init__(self, loss: Any) -> None:
        super().__init__(loss)

    def get_weights(self, levels: int = 1) -> list[float]:
        """See `output_weights`."""
        return output_weights(levels)

    def forward(self, input: Outputs | None, target: torch.Tensor) -> torch.Tensor:  # noqa: A002 - MONAI's word
        """Loss of the `Outputs` of a network and the labels of their batch."""
        if isinstance(input, torch.Tensor):
            found: torch.Tensor = self.loss(input, target)
            return found
        return super().forward(input, target)


def supervision_note(count: int) -> str:
    """What is learned from of a network with so many outputs, as a sentence; empty for one."""
    if count < 2:
        return ""
    weights = ", ".join(f"{each:.2f}" for each in output_weights(count))
    return (
        f"The network has {count} outputs as it trains: the loss is taken on each, weights {weights}. The main one "
        "alone is scored and predicted with."
    )
