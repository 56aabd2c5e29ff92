"""Layers that predict as they are trained: batch normalisation by the batch's own statistics, and active dropout."""

from __future__ import annotations

import torch
from torch import nn


class BatchStatistics2d(nn.BatchNorm2d):
    """Batch normalisation by the mean and variance of the batch, in training and in prediction alike.

    It keeps no running statistics. What is predicted of a slice therefore depends on the slices beside it in the
    batch.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, track_running_stats=False)


class SeededDropout(nn.Dropout):
    """Dropout that stays active in prediction, where the same values are dropped in every batch of one shape.

    In training it is `torch.nn.Dropout`. In prediction its mask is drawn on the CPU by a generator of its own, so
    that a batch gives the same on every device and in every order of batches.

    Args:
        p: Share of the values that are set to zero; the others are divided by 1 - p.
        seed: Of the mask in prediction.
    """

    def __init__(self, p: float, seed: int) -> None:
        super().__init__(p)
        self.seed = seed

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Set some values of a tensor of any shape to zero."""
        if self.training:
            return super().forward(values)
        generator = torch.Generator().manual_seed(self.seed)
        kept = torch.rand(values.shape, generator=generator, device="cpu") >= self.p
        return values * (kept.to(values) / (1 - self.p))
