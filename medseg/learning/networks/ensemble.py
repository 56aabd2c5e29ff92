"""Several networks as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from medseg.learning.outputs.main_output import main_of, with_main_output


class Ensemble(nn.Module):
    """Networks of one kind of input and output, whose logits are averaged; of several outputs that which counts.

    Args:
        networks: Two or more; each takes (B, C, H, W) and gives logits of one shape.

    Raises:
        ValueError: There are fewer.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        if len(networks) < 2:
            raise ValueError(f"networks has {len(networks)}, expected two or more")
        self.networks = nn.ModuleList(with_main_output(network) for network in networks)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The mean of the logits."""
        first, *others = self.networks
        total = main_of(first(image))
        for network in others:
            total = total + main_of(network(image))
        return total / len(self.networks)
