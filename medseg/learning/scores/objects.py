"""Objects in a plane: which are found, and how well they are delineated.

Two objects match where their IoU is above 0.5. Objects of one map do not overlap, so that each has at most
one such partner and the matching is unique (Kirillov et al., "Panoptic Segmentation", CVPR 2019).

Ratios 0/0 are NaN: a picture without objects in truth and prediction is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from medseg.learning.scores.counts import CountScore, dice, precision, ratio, recall


def _pairs(
    score: CountScore, matched: ArrayLike, truth: ArrayLike, predicted: ArrayLike
) -> NDArray[np.float64]:
    """A score of objects: a matched pair is a true positive; the others are false negatives or false positives."""
    return score(matched, np.subtract(predicted, matched), np.subtract(truth, matched), 0)


OBJECT_RATIOS: Mapping[str, Callable[[ArrayLike, ArrayLike, ArrayLike, ArrayLike], NDArray[np.float64]]] = {
    "object_precision": lambda matched, truth, predicted, _: _pairs(precision, matched, truth, predicted),
    "object_recall": lambda matched, truth, predicted, _: _pairs(recall, matched, truth, predicted),
    "object_f1": lambda matched, truth, predicted, _: _pairs(dice, matched, truth, predicted),
    # matched + (predicted - matched) / 2 + (truth - matched) / 2 = (truth + predicted) / 2
    "panoptic_quality": lambda _, truth, predicted, iou_sum: ratio(
        2 * np.asarray(iou_sum), np.add(truth, predicted)
    ),
    "segmentation_quality": lambda matched, _, __, iou_sum: ratio(iou_sum, matched),
}
"""Scores in [0, 1] of matched, true and predicted objects and the sum of IoU, numbers or arrays."""


@dataclass(frozen=True)
class ObjectCounts:
    """How many objects were found.

    Attributes:
        matched: Pairs of a true and a predicted object.
        truth: True objects.
        predicted: Predicted objects.
        iou_sum: Sum of the IoU of the pairs.
    """

    matched: int
    truth: int
    predicted: int
    iou_sum: float

    def scores(self) -> dict[str, float]:
        """Give object_precision, object_recall, object_f1, panoptic_quality and segmentation_quality."""
        counts = self.matched, self.truth, self.predicted, self.iou_sum
        return {name: float(of(*counts)) for name, of in OBJECT_RATIOS.items()}


def connected(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number the connected components of a mask.

    Args:
        mask: (H, W), or (I, J, 1). Pixels that touch at a corner belong together (8-connectivity).

    Returns:
        (H, W): 0 for background, then 1, 2, ...
    """
    labels, _ = ndimage.label(plane(np.asarray(mask, dtype=bool)), structure=np.ones((3, 3), dtype=bool))
    return labels.astype(np.int32, copy=False)


def truth_objects(instances: NDArray[Any]) -> NDArray[np.int32]:
    """Read the objects of an instance map, which may be a plain mask.

    Where a single value other than 0 occurs, the map stands for a mask (0 and 1, or 0 and 255), and its
    connected components are the objects. With two or more, each value is one object, in one piece or not.

    Args:
        instances: (H, W) or (I, J, 1) integers or bool; 0 is background.

    Raises:
        ValueError: Negative values, or no integers.
    """
    instances = _labels(instances)
    inside = instances[instances > 0]
    if not inside.size or inside.min() == inside.max():
        return connected(instances > 0)
    return instances


def match_objects(truth: NDArray[Any], predicted: NDArray[Any], iou: float = 0.5) -> ObjectCounts:
    """Match true and predicted objects one to one.

    Args:
        truth: (H, W) or (I, J, 1) object numbers; 0 is background.
        predicted: The same, of the prediction.
        iou: A pair matches where its IoU is above this, in [0.5, 1).

    Raises:
        ValueError: An IoU below 0.5, where the matching is not unique; other shapes; negative numbers.
    """
    if not 0.5 <= iou < 1:
        raise ValueError(f"matching above IoU {iou}; expected 0.5 <= iou < 1: below, an object may have two")
    truth, predicted = _labels(truth), _labels(predicted)
    if truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape} and prediction {predicted.shape}; compare them on one grid")
    somewhere = (truth > 0) | (predicted > 0)
    width = int(predicted.max(initial=0)) + 1
    # one sparse contingency table: only pairs that meet in a pixel appear in it
    pairs, shared = np.unique(
        truth[somewhere].astype(np.int64) * width + predicted[somewhere], return_counts=True
    )
    rows, columns = np.divmod(pairs, width)
    true_objects, row_of = np.unique(rows, return_inverse=True)
    predicted_objects, column_of = np.unique(columns, return_inverse=True)
    true_area, predicted_area = (np.bincount(of, weights=shared) for of in (row_of, column_of))
    overlap = (rows > 0) & (columns > 0)
    together = true_area[row_of[overlap]] + predicted_area[column_of[overlap]] - shared[overlap]
    found = shared[overlap] / together
    found = found[found > iou]
    return ObjectCounts(
        matched=int(found.size),
        truth=int(np.count_nonzero(true_objects)),
        predicted=int(np.count_nonzero(predicted_objects)),
        iou_sum=float(found.sum()),
    )


def plane(array: NDArray[Any]) -> NDArray[Any]:
    """Take off the last axis of (I, J, 1).

    Raises:
        ValueError: Neither two axes, nor three of which the last has length 1.
    """
    array = np.asarray(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim != 2:
        raise ValueError(f"an array of shape {array.shape}; expected a plane, (H, W) or (I, J, 1)")
    return array


def _labels(array: NDArray[Any]) -> NDArray[np.int32]:
    array = plane(array)
    if array.dtype.kind not in "biu" or (
        array.size and not 0 <= int(array.min()) <= int(array.max()) < 2**31
    ):
        raise ValueError(
            f"object numbers are {array.dtype}; expected integers from 0 (background) to 2^31 - 1"
        )
    return array.astype(np.int32, copy=False)
