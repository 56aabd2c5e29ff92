"""Sampling slices at the places of a grid: images and label maps by one grid, each in its own mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.config import USE_COMPILED
from monai.transforms.utils import TransformBackends, resolves_modes
from torch.nn.functional import grid_sample

_MODES = ("bilinear", "nearest", "bicubic")


@dataclass(frozen=True)
class Sampled:
    """A part of an item that is sampled, and how."""

    key: str
    mode: str
    padding: str

    def __call__(
        self, rows: torch.Tensor, grid: torch.Tensor, *, align_corners: bool = False
    ) -> torch.Tensor:
        """Sample (R, C, H, W) by a grid (R, H, W, 2) of x and y in [-1, 1].

        The nearest pixel is looked for in the precision of the grid, for it may turn on the last digit; other modes
        in float32, which places a sample to within 1e-4 pixels.
        """
        precision = grid.dtype if self.mode == "nearest" else torch.float32
        found = grid_sample(
            rows.to(precision),
            grid.to(precision),
            mode=self.mode,
            padding_mode=self.padding,
            align_corners=align_corners,
        )
        return found.to(rows.dtype)


def sampled_parts(
    declared: Sequence[str], keys: Sequence[str], modes: Sequence[Any], paddings: Sequence[Any]
) -> tuple[Sampled, ...] | None:
    """How each part of an item is sampled; None where that is not known, or would make label values of others."""
    if USE_COMPILED:  # MONAI would sample by code of its own
        return None
    found = []
    for key, mode, padding in zip(declared, modes, paddings, strict=True):
        if key not in keys:
            continue
        try:
            backend, own, outside, _ = resolves_modes(mode, padding, backend=None)
        except ValueError:
            return None
        one = Sampled(key, str(getattr(own, "value", own)), str(getattr(outside, "value", outside)))
        if backend != TransformBackends.TORCH or one.mode not in _MODES:
            return None
        if key == "label" and one.mode != "nearest":
            return None
        found.append(one)
    return tuple(found)


def exact_on(device: torch.device) -> torch.dtype:
    """In which precision grids are multiplied: MONAI's; on a GPU float64, which no setting shortens to TF32."""
    return torch.float32 if device.type == "cpu" else torch.float64


def scaled(grid: torch.Tensor) -> torch.Tensor:
    """A grid (R, H, W, 2) of x and y in pixels from the middle, as float64 in [-1, 1]: as MONAI's `Resample` does."""
    _, height, width, _ = grid.shape
    found = grid.to(torch.float64)
    found[..., 0] *= 2.0 / max(2, width)
    found[..., 1] *= 2.0 / max(2, height)
    return found
