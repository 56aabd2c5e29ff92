"""How much each sample counts in training, whatever the loss is."""

from __future__ import annotations

import torch

from medseg.learning.outputs.main_output import Outputs, of_each


def weighted(logits: Outputs, weights: torch.Tensor) -> Outputs:
    """The same logits, whose gradients count as much as their samples do.

    For every loss that is a mean over samples, its gradient is then that of the mean of `weight * loss` of each
    sample. Its value stays that of the plain mean, which is what curves show.

    Args:
        logits: (B, ...), of one output or several.
        weights: (B,), 0 or more; where all are 1, the logits are returned as they are.
    """
    if bool((weights == 1).all()):
        return logits

    def counted(given: torch.Tensor) -> torch.Tensor:
        each = weights.to(given).reshape(-1, *[1] * (given.ndim - 1))
        return given.detach() + each * (given - given.detach())

    return of_each(counted, logits)
