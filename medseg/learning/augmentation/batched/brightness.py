"""Intensities multiplied, or moved, by one number a slice or a channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.utils import get_equivalent_dtype

from medseg.learning.augmentation.batched.form import Drawn, OfImage, each


def keeps_float32(dtype: Any) -> bool:
    """Whether a transform with this `dtype` gives float32 for it."""
    return dtype is None or get_equivalent_dtype(dtype, torch.Tensor) == torch.float32


class Scale(OfImage):
    """`RandScaleIntensityd`."""

    arguments = ("keys", "factors", "prob", "channel_wise", "dtype", "allow_missing_keys")

    def knows(self) -> bool:
        return super().knows() and keeps_float32(self.transform.scaler.dtype)

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        if not self.chosen(seed):
            return None
        scaler = self.transform.scaler
        scaler.R.seed(seed)
        scaler.randomize(self.like)
        return {"factor": 1 + np.asarray(scaler.factor)}

    def changed(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        return images.mul_(each(drawn.sent["factor"]))


class Shift(OfImage):
    """`RandShiftIntensityd`, but for those that look into the header of a file."""

    arguments = (
        "keys",
        "offsets",
        "safe",
        "factor_key",
        "meta_keys",
        "meta_key_postfix",
        "prob",
        "channel_wise",
        "allow_missing_keys",
    )

    def knows(self) -> bool:
        plain = not any(self.transform.factor_key) and not self.transform.shifter._shifter.safe
        return super().knows() and plain

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        if not self.chosen(seed):
            return None
        shifter = self.transform.shifter
        shifter.R.seed(seed)
        shifter.randomize(self.like)
        return {"offset": np.asarray(shifter._offset)}

    def changed(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        return images.add_(each(drawn.sent["offset"]))
