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
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.geometry.axes import AXES, Axis
from medseg.slices.pad_crop import Frame, Pad

if TYPE_CHECKING:
    from medseg.slices.rule import SliceRule

FitName = Literal["pad", "resize", "tile"]
"""The names of the ways, as definitions write them."""


class Fitting(Protocol):
    """One way, for volumes of one shape (I, J, K)."""

    @property
    def exact(self) -> bool:
        """Whether each voxel that is kept comes back as it was, so that labels may be brought back as such."""

    @property
    def crops(self) -> bool:
        """Whether some voxels reach no slice."""

    def count(self, planes: int) -> int:
        """How many slices it makes of a volume with so many planes along the axis."""

    def image(self, volume: NDArray[Any], pad: Pad) -> NDArray[Any]:
        """(C, I, J, K) to slices (S, C, H, W)."""

    def label(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Class indices (I, J, K) to (S, H, W); 0 where the volume has ended."""

    def undo(self, slices: NDArray[Any], *, nearest: bool) -> NDArray[Any]:
        """Bring maps (S, N, H, W) back to (N, I, J, K); what was cropped away is 0."""


@dataclass(frozen=True)
class Framed:
    """Slices padded and cropped around their centre."""

    axis: Axis
    frame: Frame
    exact: bool = True

    @property
    def crops(self) -> bool:
        """Whether the frame is smaller than the volume."""
        return self.frame.crops

    def count(self, planes: int) -> int:
        """One of each plane."""
        return planes

    def image(self, volume: NDArray[Any], pad: Pad) -> NDArray[Any]:
        """Pad, crop and cut."""
        return self.axis.cut(self.frame.apply(volume, pad))

    def label(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Pad, crop and cut."""
        return self.axis.cut(self.frame.apply(volume))

    def undo(self, slices: NDArray[Any], *, nearest: bool) -> NDArray[Any]:
        """Stack and take the frame off."""
        del nearest  # nothing is resampled
        return self.frame.undo(self.axis.stack(slices))


@dataclass(frozen=True)
class Resized:
    """Slices stretched to a size: images and probabilities linearly, labels by the nearest pixel.

    Where a slice shrinks, images are smoothed first (torch's `antialias`), so that no thin structure is lost
    between two pixels.

    Attributes:
        axis: How the volume is cut.
        inner: (H, W) of the volume's own slices.
        size: (H, W) of the network's.
    """

    axis: Axis
    inner: tuple[int, int]
    size: tuple[int, int]
    exact: bool = False
    crops: bool = False

    def count(self, planes: int) -> int:
        """One of each plane."""
        return planes

    def image(self, volume: NDArray[Any], pad: Pad) -> NDArray[Any]:
        """Cut and stretch."""
        del pad  # no border is added
        return _stretched(self.axis.cut(volume), self.size)

    def label(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Cut and stretch."""
        return _stretched_nearest(self.axis.cut(volume)[:, None], self.size)[:, 0]

    def undo(self, slices: NDArray[Any], *, nearest: bool) -> NDArray[Any]:
        """Stretch back and stack."""
        back = _stretched_nearest if nearest else _stretched
        return self.axis.stack(back(slices, self.inner))


@dataclass(frozen=True)
class Tiled:
    """Slices cut into overlapping tiles, row after row; the last row and column end with the slice.

    Attributes:
        axis: How the volume is cut.
        inner: (S, H, W): number and size of the volume's own slices.
        size: (H, W) of a tile.
        overlap: Least share of a tile that the next one repeats, in [0, 0.9].
    """

    axis: Axis
    inner: tuple[int, int, int]
    size: tuple[int, int]
    overlap: float
    exact: bool = False
    crops: bool = False

    def count(self, planes: int) -> int:
        """All tiles of each plane."""
        return planes * len(self._places())

    def image(self, volume: NDArray[Any], pad: Pad) -> NDArray[Any]:
        """Pad what is smaller than a tile, cut, and take the tiles."""
        return self._tiles(self.axis.cut(self._frame().apply(volume, pad)))

    def label(self, volume: NDArray[Any]) -> NDArray[Any]:
        """The same of class indices."""
        return self._tiles(self.axis.cut(self._frame().apply(volume)))

    def undo(self, slices: NDArray[Any], *, nearest: bool) -> NDArray[Any]:
        """Average the tiles, each weighing most in its middle; labels are those of the middlemost tile."""
        places, window = self._places(), self._window()
        count, height, width = self.inner
        whole = (max(height, self.size[0]), max(width, self.size[1]))
        planes = slices.reshape(count, len(places), *slices.shape[1:])
        made = np.zeros((count, slices.shape[1], *whole), dtype=slices.dtype if nearest else np.float32)
        weight = np.zeros(whole, dtype=np.float32)
        for number, (row, column) in enumerate(places):
            here = (slice(row, row + self.size[0]), slice(column, column + self.size[1]))
            if nearest:
                first = window > weight[here]
                made[..., here[0], here[1]][..., first] = planes[:, number][..., first]
                weight[here] = np.maximum(weight[here], window)
            else:
                made[..., here[0], here[1]] += planes[:, number] * window
                weight[here] += window
        if not nearest:
            made /= weight
        return self._frame().undo(self.axis.stack(made))

    def _frame(self) -> Frame:
        count, height, width = self.inner
        inner = self.axis.volume_size((height, width), count)
        outer = self.axis.volume_size((max(height, self.size[0]), max(width, self.size[1])), count)
        return Frame(inner, outer)

    def _places(self) -> list[tuple[int, int]]:
        rows, columns = (
            _origins(max(length, tile), tile, self.overlap)
            for length, tile in zip(self.inner[1:], self.size, strict=True)
        )
        return [(row, column) for row in rows for column in columns]

    def _tiles(self, slices: NDArray[Any]) -> NDArray[Any]:
        height, width = self.size
        cut = [slices[..., row : row + height, col : col + width] for row, col in self._places()]
        return np.stack(cut, axis=1).reshape(-1, *cut[0].shape[1:])

    def _window(self) -> NDArray[np.float32]:
        """(H, W) weights above 0: a pyramid, highest in the middle."""
        rows, columns = (
            1 - np.abs((np.arange(length) + 0.5) / length * 2 - 1) + 0.5 / length for length in self.size
        )
        return np.minimum.outer(rows, columns).astype(np.float32)


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


def _framed(rule: SliceRule, shape: tuple[int, int, int]) -> Fitting:
    axis = AXES[rule.axis]
    return Framed(axis, Frame(shape, axis.volume_size(rule.size, shape[axis.along])))


def _resized(rule: SliceRule, shape: tuple[int, int, int]) -> Fitting:
    axis = AXES[rule.axis]
    return Resized(axis, (shape[axis.rows], shape[axis.columns]), rule.size)


def _tiled(rule: SliceRule, shape: tuple[int, int, int]) -> Fitting:
    axis = AXES[rule.axis]
    return Tiled(axis, axis.seen(shape), rule.size, rule.overlap)


FITTINGS: Mapping[FitName, Callable[[SliceRule, tuple[int, int, int]], Fitting]] = {
    "pad": _framed,
    "resize": _resized,
    "tile": _tiled,
}
"""Makes each way from a rule and the shape (I, J, K) of a volume."""
