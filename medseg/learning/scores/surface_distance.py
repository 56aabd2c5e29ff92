"""Distances between the surfaces of two masks, in mm.

When one mask alone is empty there is no distance; the score is then the diagonal of the volume, which no
two of its voxels exceed, as the BraTS challenge does (373.13 mm on its 240x240x155 grid). When both are
empty the score is NaN, and left out: see `medseg.learning.scores.counts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray
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
    apart = np.argwhere(of & ~to)  # voxels in both are 0 mm apart: no need to ask the tree
    distances = np.zeros(int(np.count_nonzero(of)))
    if len(apart):
        tree = cKDTree(np.argwhere(to) * size, leafsize=32)
        distances[: len(apart)] = tree.query(apart * size)[0]
    return float(np.quantile(distances, 0.95))
