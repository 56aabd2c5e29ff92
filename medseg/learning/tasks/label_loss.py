"""Losses of the classes of whole images: labels in the form that each of them wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from medseg.errors import DefinitionError


def declared_loss(make: Callable[..., Any], weight: torch.Tensor | None) -> Any:
    """A loss that a definition declares, with its weights of classes.

    Raises:
        DefinitionError: Weights are given, and it takes none.
    """
    loss = make() if weight is None else make(weight=weight)
    held = (each for each in loss.buffers() if weight is not None and each.shape == weight.shape)
    if weight is not None and not any(torch.allclose(each.float().cpu(), weight) for each in held):
        raise DefinitionError(
            f"task.class_weights is set, but {type(loss).__name__} takes no weights of classes. Leave them out, or "
            "take a loss that does, such as torch.nn.CrossEntropyLoss."
        )
    return loss


def index(label: torch.Tensor) -> torch.Tensor:
    """(B,) the class of each image, of labels (B, K)."""
    return label.argmax(dim=1)


def kept_index(label: torch.Tensor) -> torch.Tensor:
    """(B, 1) the class of each image."""
    return label.argmax(dim=1, keepdim=True)


def numbers(label: torch.Tensor) -> torch.Tensor:
    """(B, K) 1 for each class that an image has, else 0."""
    return label.float()


class OfLabels(torch.nn.Module):
    """A loss that first brings the labels into the form it wants."""

    def __init__(self, loss: Any, target: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.loss, self.target = loss, target

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Loss of logits (B, K) and labels (B, K)."""
        return self.loss(logits.float(), self.target(label))
