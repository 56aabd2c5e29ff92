"""Slices made larger or smaller: kept so, or seen as a coarser scanner would have."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.transforms import ResizeWithPadOrCrop
from monai.transforms.utils import resolves_modes
from torch.nn.functional import interpolate

from medseg.learning.augmentation.batched.brightness import keeps_float32
from medseg.learning.augmentation.batched.form import Drawn, Form, OfImage, Slices

_LINEAR = ("bilinear", "bicubic")
_MODES = (*_LINEAR, "nearest", "nearest-exact", "area")


class Zoom(Form):
    """`RandZoomd`, of slices that keep their size."""

    arguments = (
        "keys",
        "prob",
        "min_zoom",
        "max_zoom",
        "mode",
        "padding_mode",
        "align_corners",
        "dtype",
        "keep_size",
        "allow_missing_keys",
        "lazy",
        "kwargs",
    )
    sorted_by = "size"

    def __init__(self, transform: Any, slices: Slices) -> None:
        super().__init__(transform, slices)
        given = zip(
            transform.keys, transform.mode, transform.padding_mode, transform.align_corners, strict=True
        )
        self._kept = [(key, _interpolation(mode), *rest) for key, mode, *rest in given if key in slices.keys]

    def knows(self) -> bool:
        inner = self.transform.rand_zoom
        plain = inner.keep_size and not inner.kwargs and all(map(keeps_float32, self.transform.dtype))
        nearest = all(mode in ("nearest", "nearest-exact") for key, mode, *_ in self._kept if key == "label")
        fits = all(
            mode in _MODES and (corners is None or mode in _LINEAR) for _, mode, _, corners in self._kept
        )
        return self.keys() is not None and plain and nearest and fits and len(inner.min_zoom) <= 2

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        inner = self.transform.rand_zoom
        if not self.drew(seed, inner, self.like):
            return None
        sizes = zip(self.slices.shape[1:], inner._zoom, strict=False)
        return {"size": [int(np.floor(float(side) * zoom)) for side, zoom in sizes]}

    def apply(self, batch: dict[str, torch.Tensor], drawn: Drawn) -> None:
        for size, part in drawn.groups("size"):
            for key, mode, padding, corners in self._kept:
                fit = ResizeWithPadOrCrop(spatial_size=self.slices.shape[1:], mode=padding)
                part.change(
                    batch[key], partial(_zoomed, size=size.tolist(), mode=mode, corners=corners, fit=fit)
                )


def _zoomed(
    rows: torch.Tensor, *, size: list[int], mode: str, corners: bool | None, fit: ResizeWithPadOrCrop
) -> torch.Tensor:
    found = interpolate(rows.float(), size=size, mode=mode, align_corners=corners)
    flat = found.reshape(-1, *size)  # slices are to `fit` as channels of one
    return fit(flat).reshape(rows.shape).to(rows.dtype)


class LowResolution(OfImage):
    """`RandSimulateLowResolutiond`."""

    arguments = (
        "keys",
        "prob",
        "downsample_mode",
        "upsample_mode",
        "zoom_range",
        "align_corners",
        "allow_missing_keys",
        "device",
    )
    sorted_by = "size"

    def knows(self) -> bool:
        inner = self.transform.sim_lowres_tfm
        modes = {str(inner.downsample_mode), str(inner.upsample_mode)}
        return super().knows() and modes <= set(_MODES) and isinstance(inner.align_corners, bool)

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        inner = self.transform.sim_lowres_tfm
        if not self.drew(seed, inner):
            return None
        return {"size": [max(1, int(np.round(side * inner.zoom_factor))) for side in self.slices.shape[1:]]}

    def changed(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        found, inner = [], self.transform.sim_lowres_tfm
        start = 0
        for coarse, part in drawn.groups("size"):
            own = images[start : start + len(part)]
            start += len(part)
            for mode, size in (
                (str(inner.downsample_mode), coarse.tolist()),
                (str(inner.upsample_mode), self.slices.shape[1:]),
            ):
                corners = inner.align_corners if mode in _LINEAR else None
                own = interpolate(own, size=size, mode=mode, align_corners=corners)
            found.append(own)
        return torch.cat(found)


def _interpolation(mode: Any) -> str | None:
    """How torch calls a mode of MONAI; None if it knows none such."""
    try:
        _, own, _, _ = resolves_modes(mode, torch_interpolate_spatial_nd=2)
    except ValueError:
        return None
    return str(getattr(own, "value", own))
