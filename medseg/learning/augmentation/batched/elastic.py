"""Bending slices by a field of control points."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from monai.transforms import CenterSpatialCrop
from monai.utils import ensure_tuple_rep
from torch.nn.functional import interpolate

from medseg.learning.augmentation.batched.form import Drawn, Form, Slices
from medseg.learning.augmentation.batched.sampling import sampled_parts, scaled


class Elastic(Form):
    """`Rand2DElasticd`, of slices that keep their size."""

    arguments = (
        "keys",
        "spacing",
        "magnitude_range",
        "spatial_size",
        "prob",
        "rotate_range",
        "shear_range",
        "translate_range",
        "scale_range",
        "mode",
        "padding_mode",
        "device",
        "allow_missing_keys",
    )

    def __init__(self, transform: Any, slices: Slices) -> None:
        super().__init__(transform, slices)
        self._elsewhere = transform.rand_2d_elastic.device not in (None, torch.device("cpu"))
        if not self._elsewhere:
            transform.rand_2d_elastic.set_device(torch.device("cpu"))  # where control points are drawn
        keys = self.keys()
        self._sampled = (
            sampled_parts(transform.keys, keys, transform.mode, transform.padding_mode) if keys else None
        )

    def knows(self) -> bool:
        whole = self.transform.rand_2d_elastic.spatial_size is None
        return self._sampled is not None and whole and not self._elsewhere

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        if not self.chosen(seed):
            return None
        inner, size = self.transform.rand_2d_elastic, self.slices.shape[1:]
        for each in (inner, inner.deform_grid, inner.rand_affine_grid):
            each.R.seed(seed)
        inner.randomize(size)  # whose draws those that make the grid replace
        return {"grid": inner.rand_affine_grid(grid=inner.deform_grid(spatial_size=size))[:2].numpy()}

    def apply(self, batch: dict[str, torch.Tensor], drawn: Drawn) -> None:
        spacing = ensure_tuple_rep(self.transform.rand_2d_elastic.deform_grid.spacing, 2)
        crop = CenterSpatialCrop(roi_size=self.slices.shape[1:])
        for part in drawn.parts(batch["image"]):
            places = interpolate(
                part.sent["grid"],
                scale_factor=list(spacing),
                mode="bicubic",
                align_corners=False,
                recompute_scale_factor=True,
            )
            rows, _, height, width = places.shape
            places = crop(places.reshape(-1, height, width)).reshape(rows, 2, *self.slices.shape[1:])
            grid = scaled(places.flip(1).movedim(1, -1))
            for one in self._sampled or ():
                part.change(batch[one.key], partial(one, grid=grid))
