"""Cross-entropy that is smoothed and weighted at once, with the weight of each sample's true class."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from medseg.errors import DefinitionError


class SmoothedCrossEntropy(torch.nn.Module):
    """Mean over samples of the smoothed cross-entropy, each weighted by its true class.

    torch's own, given both, weighs the share of every class in the smoothed target: a rare class of a large weight
    then gets more of a common class's samples than that class itself, and is predicted everywhere. Here the best
    probabilities of a sample are its smoothed target, whatever the weights.

    Args:
        weight: Of the classes (K,), or None for equal ones.
        smoothing: In [0, 1): the share of the target that is spread evenly over all classes.
    """

    weight: torch.Tensor | None

    def __init__(self, weight: torch.Tensor | None, smoothing: float) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.smoothing = smoothing

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss of logits (B, K) and class indices (B,)."""
        if self.weight is None:
            return cross_entropy(logits, target, label_smoothing=self.smoothing)
        each = cross_entropy(logits, target, label_smoothing=self.smoothing, reduction="none")
        weight = self.weight[target]
        return (weight * each).sum() / weight.sum()


def refuse_weighted_smoothing(loss: torch.nn.Module, remedy: str) -> None:
    """Refuse a declared loss in which torch weighs the classes of a smoothed target.

    Raises:
        DefinitionError: It does, and the weights differ.
    """
    for part in loss.modules():
        weight = getattr(part, "weight", None)
        if (
            isinstance(part, torch.nn.CrossEntropyLoss)
            and part.label_smoothing
            and weight is not None
            and float(weight.max()) > float(weight.min())
        ):
            raise DefinitionError(
                "task.loss has both weights of classes and label_smoothing: torch weighs all classes of the smoothed "
                f"target, so that a rare class would be predicted everywhere. {remedy}"
            )
