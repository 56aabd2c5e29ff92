"""Refusing what transforms have made of a case, before anything is learned from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform

from medseg.errors import DataError
from medseg.slices.transforms import TRANSFORMS_KEY, as_array, whole_label


class CheckPreparedd(MapTransform):
    """Refuse a broken image or label map; otherwise the image is float32 and the label map uint8 afterwards.

    Args:
        channels: Names of the channels of the image, in order.
        keys: Of the image, or of the image and the label map, which may be missing.
        what: What made them, for messages.

    Raises:
        DataError: The image is no MetaTensor (C, I, J, K) with all its channels, or holds NaN or infinite values; or
            the labels were interpolated.
    """

    def __init__(
        self,
        channels: Sequence[str],
        keys: str | Sequence[str] = ("image", "label"),
        what: str = TRANSFORMS_KEY,
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.channels, self.what = tuple(channels), what

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Check each key."""
        done = dict(data)
        image_key, *rest = self.keys
        image = done[image_key]
        if not isinstance(image, MetaTensor) or image.ndim != 4 or len(image) != len(self.channels):
            raise DataError(
                f"{self.what} made an image of shape {tuple(image.shape)}, expected a MetaTensor of "
                f"{len(self.channels)} channels (C, I, J, K)"
            )
        voxels = as_array(image)
        finite = [bool(np.isfinite(channel).all()) for channel in voxels]
        if not all(finite):
            bad = self.channels[finite.index(False)]
            raise DataError(
                f"{self.what} made NaN or infinite values in channel {bad}, as a division by zero does"
            )
        if image.dtype != torch.float32:
            done[image_key] = _with_voxels(image, torch.from_numpy(voxels.astype(np.float32)))
        for key in rest:
            if key in done:
                done[key] = _with_voxels(done[key], torch.from_numpy(whole_label(done[key])[None]))
        return done


def _with_voxels(before: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
    return MetaTensor(voxels).copy_meta_from(before) if isinstance(before, MetaTensor) else voxels
