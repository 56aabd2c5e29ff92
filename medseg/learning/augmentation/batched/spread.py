"""Intensities changed by what the slice itself holds: its spread, or its mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from medseg.learning.augmentation.batched.brightness import Scale, keeps_float32
from medseg.learning.augmentation.batched.form import Drawn, OfImage, each


def _dims(*, channel_wise: bool) -> tuple[int, ...]:
    """Of what is looked at together, in (R, C, H, W)."""
    return (2, 3) if channel_wise else (1, 2, 3)


class StdShift(OfImage):
    """`RandStdShiftIntensityd`."""

    arguments = ("keys", "factors", "prob", "nonzero", "channel_wise", "dtype", "allow_missing_keys")

    def knows(self) -> bool:
        return super().knows() and keeps_float32(self.transform.shifter.dtype)

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        shifter = self.transform.shifter
        if not self.drew(seed, shifter, None):
            return None
        return {"factor": shifter.factor}

    def changed(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        shifter, factor = self.transform.shifter, each(drawn.sent["factor"])
        dims = _dims(channel_wise=shifter.channel_wise)
        if not shifter.nonzero:
            return images.add_(factor * images.std(dims, correction=0, keepdim=True))
        there = images != 0
        count = there.sum(dims, keepdim=True).clamp(min=1)
        mean = images.sum(dims, keepdim=True) / count
        variance = (images - mean).square_().mul_(there).sum(dims, keepdim=True) / count
        return images.add_(factor * variance.sqrt() * there)


class ScaleFixedMean(Scale):
    """`RandScaleIntensityFixedMeand`."""

    arguments = (
        "keys",
        "factors",
        "fixed_mean",
        "preserve_range",
        "prob",
        "dtype",
        "allow_missing_keys",
        "channel_wise",
    )

    def changed(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        scaler = self.transform.scaler
        dims = _dims(channel_wise=scaler.channel_wise)
        low, high = images.amin(dims, keepdim=True), images.amax(dims, keepdim=True)
        mean = images.mean(dims, keepdim=True) if scaler.fixed_mean else torch.zeros_like(low)
        images.sub_(mean).mul_(each(drawn.sent["factor"])).add_(mean)
        return images.clamp_(low, high) if scaler.preserve_range else images
