"""Several networks as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Ensemble(nn.Module):
    """Networks of one kind of input and output, whose logits are averaged.

    Args:
        networks: Two or more; each takes (B, C, H, W) and gives logits of one shape.

    Raises:
        ValueError: There are fewer.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        if len(networks) < 2:
            raise ValueError(f"networks has {len(networks)}, expected two or more")
        self.networks = nn.ModuleList(networks)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The mean of the logits."""
        first, *others = self.networks
        total: torch.Tensor = first(image)
        for network in others:
            total = total + network(image)
        return total / len(self.networks)
