"""Contrast: gamma, and shifts of the histogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.learning.augmentation.batched.form import Drawn, OfImage, each

_OF_A_SLICE = (1, 2, 3)


class AdjustContrast(OfImage):
    """`RandAdjustContrastd`."""

    arguments = ("keys", "prob", "gamma", "invert_image", "retain_stats", "allow_missing_keys")

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        adjuster = self.transform.adjuster
        if not self.drew(seed, adjuster, None):
            return None
        return {"gamma": adjuster.gamma_value}

    def changed(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        rule = self.transform.adjuster.adjust_contrast
        images = images.neg_() if rule.invert_image else images
        if rule.retain_stats:
            mean, spread = images.mean(_OF_A_SLICE, keepdim=True), images.std(_OF_A_SLICE, keepdim=True)
        low = images.amin(_OF_A_SLICE, keepdim=True)
        extent = images.amax(_OF_A_SLICE, keepdim=True) - low
        images.sub_(low).div_(extent + 1e-7).pow_(each(drawn.sent["gamma"])).mul_(extent).add_(low)
        if rule.retain_stats:
            images.sub_(images.mean(_OF_A_SLICE, keepdim=True))
            images.div_(images.std(_OF_A_SLICE, keepdim=True) + 1e-8).mul_(spread).add_(mean)
        return images.neg_() if rule.invert_image else images


class HistogramShift(OfImage):
    """`RandHistogramShiftd`."""

    arguments = ("keys", "num_control_points", "prob", "allow_missing_keys")

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        shifter = self.transform.shifter
        if not self.drew(seed, shifter, None):
            return None
        return {"before": shifter.reference_control_points, "after": shifter.floating_control_points}

    def stacked(self, rows: Sequence[int], drawn: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        most = max(len(one["before"]) for one in drawn)
        filled = []
        for one in drawn:
            more = most - len(one["before"])
            beyond = 2 + np.arange(more)  # of points where no value is, which is between 0 and 1
            filled.append(
                {
                    "before": np.concatenate([one["before"], beyond]).astype(np.float32),
                    "after": np.concatenate([one["after"], np.full(more, one["after"][-1])]).astype(
                        np.float32
                    ),
                }
            )
        return super().stacked(rows, filled)

    def changed(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        flat = images.flatten(1)
        low = flat.amin(1, keepdim=True)
        extent = flat.amax(1, keepdim=True) - low
        before, after = (drawn.sent[name] * extent + low for name in ("before", "after"))
        slope = after.diff(dim=1) / before.diff(dim=1)
        offset = after[:, :-1] - slope * before[:, :-1]
        piece = torch.searchsorted(before, flat).sub_(1).clamp_(0, slope.shape[1] - 1)
        found = slope.gather(1, piece).mul_(flat).add_(offset.gather(1, piece))
        found = torch.where(flat < before[:, :1], after[:, :1], found)
        return torch.where(extent > 0, found, flat).reshape(images.shape)  # one of a single value stays
