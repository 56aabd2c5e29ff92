"""Blurring slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.networks.layers.convutils import gaussian_1d
from numpy.typing import NDArray
from torch.nn.functional import conv2d

from medseg.learning.augmentation.batched.form import Drawn, OfImage


class GaussianSmooth(OfImage):
    """`RandGaussianSmoothd`."""

    arguments = ("keys", "sigma_x", "sigma_y", "sigma_z", "approx", "prob", "allow_missing_keys")

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        smooth = self.transform.rand_smooth
        if not self.drew(seed, smooth, None):
            return None
        kernels = (
            gaussian_1d(torch.as_tensor(sigma), truncated=4.0, approx=smooth.approx).numpy()
            for sigma in (smooth.x, smooth.y)
        )
        return dict(zip(("down", "across"), kernels, strict=True))

    def stacked(self, rows: Sequence[int], drawn: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        found = {}
        for name in ("down", "across"):
            longest = max(len(one[name]) for one in drawn)
            found[name] = np.zeros((len(drawn), longest), dtype=np.float32)
            for row, one in zip(found[name], drawn, strict=True):
                margin = (longest - len(one[name])) // 2
                row[margin : longest - margin] = one[name]
        return {"rows": np.array(rows, dtype=np.int64), **found}

    def changed(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        rows, channels, height, width = images.shape
        flat = images.reshape(1, rows * channels, height, width)  # each with a kernel of its own
        for name, shape in (("down", (-1, 1)), ("across", (1, -1))):
            kernel = drawn.sent[name][:, None].expand(-1, channels, -1)
            weight = kernel.reshape(rows * channels, 1, *shape)
            margin = [side // 2 for side in weight.shape[2:]]
            flat = conv2d(flat, weight, padding=margin, groups=rows * channels)
        return flat.reshape(images.shape)
