"""Bringing the slices of a volume to the one size that a network takes, and its answers back.

| `slices.fit` | what it does                                                    | answers come back            |
| ------------ | --------------------------------------------------------------- | ---------------------------- |
| `pad`        | pads and crops around the centre; nothing is resampled          | voxel by voxel               |
| `resize`     | stretches each slice to the size, whatever its proportions      | interpolated, then decided   |
| `tile`       | cuts each slice into overlapping tiles at its native resolution | overlaps averaged, then decided |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.slices.pad_crop import Frame, Pad

FitName = Literal["pad", "resize", "tile"]
"""The names of the ways, as definitions write them."""


class Fitting(Protocol):
    """One way, for stacks of slices of one shape (S, H, W)."""

    @property
    def exact(self) -> bool:
        """Whether each voxel that is kept comes back as it was, so that labels may be brought back as such."""

    @property
    def crops(self) -> bool:
        """Whether some voxels reach no slice."""

    def count(self, planes: int) -> int:
        """How many slices it makes of a volume with so many planes along the axis."""

    def image(self, slices: NDArray[Any], pad: Pad) -> NDArray[Any]:
        """Slices (C, S, H, W) to (C, count, *size)."""

    def label(self, slices: NDArray[Any]) -> NDArray[Any]:
        """The same of class indices (..., S, H, W); 0 where the slices have ended."""

    def undo(self, slices: NDArray[Any], *, nearest: bool) -> NDArray[Any]:
        """Bring maps (N, count, *size) back to (N, S, H, W); what was cropped away is 0."""

    def place(self, affine: NDArray[np.float64]) -> NDArray[np.float64]:
        """The affine (4x4) of the slices after, from that before; that of a slice as a whole for its tiles."""


@dataclass(frozen=True)
class Framed:
    """Slices padded and cropped around their centre."""

    frame: Frame
    exact: bool = True

    @property
    def crops(self) -> bool:
        """Whether the frame is smaller than the slices."""
        return self.frame.crops

    def count(self, planes: int) -> int:
        """One of each plane."""
        return planes

    def image(self, slices: NDArray[Any], pad: Pad) -> NDArray[Any]:
        """Pad and crop."""
        return self.frame.apply(slices, pad)

    def label(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Pad and crop."""
        return self.frame.apply(slices)

    def undo(self, slices: NDArray[Any], *, nearest: bool) -> NDArray[Any]:
        """Take the frame off."""
        del nearest  # nothing is resampled
        return self.frame.undo(slices)

    def place(self, affine: NDArray[np.float64]) -> NDArray[np.float64]:
        """The first voxel is another."""
        moved = np.eye(4)
        moved[:3, 3] = self.frame.shift
        return affine @ moved


