"""The grid that slices are cut on: target spacing, axis, size, depth of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: An axis with voxels so many times as long as the others', and so many times fewer of them, is one of thick slices.
#: Source: nnU-Net, ANISO_THRESHOLD of its experiment planner.
_ANISOTROPIC = 3.0

_LOW_PERCENTILE = 10

#: Axes whose voxels differ by less are alike.
_ALIKE = 1.1

_PLANES = ("sagittal", "coronal", "axial")

#: (row, column) of a slice across each RAS+ axis.
_IN_PLANE = ((2, 1), (2, 0), (1, 0))

#: A map is halved while it is at least twice as wide as this. Source: nnU-Net, its minimum feature map edge.
_LEAST_EDGE = 4
_MOST_HALVINGS = 5


def target_spacing(spacings: NDArray[np.float64], shapes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median voxel size; along an axis of thick slices the 10th percentile, but no finer than the other axes.

    Args:
        spacings: (N, 3), mm.
        shapes: (N, 3), voxels.

    Returns:
        (3,) mm.
    """
    target = np.median(spacings, axis=0)
    worst = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != worst]
    thick = target[worst] > _ANISOTROPIC * target[others].max()
    few = np.median(shapes, axis=0)[worst] * _ANISOTROPIC < np.median(shapes, axis=0)[others].min()
    if thick and few:
        target[worst] = max(np.percentile(spacings[:, worst], _LOW_PERCENTILE), target[others].max() + 1e-5)
    return target


@dataclass(frozen=True)
class CutAxis:
    """The axis that slices are cut across.

    Attributes:
        axis: Of RAS+: 0, 1 or 2.
        why: The reason, in words.
    """

    axis: int
    why: str

    @property
    def plane(self) -> str:
        """What the slices are called."""
        return _PLANES[self.axis]

    @property
    def in_plane(self) -> tuple[int, int]:
        """The RAS+ axes of rows and columns."""
        return _IN_PLANE[self.axis]


def cut_axis(target: NDArray[np.float64], shapes: NDArray[np.float64]) -> CutAxis:
    """The axis of the thickest slices; where voxels are alike, that with the fewest; axial where these are too.

    Args:
        target: (3,) mm.
        shapes: (N, 3), voxels.
    """
    middle = np.median(shapes, axis=0)
    if target.max() > _ALIKE * np.sort(target)[1] and middle.min() > 1:
        axis = int(np.argmax(target))
        return CutAxis(axis, f"slices are thickest across it: {target[axis]:.3g} mm")
    fewest = [axis for axis in (2, 1, 0) if middle[axis] <= middle.min()]
    words = " x ".join(f"{size:g}" for size in middle)
    return CutAxis(
        fewest[0], f"voxels are alike, and the volumes have the fewest slices across it (median {words})"
    )


def halvings(size: Sequence[int]) -> int:
    """How often a network may halve slices of this size."""
    count, edge = 0, min(size)
    while edge >= 2 * _LEAST_EDGE and count < _MOST_HALVINGS:
        count, edge = count + 1, edge // 2
    return max(count, 1)


def divisible(size: Sequence[float], by: int) -> list[int]:
    """A size rounded up to a multiple, at least one of them."""
    return [int(max(np.ceil(each / by), 1) * by) for each in size]
