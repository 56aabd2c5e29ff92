"""Turning, scaling, shearing and moving slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.transforms.utils import create_grid
from numpy.typing import NDArray

from medseg.learning.augmentation.batched.form import Drawn, Form, Slices
from medseg.learning.augmentation.batched.sampling import exact_on, sampled_parts, scaled


class Affine(Form):
    """`RandAffined`, of slices that keep their size."""

    arguments = (
        "keys",
        "spatial_size",
        "prob",
        "rotate_range",
        "shear_range",
        "translate_range",
        "scale_range",
        "mode",
        "padding_mode",
        "cache_grid",
        "device",
        "allow_missing_keys",
        "lazy",
    )

    def __init__(self, transform: Any, slices: Slices) -> None:
        super().__init__(transform, slices)
        keys = self.keys()
        self._sampled = (
            sampled_parts(transform.keys, keys, transform.mode, transform.padding_mode) if keys else None
        )
        self._whole: dict[torch.device, torch.Tensor] = {}

    def knows(self) -> bool:
        inner = self.transform.rand_affine
        return self._sampled is not None and inner.spatial_size is None and inner.resampler.device is None

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        if not self.chosen(seed):
            return None
        grid = self.transform.rand_affine.rand_affine_grid
        grid.R.seed(seed)
        grid.randomize()  # RandAffine.randomize, whose draws the next one replaces
        grid.randomize()  # as the grid is made
        numbers = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
        for start, most, drawn in (
            (0, 1, grid.rotate_params),
            (1, 2, grid.shear_params),
            (3, 2, grid.translate_params),
            (5, 2, grid.scale_params),
        ):
            numbers[start : start + len(drawn[:most])] = drawn[:most]
        return {"numbers": numbers}

    def stacked(self, rows: Sequence[int], drawn: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        found = super().stacked(rows, drawn)
        return {"rows": found["rows"], "affine": matrices(found["numbers"])}

    def apply(self, batch: dict[str, torch.Tensor], drawn: Drawn) -> None:
        for part in drawn.parts(batch["image"]):
            grid = self.grid(part.sent["affine"])
            for one in self._sampled or ():
                part.change(batch[one.key], partial(one, grid=grid))

    def grid(self, affine: torch.Tensor) -> torch.Tensor:
        """Where (R, 3, 3) matrices send each pixel from the middle: (R, H, W, 2), of x and y, for sampling."""
        _, height, width = self.slices.shape
        exact = exact_on(affine.device)
        if affine.device not in self._whole:
            whole = create_grid((height, width), device=affine.device, dtype=exact, backend="torch")
            self._whole[affine.device] = whole.reshape(3, -1)
        # one product a slice, as MONAI's: that of all in one piece may round otherwise
        turned = affine[:, :2].flip(1).to(exact)
        places = torch.bmm(turned, self._whole[affine.device].expand(len(affine), -1, -1))
        return scaled(places.reshape(-1, 2, height, width).movedim(1, -1))

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made anew in another process."""
        return {**self.__dict__, "_whole": {}}


def matrices(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rotation, two shears, two translations and two scales of each slice (R, 7) as matrices (R, 3, 3).

    Products and their order are those of MONAI's `AffineGrid`, so that the last digit is its own too.
    """
    given = torch.from_numpy(numbers).to(torch.float32)
    rotation, first, second, translation, scale = (torch.eye(3).repeat(len(given), 1, 1) for _ in range(5))
    cos, sin = torch.cos(given[:, 0]), torch.sin(given[:, 0])
    rotation[:, 0, 0], rotation[:, 0, 1] = cos, -sin
    rotation[:, 1, 0], rotation[:, 1, 1] = sin, cos
    first[:, 0, 1], second[:, 1, 0] = given[:, 1], given[:, 2]
    translation[:, :2, 2] = given[:, 3:5]
    scale[:, 0, 0], scale[:, 1, 1] = given[:, 5], given[:, 6]
    found: NDArray[np.float32] = (rotation @ (second @ first) @ translation @ scale).numpy()
    return found
