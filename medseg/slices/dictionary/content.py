"""Where an image shows something, found by its raw intensities and carried along with the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform

from medseg.geometry.background import is_background
from medseg.slices.transforms import affine_of, as_array, moved


class MarkContentd(MapTransform):
    """Mark which voxels of a raw image (C, I, J, K) show something: (1, I, J, K) bool.

    Background is what every channel has most often on the faces of the volume (`medseg.geometry.background`); so this
    comes before transforms that change intensities.

    Args:
        keys: Of the image, and of no other.
        content_key: Where the mark is put.
    """

    def __init__(self, keys: str | Sequence[str] = "image", content_key: str = "content") -> None:
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys are {self.keys}, expected that of the image")
        self.content_key = content_key

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Add the mark."""
        image = data[self.keys[0]]
        shown = torch.from_numpy(~is_background(as_array(torch.as_tensor(image))))[None]
        if isinstance(image, MetaTensor):
            shown = MetaTensor(shown, affine=image.affine.clone())
        return {**data, self.content_key: shown}


class CarryMaskd(MapTransform):
    """Bring masks (1, I, J, K) to the grid that transforms have brought the image to, by the nearest voxel.

    A mask that ran through them itself would be interpolated, or normalised. What lies outside is False.

    Args:
        keys: Of the masks, MetaTensors on the grid that the image had.
        image_key: Of the image, whose affine says where its voxels went.
        allow_missing_keys: Leave out keys that are not there.
    """

    def __init__(
        self,
        keys: str | Sequence[str] = "content",
        image_key: str = "image",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Carry each key."""
        done = dict(data)
        image = done[self.image_key]
        for key in self.key_iterator(done):
            mask = as_array(done[key])[0].astype(bool, copy=False)
            there = moved(mask, affine_of(done[key]), image)
            done[key] = MetaTensor(
                torch.from_numpy(np.ascontiguousarray(there))[None], affine=image.affine.clone()
            )
        return done