@dataclass(frozen=True)
class Resized:
    """Slices stretched to a size: images and probabilities linearly, labels by the nearest pixel.

    Where a slice shrinks, images are smoothed first (torch's `antialias`), so that no thin structure is lost
    between two pixels.

    Attributes:
        inner: (H, W) of the volume's own slices.
        size: (H, W) of the network's.
    """

    inner: tuple[int, int]
    size: tuple[int, int]
    exact: bool = False
    crops: bool = False

    def count(self, planes: int) -> int:
        """One of each plane."""
        return planes

    def image(self, slices: NDArray[Any], pad: Pad) -> NDArray[Any]:
        """Stretch."""
        del pad  # no border is added
        return _stretched(slices, self.size)

    def label(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Stretch."""
        return _stretched_nearest(slices, self.size)

    def undo(self, slices: NDArray[Any], *, nearest: bool) -> NDArray[Any]:
        """Stretch back."""
        return _stretched_nearest(slices, self.inner) if nearest else _stretched(slices, self.inner)

    def place(self, affine: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels are of another size, and the corners of the slice stay."""
        scale = np.array([1.0, *(old / new for old, new in zip(self.inner, self.size, strict=True))])
        moved = np.diag([*scale, 1.0])
        moved[:3, 3] = (scale - 1) / 2
        return affine @ moved


@dataclass(frozen=True)
class Tiled:
    """Slices cut into overlapping tiles, row after row; the last row and column end with the slice.

    Attributes:
        inner: (S, H, W): number and size of the volume's own slices.
        size: (H, W) of a tile.
        overlap: Least share of a tile that the next one repeats, in [0, 0.9].
    """

    inner: tuple[int, int, int]
    size: tuple[int, int]
    overlap: float
    exact: bool = False
    crops: bool = False

    def count(self, planes: int) -> int:
        """All tiles of each plane."""
        return planes * len(self._places())

    def image(self, slices: NDArray[Any], pad: Pad) -> NDArray[Any]:
        """Pad what is smaller than a tile, and take the tiles."""
        return self._tiles(self._frame().apply(slices, pad))

    def label(self, slices: NDArray[Any]) -> NDArray[Any]:
        """The same of class indices."""
        return self._tiles(self._frame().apply(slices))

    def undo(self, slices: NDArray[Any], *, nearest: bool) -> NDArray[Any]:
        """Average the tiles, each weighing most in its middle; labels are those of the middlemost tile."""
        places, window, frame = self._places(), self._window(), self._frame()
        planes = slices.reshape(len(slices), self.inner[0], len(places), *self.size)
        made = np.zeros((len(slices), *frame.outer), dtype=slices.dtype if nearest else np.float32)
        weight = np.zeros(frame.outer[1:], dtype=np.float32)
        for number, (row, column) in enumerate(places):
            here = (slice(row, row + self.size[0]), slice(column, column + self.size[1]))
            if nearest:
                first = window > weight[here]
                made[..., here[0], here[1]][..., first] = planes[:, :, number][..., first]
                weight[here] = np.maximum(weight[here], window)
            else:
                made[..., here[0], here[1]] += planes[:, :, number] * window
                weight[here] += window
        if not nearest:
            made /= weight
        return frame.undo(made)

    def place(self, affine: NDArray[np.float64]) -> NDArray[np.float64]:
        """No one affine leads from all tiles."""
        return affine

    def _frame(self) -> Frame:
        _, height, width = self.inner
        return _frame(self.inner, (max(height, self.size[0]), max(width, self.size[1])))

    def _places(self) -> list[tuple[int, int]]:
        rows, columns = (
            _origins(max(length, tile), tile, self.overlap)
            for length, tile in zip(self.inner[1:], self.size, strict=True)
        )
        return [(row, column) for row in rows for column in columns]

    def _tiles(self, slices: NDArray[Any]) -> NDArray[Any]:
        height, width = self.size
        cut = [slices[..., row : row + height, col : col + width] for row, col in self._places()]
        return np.stack(cut, axis=-3).reshape(*slices.shape[:-3], -1, height, width)

    def _window(self) -> NDArray[np.float32]:
        """(H, W) weights above 0: a pyramid, highest in the middle."""
        rows, columns = (
            1 - np.abs((np.arange(length) + 0.5) / length * 2 - 1) + 0.5 / length for length in self.size
        )
        return np.minimum.outer(rows, columns).astype(np.float32)


def _frame(inner: tuple[int, int, int], size: tuple[int, int]) -> Frame:
    """Around slices, whose rows and columns run against the axes of the volume."""
    return Frame(inner, (inner[0], *size), backwards=(False, True, True))


def _origins(length: int, tile: int, overlap: float) -> list[int]:
    """Where tiles begin along one side: as few as the overlap allows, evenly spaced."""
    step = max(1, int(tile * (1 - overlap)))
    count = 1 + -(-(length - tile) // step)
    return [int(place) for place in np.linspace(0, length - tile, count).round()]


def _stretched(slices: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    # A true copy: one pixel counts as contiguous whatever its strides, and torch refuses those that are negative.
    given = torch.from_numpy(np.array(slices, dtype=np.float32, order="C"))
    made = torch.nn.functional.interpolate(
        given, size=size, mode="bilinear", align_corners=False, antialias=True
    )
    return made.numpy()


def _stretched_nearest(slices: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for new, old in zip(size, slices.shape[-2:], strict=True)
    )
    return slices[..., rows[:, None], columns]


def _framed(inner: tuple[int, int, int], size: tuple[int, int], overlap: float) -> Fitting:
    del overlap
    return Framed(_frame(inner, size))


def _resized(inner: tuple[int, int, int], size: tuple[int, int], overlap: float) -> Fitting:
    del overlap
    return Resized(inner[1:], size)


FITTINGS: Mapping[FitName, Callable[[tuple[int, int, int], tuple[int, int], float], Fitting]] = {
    "pad": _framed,
    "resize": _resized,
    "tile": Tiled,
}
"""Makes each way from the shape (S, H, W) of a stack of slices, the size (H, W) of the network's, and the overlap."""
