"""Bringing slices to one size, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.inverse import InvertibleTransform, TraceableTransform
from monai.transforms.transform import MapTransform
from monai.utils.enums import TraceKeys
from monai.utils.misc import ensure_tuple_rep

from medseg.images.refusal import RefusedError
from medseg.slices.pad_crop import PADDING, Pad
from medseg.slices.sizes import FITTINGS, FitName, Fitting
from medseg.slices.transforms import affine_of, as_array

_MODES = ("bilinear", "nearest")


class FitSlicesd(MapTransform, InvertibleTransform):
    """Bring slices (C, S, H, W), as `CutSlicesd` makes them, to one size.

    `inverse` joins tiles, stretches back, takes margins off, and gives 0 to what was cropped away.

    Args:
        keys: Of the slices.
        size: (H, W) in pixels.
        fit: `pad` pads and crops around the centre; `resize` stretches; `tile` cuts overlapping tiles at native
            resolution, which makes several slices of each.
        overlap: Least share of a tile that its neighbour repeats.
        pad: How the margin of an image is filled: `constant` with each channel's background, `edge` and `reflect`
            from the image, `minimum` with the channel's least value.
        mode: For each key `bilinear`, as images are treated, or `nearest`, as label maps: their margin is 0.
        allow_missing_keys: Leave out keys that are not there.

    Raises:
        RefusedError: The array has no four axes.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        size: Sequence[int],
        fit: FitName = "pad",
        overlap: float = 0.25,
        pad: Pad = "constant",
        mode: str | Sequence[str] = "bilinear",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.modes = ensure_tuple_rep(mode, len(self.keys))
        _known("fit", fit, FITTINGS)
        _known("pad", pad, PADDING)
        for each in self.modes:
            _known("mode", each, _MODES)
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"size is {size!r}, expected height and width of 1 or more")
        self.size, self.fit, self.overlap = (int(size[0]), int(size[1])), fit, overlap
        self.pad: Pad = pad

    def fitting(self, inner: Sequence[int]) -> Fitting:
        """How slices of a shape (S, H, W) are brought to the size."""
        return FITTINGS[self.fit]((int(inner[0]), int(inner[1]), int(inner[2])), self.size, self.overlap)

    def fitting_of(self, fitted: MetaTensor) -> Fitting:
        """How slices that this transform gave were brought to the size, from their trace."""
        known = self.get_most_recent_transform(fitted)[TraceKeys.EXTRA_INFO]
        return self.fitting([int(side) for side in known["shape"]])

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Fit each key."""
        done = dict(data)
        for key, mode in self.key_iterator(done, self.modes):
            before = done[key]
            if before.ndim != 4:
                raise RefusedError(
                    f"an array of shape {tuple(before.shape)}, where FitSlicesd takes slices (C, S, H, W)",
                    "Put it after CutSlicesd; MONAI's ResizeWithPadOrCropd and Resized take a picture (C, H, W).",
                )
            fitting = self.fitting(before.shape[1:])
            slices = as_array(torch.as_tensor(before))
            after = fitting.image(slices, self.pad) if mode == "bilinear" else fitting.label(slices)
            done[key] = self._traced(before, _tensor(after), fitting, mode)
        return done

    def _traced(self, before: Any, after: torch.Tensor, fitting: Fitting, mode: str) -> torch.Tensor:
        if not isinstance(before, MetaTensor):
            return after
        traced = TraceableTransform.track_transform_meta(
            before,
            extra_info={"mode": mode, "shape": np.array(before.shape[1:]), "affine": affine_of(before)},
            transform_info=self.get_transform_info(),
        )
        made = MetaTensor(after).copy_meta_from(traced)
        made.affine = fitting.place(affine_of(before))
        return made

    def inverse(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Bring each key back to the size that it had, by the nearest pixel where it was fitted so."""
        done = dict(data)
        for key in self.key_iterator(done):
            known = self.pop_transform(done[key])[TraceKeys.EXTRA_INFO]
            fitting = self.fitting([int(side) for side in known["shape"]])
            back = MetaTensor(_tensor(fitting.undo(as_array(done[key]), nearest=known["mode"] == "nearest")))
            back.copy_meta_from(done[key])
            back.affine = known["affine"]
            done[key] = back
        return done


def _known(name: str, given: str, known: Collection[str]) -> None:
    if given not in known:
        raise ValueError(f"{name} is {given!r}, expected one of {', '.join(known)}")


def _tensor(array: Any) -> torch.Tensor:
    return torch.from_numpy(array if min(array.strides, default=0) >= 0 else array.copy())
