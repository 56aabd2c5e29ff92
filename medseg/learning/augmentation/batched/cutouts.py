"""Rectangles cut out of slices, or left of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray

from medseg.learning.augmentation.batched.form import Drawn, Form


class CoarseDropout(Form):
    """`RandCoarseDropoutd` that fills with one value; others fill with noise, which MONAI draws for each slice."""

    arguments = (
        "keys",
        "holes",
        "spatial_size",
        "dropout_holes",
        "fill_value",
        "max_holes",
        "max_spatial_size",
        "prob",
        "allow_missing_keys",
    )

    def knows(self) -> bool:
        keys, fill = self.keys(), self.transform.dropper.fill_value
        plain = isinstance(fill, int | float)
        return keys is not None and plain and ("label" not in keys or fill == 0)

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        dropper = self.transform.dropper
        if not self.drew(seed, dropper, self.slices.shape[1:]):
            return None
        return {
            "holes": [
                (down.start, down.stop, across.start, across.stop) for _, down, across in dropper.hole_coords
            ]
        }

    def stacked(self, rows: Sequence[int], drawn: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        most = max(len(one["holes"]) for one in drawn)
        empty = (0, 0, 0, 0)
        return super().stacked(
            rows, [{"holes": one["holes"] + [empty] * (most - len(one["holes"]))} for one in drawn]
        )

    def apply(self, batch: dict[str, torch.Tensor], drawn: Drawn) -> None:
        dropper = self.transform.dropper
        for part in drawn.parts(batch["image"]):
            inside = self._inside(part.sent["holes"])
            filled = inside if dropper.dropout_holes else ~inside
            cut = partial(torch.Tensor.masked_fill_, mask=filled, value=dropper.fill_value)
            for key in self.keys() or ():
                part.change(batch[key], cut)

    def _inside(self, holes: torch.Tensor) -> torch.Tensor:
        """Which pixels (R, 1, H, W) lie in one of the holes (R, n, 4)."""
        _, height, width = self.slices.shape
        down = torch.arange(height, device=holes.device)[:, None]
        across = torch.arange(width, device=holes.device)
        found = torch.zeros(len(holes), 1, height, width, dtype=torch.bool, device=holes.device)
        for top, bottom, left, right in holes[..., None, None, None].permute(1, 2, 0, 3, 4, 5):
            found |= (down >= top) & (down < bottom) & (across >= left) & (across < right)
        return found
