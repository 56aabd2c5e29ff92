"""Distances between the surfaces of two masks, in mm.

When one mask alone is empty there is no distance; the score is then the diagonal of the volume, which no
two of its voxels exceed, as the BraTS challenge does (373.13 mm on its 240x240x155 grid). When both are
empty the score is NaN, and left out: see `medseg.learning.scores.counts`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree


def hausdorff95(truth: NDArray[Any], predicted: NDArray[Any], spacing: Sequence[float]) -> float:
    """Measure the symmetric 95th percentile of the Hausdorff distance.

    The definition of `monai.metrics.compute_hausdorff_distance(percentile=95)`: the larger of the two
    directed 95th percentiles, each over the distances from every surface voxel of one mask to the nearest
    surface voxel of the other. (Others pool both directions first and come out lower.) Outside the
    volume counts as background, so that a mask cut by the border has its surface there. A volume of one
    slice is measured as that slice: see `extended`.

    Args:
        truth: Boolean mask, (I, J, K) or (H, W).
        predicted: Boolean mask of the same shape.
        spacing: Size of a voxel along each axis, in mm.

    Returns:
        Distance in mm; NaN if both masks are empty, the diagonal of the volume if one is.

    Raises:
        ValueError: The shapes differ, or spacing has another number of axes.
    """
    truth, predicted = np.asarray(truth, dtype=bool), np.asarray(predicted, dtype=bool)
    if truth.shape != predicted.shape or len(spacing) != truth.ndim:
        raise ValueError(
            f"truth is {truth.shape}, prediction {predicted.shape}, spacing has {len(spacing)} axes; "
            "compare them on one grid"
        )
    axes = extended(truth.shape)
    truth, predicted = (mask.reshape([mask.shape[axis] for axis in axes]) for mask in (truth, predicted))
    size = np.asarray(spacing, dtype=float)[axes]
    box = _bounding_box(truth | predicted)
    if box is None:
        return nan
    in_truth, in_prediction = surface(truth[box]), surface(predicted[box])
    if not (in_truth.any() and in_prediction.any()):
        return float(np.linalg.norm(truth.shape * size))
    there = _percentile95(in_truth, in_prediction, size)
    back = _percentile95(in_prediction, in_truth, size)
    return max(there, back)


def extended(shape: Sequence[int]) -> list[int]:
    """The axes of a grid along which it has more than one voxel; the first one where it has none.

    Along an axis of length 1 all voxels lie on the border: with it, a surface would be the whole mask, and the
    distances between outlines would drown in those between their insides.
    """
    return [axis for axis, length in enumerate(shape) if length > 1] or [0]


def surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the voxels of a mask that a face neighbour outside it touches, or the border of the array."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        along = np.moveaxis(mask, axis, 0)
        kept = np.moveaxis(inner, axis, 0)
        kept[1:] &= along[:-1]
        kept[:-1] &= along[1:]
        kept[[0, -1]] = False
    return mask & ~inner


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """The smallest box that holds the mask; None if it is empty."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        if not filled.size:
            return None
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(box)


def _percentile95(of: NDArray[np.bool_], to: NDArray[np.bool_], size: NDArray[np.float64]) -> float:
    """95th percentile of the distances from the voxels `of` to the nearest voxel `to`, in mm."""
    apart, total = np.argwhere(of & ~to), int(np.count_nonzero(of))
    same = total - len(apart)  # voxels in both are 0 mm apart: no need to look for them
    place = 0.95 * (total - 1)
    ranks = [rank - same for rank in (math.floor(place), math.ceil(place))]
    if ranks[1] < 0:
        return 0.0
    low, high = _nearest(apart, np.argwhere(to), size, (max(ranks[0], 0), ranks[1]))
    if ranks[0] < 0:
        low = 0.0
    return low + (high - low) * (place - math.floor(place))


_CELL = 4
"""Side of a cell, in voxels."""

_FEW = 20_000
"""So many distances are computed one by one."""


def _nearest(
    points: NDArray[np.int64], to: NDArray[np.int64], size: NDArray[np.float64], ranks: tuple[int, int]
) -> tuple[float, float]:
    """Two of the sorted distances from each of the points to the nearest of others, in mm.

    A weak model has millions of surface voxels, and only those at the percentile matter: distances between cells
    tell which those are, since the distance of a voxel differs from that of its cell by a diagonal at most.

    Args:
        points: (N, D) indices of voxels.
        to: (M, D) those of the others.
        size: (D,) of a voxel.
        ranks: Places in the sorted distances, from 0; the second is not before the first.
    """
    below = 0
    if len(points) > _FEW or len(to) > _FEW:
        between, diagonal = _of_cells(points, to, size)
        first, second = np.partition(between, ranks)[list(ranks)]
        # what is surely nearer than the first, or farther than the second, need not be known; 1e-6 is for rounding
        near, far = first - 2 * diagonal - 1e-6, second + 2 * diagonal + 1e-6
        below = int(np.count_nonzero(between < near))
        points = points[(between >= near) & (between <= far)]
        reach = np.ceil((far + diagonal) / size).astype(np.int64)
        within = (to >= points.min(axis=0) - reach) & (to <= points.max(axis=0) + reach)
        to = to[within.all(axis=1)]
    distances = cKDTree(to * size, leafsize=32).query(points * size)[0]
    chosen = [rank - below for rank in ranks]
    low, high = np.partition(distances, chosen)[chosen]
    return float(low), float(high)


def _of_cells(
    points: NDArray[np.int64], to: NDArray[np.int64], size: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """(N,) distances between the middles of each point's cell and the nearest cell with others; a cell's diagonal."""
    cells, others = points // _CELL, to // _CELL
    shape = np.maximum(cells.max(axis=0), others.max(axis=0)) + 1
    empty = np.ones(shape, dtype=bool)
    empty[tuple(others.T)] = False
    far = ndimage.distance_transform_edt(empty, sampling=size * _CELL)
    diagonal = float(np.linalg.norm((_CELL - 1) * size))
    return far[tuple(cells.T)], diagonal
