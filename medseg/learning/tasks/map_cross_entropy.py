"""Binary cross-entropy of the probability map of each class, for classes that exclude each other."""

from __future__ import annotations

import torch

from medseg.learning.settings import is_number

#: As near to 1 as a probability counts: the logarithm of what is left is -16 and not minus infinity, as in Keras.
_LEAST = 1e-7


class MapCrossEntropy(torch.nn.Module):
    """Mean over all pixels and K classes of -(t log p + (1 - t) log(1 - p)), where p are softmax outputs.

    t is 1 in the map of the pixel's class and 0 in the K - 1 others. `torch.nn.CrossEntropyLoss` is the first
    summand alone, summed over the classes.

    Args:
        factor: What the mean is multiplied by.
        weight: (K,) What each map counts by; none, all alike.

    Raises:
        ValueError: `factor` is no number above 0.
    """

    weight: torch.Tensor | None

    def __init__(self, factor: float = 1.0, weight: torch.Tensor | None = None) -> None:
        super().__init__()
        if not is_number(factor) or factor <= 0:
            raise ValueError(f"factor is {factor!r}, expected a number above 0")
        self.factor = float(factor)
        self.register_buffer("weight", weight)

    def forward(self, logits: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """Loss of logits and maps of 0 and 1, both (B, K, H, W)."""
        chance = torch.log_softmax(logits, dim=1)
        rest = torch.log(-torch.expm1(chance.clamp(max=-_LEAST)))
        each = -(maps * chance + (1 - maps) * rest)
        if self.weight is not None:
            each = each * self.weight.view(1, -1, 1, 1)
        return self.factor * each.mean()
