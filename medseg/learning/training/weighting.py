"""How much each sample counts in training, whatever the loss is."""

from __future__ import annotations

import torch


def weighted(logits: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The same logits, whose gradients count as much as their samples do.

    For every loss that is a mean over samples, its gradient is then that of the mean of `weight * loss` of each
    sample. Its value stays that of the plain mean, which is what curves show.

    Args:
        logits: (B, ...).
        weights: (B,), 0 or more; where all are 1, the logits are returned as they are.
    """
    if bool((weights == 1).all()):
        return logits
    each = weights.to(logits).reshape(-1, *[1] * (logits.ndim - 1))
    return logits.detach() + each * (logits - logits.detach())
