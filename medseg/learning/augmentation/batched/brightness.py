"""Intensities multiplied, or moved, by one number a slice or a channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from monai.utils import get_equivalent_dtype

from medseg.learning.augmentation.batched.form import Drawn, OfImage, each


def keeps_float32(dtype: Any) -> bool:
    """Whether a transform with this `dtype` gives float32 for it."""
    return dtype is None or get_equivalent_dtype(dtype, torch.Tensor) == torch.float32


class Scale(OfImage):
    """`RandScaleIntensityd`."""

    arguments: ClassVar[tuple[str, ...]] = (
        "keys",
        "factors",
        "prob",
        "channel_wise",
        "dtype",
        "allow_missing_keys",
    )

    def knows(self) -> bool:
        return super().knows() and keeps_float32(self.transform.scaler.dtype)

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        scaler = self.transform.scaler
        if not self.drew(seed, scaler, self.like):
            return None
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
        shifter = self.transform.shifter
        if not self.drew(seed, shifter, self.like):
            return None
        return {"offset": np.asarray(shifter._offset)}

    def changed(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        return images.add_(each(drawn.sent["offset"]))
