"""Mirroring, and turning by quarters: pixels change places, and no value changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.transforms.utils import map_spatial_axes

from medseg.learning.augmentation.batched.form import Drawn, Form


class _ChangesPlaces(Form):
    """A form whose draws of one kind give one rearrangement."""

    def knows(self) -> bool:
        return self.keys() is not None

    def rearranged(self, batch: dict[str, torch.Tensor], drawn: Drawn, change: Any) -> None:
        """Put `change` of the drawn rows in their place, for each key."""
        for part in drawn.parts(batch["image"]):
            for key in self.keys() or ():
                part.change(batch[key], change)

    def dims(self, axes: Any) -> list[int]:
        """Spatial axes as those of a batch (B, C, H, W)."""
        return [int(dim) % 3 + 1 for dim in map_spatial_axes(3, axes)]


class Flip(_ChangesPlaces):
    """`RandFlipd`."""

    arguments = ("keys", "prob", "spatial_axis", "allow_missing_keys", "lazy")

    def knows(self) -> bool:
        try:
            known = set(self.dims(self.transform.flipper.spatial_axis)) <= {2, 3}
        except TypeError:
            known = False
        return known and super().knows()

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        return {} if self.chosen(seed) else None

    def apply(self, batch: dict[str, torch.Tensor], drawn: Drawn) -> None:
        dims = self.dims(self.transform.flipper.spatial_axis)
        self.rearranged(batch, drawn, lambda rows: rows.flip(dims))


class AxisFlip(_ChangesPlaces):
    """`RandAxisFlipd`."""

    arguments = ("keys", "prob", "allow_missing_keys", "lazy")
    sorted_by = "axis"

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        flipper = self.transform.flipper
        if not self.drew(seed, flipper, self.like):
            return None
        return {"axis": flipper._axis}

    def apply(self, batch: dict[str, torch.Tensor], drawn: Drawn) -> None:
        for axis, part in drawn.groups("axis"):
            dims = self.dims(int(axis))
            self.rearranged(batch, part, lambda rows, dims=dims: rows.flip(dims))


class Rotate90(_ChangesPlaces):
    """`RandRotate90d` of square slices; others would have two shapes."""

    arguments = ("keys", "prob", "max_k", "spatial_axes", "allow_missing_keys", "lazy")
    sorted_by = "turns"

    def knows(self) -> bool:
        _, height, width = self.slices.shape
        axes = self.transform.spatial_axes
        known = isinstance(axes, list | tuple) and len(axes) == 2 and sorted(self.dims(axes)) == [2, 3]
        return known and height == width and super().knows()

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        return {"turns": self.transform._rand_k} if self.chosen(seed) else None

    def apply(self, batch: dict[str, torch.Tensor], drawn: Drawn) -> None:
        dims = self.dims(self.transform.spatial_axes)
        for turns, part in drawn.groups("turns"):
            self.rearranged(batch, part, lambda rows, k=int(turns): rows.rot90(k, dims))
