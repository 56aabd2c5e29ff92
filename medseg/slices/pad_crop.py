"""Bringing slices to one size by padding and cropping, never by resampling, and undoing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medseg.geometry.background import background_values

Pad = Literal["constant", "edge", "minimum", "reflect"]
"""What fills the border that padding adds; see `PADDING`."""

_Widths = list[tuple[int, int]]


@dataclass(frozen=True)
class Frame:
    """Where a volume lies in a larger or smaller one: centred along each axis.

    The voxels are those of MONAI's `ResizeWithPadOrCrop` (a test holds the two together). It is not used
    here because it has no padding with the least value of each channel, and copies what it leaves alone.

    Attributes:
        inner: (I, J, K) of the volume before.
        outer: (I, J, K) after.
        backwards: Which axes run against those that MONAI would count: where a margin or what is cropped away
            cannot be halved, the odd voxel lies at the other end of them.
    """

    inner: tuple[int, int, int]
    outer: tuple[int, int, int]
    backwards: tuple[bool, bool, bool] = (False, False, False)

    def apply(self, volume: NDArray[Any], pad: Pad | None = None) -> NDArray[Any]:
        """Pad and crop an array of the inner shape to the outer shape.

        Args:
            volume: (C, I, J, K) with `pad`; (..., I, J, K) without.
            pad: How to fill the border of an image; None fills with 0, as labels and masks need.
        """
        i, j, k = self._kept()
        cropped = volume[..., i, j, k]
        widths = self.widths
        if not any(sum(pair) for pair in widths):
            return cropped
        if pad is None:
            return np.pad(cropped, [(0, 0)] * (volume.ndim - 3) + widths)
        return PADDING[pad](cropped, widths, volume)

    def undo(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Bring (..., I, J, K) of the outer shape back to the inner one; what was cropped away is 0."""
        pairs = zip(self.widths, self.outer, strict=True)
        i, j, k = (slice(before, size - after) for (before, after), size in pairs)
        core = volume[..., i, j, k]
        if core.shape[-3:] == self.inner:
            return core
        whole = np.zeros((*volume.shape[:-3], *self.inner), dtype=volume.dtype)
        i, j, k = self._kept()
        whole[..., i, j, k] = core
        return whole

    @property
    def crops(self) -> bool:
        """Whether voxels of the inner volume are lost."""
        return any(new < old for old, new in zip(self.inner, self.outer, strict=True))

    def _kept(self) -> tuple[slice, ...]:
        kept = []
        for old, new, back in zip(self.inner, self.outer, self.backwards, strict=True):
            start = old // 2 - new // 2 if new < old else 0
            size = min(old, new)
            kept.append(slice(old - start - size, old - start) if back else slice(start, start + size))
        return tuple(kept)

    @property
    def widths(self) -> _Widths:
        """How many voxels are added before and after, along each axis."""
        missing = [max(new - old, 0) for old, new in zip(self.inner, self.outer, strict=True)]
        pairs = [(width // 2, width - width // 2) for width in missing]
        return [
            (after, before) if back else (before, after)
            for (before, after), back in zip(pairs, self.backwards, strict=True)
        ]

    @property
    def shift(self) -> tuple[int, int, int]:
        """Place in the volume before of the first voxel after; negative where voxels were added."""
        i, j, k = (part.start - before for part, (before, _) in zip(self._kept(), self.widths, strict=True))
        return i, j, k


def _constant(cropped: NDArray[Any], widths: _Widths, volume: NDArray[Any]) -> NDArray[Any]:
    return _filled(cropped, widths, background_values(volume))


def _minimum(cropped: NDArray[Any], widths: _Widths, volume: NDArray[Any]) -> NDArray[Any]:
    return _filled(cropped, widths, volume.min(axis=(1, 2, 3)))


def _filled(cropped: NDArray[Any], widths: _Widths, values: NDArray[Any]) -> NDArray[Any]:
    pairs = zip(cropped, values, strict=True)
    return np.stack([np.pad(channel, widths, constant_values=value) for channel, value in pairs])


def _edge(cropped: NDArray[Any], widths: _Widths, _: NDArray[Any]) -> NDArray[Any]:
    return np.pad(cropped, [(0, 0), *widths], mode="edge")


def _reflect(cropped: NDArray[Any], widths: _Widths, _: NDArray[Any]) -> NDArray[Any]:
    return np.pad(cropped, [(0, 0), *widths], mode="reflect")


PADDING: Mapping[Pad, Callable[[NDArray[Any], _Widths, NDArray[Any]], NDArray[Any]]] = {
    "constant": _constant,
    "edge": _edge,
    "minimum": _minimum,
    "reflect": _reflect,
}
"""Ways to pad an image, from its cropped part, the widths, and the whole (C, I, J, K) after the transforms:
each channel's background (`background_values`: 0 where NormalizeIntensityd left zeros alone, what zero became
where it did not); the nearest voxel; each channel's least value; the mirrored image."""
