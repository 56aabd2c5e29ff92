"""Scores of label maps, per patient volume: counts first, ratios from counts.

The one rule for classes that are empty, used everywhere in medseg:

    A ratio 0/0 says nothing about a patient and is left out of the mean; `patients` tells how many remain.

| truth | prediction | Dice, IoU, F1 | precision | recall   | HD95                   |
| ----- | ---------- | ------------- | --------- | -------- | ---------------------- |
| empty | empty      | left out      | left out  | left out | left out               |
| empty | some       | 0             | 0         | left out | diagonal of the volume |
| some  | empty      | 0             | left out  | 0        | diagonal of the volume |

Left out is written NaN in tables, and no key at all among metrics. Volume differences are always defined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.surface_distance import hausdorff95

if TYPE_CHECKING:
    from pandas import DataFrame

VOLUMES = ("volume_truth_ml", "volume_predicted_ml", "volume_difference_ml", "volume_absolute_difference_ml")


@dataclass(frozen=True)
class Counts:
    """How many voxels of one class or region were met and missed.

    Attributes:
        tp: In truth and in prediction.
        fp: In the prediction alone.
        fn: In the truth alone.
        tn: In neither.
    """

    tp: int
    fp: int
    fn: int
    tn: int


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else nan


def _overlap(c: Counts) -> float:
    return _ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn)


RATIOS: Mapping[str, Callable[[Counts], float]] = {
    # Dice, "Measures of the amount of ecologic association between species", Ecology 26 (1945); over
    # voxels it is the F1 score of van Rijsbergen (1979), listed under both names since people ask for both.
    "dice": _overlap,
    # Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 11 (1912).
    "iou": lambda c: _ratio(c.tp, c.tp + c.fp + c.fn),
    "precision": lambda c: _ratio(c.tp, c.tp + c.fp),
    "recall": lambda c: _ratio(c.tp, c.tp + c.fn),
    "specificity": lambda c: _ratio(c.tn, c.tn + c.fp),
    "f1": _overlap,
}
"""Scores in [0, 1] by name; NaN where 0/0."""

IN_MM = ("hd95", *VOLUMES)
"""Scores that depend on the size of a voxel."""

SCORES = (*RATIOS, "hd95", *VOLUMES[2:])
"""What is summarised over patients: the ratios, HD95 in mm, volume differences in mL."""


def confusion(truth: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Count voxels by true and by predicted class.

    Args:
        truth: Class indices, any integer type and any shape.
        predicted: Class indices, of the same shape.
        classes: Number of classes K.

    Returns:
        (K, K) counts; rows are the truth, columns the prediction.

    Raises:
        ValueError: The shapes differ, or a value is no class index in 0..K-1.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape} and prediction {predicted.shape}; compare them on one grid")
    for role, labels in (("truth", truth), ("prediction", predicted)):
        if labels.dtype.kind not in "biu":
            raise ValueError(f"{role} holds {labels.dtype}; class indices are integers")
        if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(
                f"{role} holds class indices {labels.min()}..{labels.max()}; wanted 0..{classes - 1}. "
                "Map stored label values to class indices first"
            )
    joint = truth.ravel().astype(np.intp) * classes
    joint += predicted.ravel().astype(np.intp, copy=False)  # int64 + uint64 would be float64
    return np.bincount(joint, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def counts_of(matrix: NDArray[np.int64], members: Sequence[int]) -> Counts:
    """Read the counts of a class, or of a region that joins several, from a confusion matrix.

    Args:
        matrix: (K, K) counts; rows are the truth.
        members: Indices of the classes that make the region; a mistake of one for another is none here.
    """
    inside = np.zeros(len(matrix), dtype=bool)
    inside[list(members)] = True
    return Counts(
        tp=int(matrix[np.ix_(inside, inside)].sum()),
        fp=int(matrix[np.ix_(~inside, inside)].sum()),
        fn=int(matrix[np.ix_(inside, ~inside)].sum()),
        tn=int(matrix[np.ix_(~inside, ~inside)].sum()),
    )


def _members(classes: Sequence[str], regions: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """The class indices behind each name, classes before regions."""
    named = {name: (index,) for index, name in enumerate(classes)}
    if not named or len(named) < len(classes):
        raise ValueError(f"classes {list(classes)}: wanted at least one name, none of them twice")
    for name, indices in regions.items():
        if name in named:
            raise ValueError(f"region {name!r} has the name of a class; give it another")
        if not indices or not all(0 <= index < len(classes) for index in indices):
            raise ValueError(f"region {name!r} joins {list(indices)}; wanted some of 0..{len(classes) - 1}")
    return named | {name: tuple(dict.fromkeys(indices)) for name, indices in regions.items()}


class VolumeScorer:
    """Scores each volume by itself, on its native grid, for classes and regions.

    Args:
        classes: Class names, in the order of their indices.
        regions: Class indices that each region joins, by the region's name.
        distances: Whether to compute HD95, which takes most of the time; without, it is NaN.

    Attributes:
        names: Classes, then regions.
        matrix: (K, K) confusion matrix pooled over all volumes, in voxels; rows are the truth.
    """

    def __init__(
        self, classes: Sequence[str], regions: Mapping[str, Sequence[int]], *, distances: bool = True
    ) -> None:
        self._members = _members(classes, regions)
        self._distances = distances
        self._rows: dict[str, list[dict[str, object]]] = {}
        self.names = tuple(self._members)
        self.matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)

    def add(
        self,
        case: str,
        group: str,
        truth: NDArray[Any],
        predicted: NDArray[Any],
        spacing: Sequence[float],
    ) -> None:
        """Score one volume.

        Args:
            case: Public name of the case; each is scored once.
            group: Public name of the patient.
            truth: (I, J, K) class indices.
            predicted: (I, J, K) class indices.
            spacing: Size of a voxel along I, J and K, in mm.

        Raises:
            ValueError: A case twice, other shapes, values that are no class, or no positive spacing.
        """
        truth, predicted = np.asarray(truth), np.asarray(predicted)
        if case in self._rows:
            raise ValueError("a case was scored twice; score each volume once, whole")
        if len(spacing) != truth.ndim or not all(0 < size < np.inf for size in spacing):
            raise ValueError(f"spacing {tuple(spacing)} for {truth.ndim} axes; wanted one positive mm each")
        matrix = confusion(truth, predicted, len(self.matrix))
        millilitres = float(np.prod(np.asarray(spacing, dtype=float))) / 1000
        rows: list[dict[str, object]] = []
        for name, members in self._members.items():
            counts = counts_of(matrix, members)
            row: dict[str, object] = {"case": case, "group": group, "name": name}
            row |= {score: ratio(counts) for score, ratio in RATIOS.items()}
            row["hd95"] = self._distance(members, truth, predicted, spacing)
            volumes = (counts.tp + counts.fn) * millilitres, (counts.tp + counts.fp) * millilitres
            difference = (counts.fp - counts.fn) * millilitres
            row |= dict(zip(VOLUMES, (*volumes, difference, abs(difference)), strict=True))
            rows.append(row)
        self._rows[case] = rows
        self.matrix = self.matrix + matrix

    def _distance(
        self, members: Sequence[int], truth: NDArray[Any], predicted: NDArray[Any], spacing: Sequence[float]
    ) -> float:
        if not self._distances:
            return nan
        # comparing bytes class by class is eight times as fast here as one look-up table for all classes
        in_truth, in_prediction = (
            np.logical_or.reduce([labels == one for one in members]) for labels in (truth, predicted)
        )
        return hausdorff95(in_truth, in_prediction, spacing)

    def frame(self) -> DataFrame:
        """Give the scores as a tidy table.

        Returns:
            One row per case and name: case, group, name, the ratios in [0, 1], hd95 in mm, and
            the volumes in mL (truth, predicted, predicted - truth, and its absolute value).
        """
        from pandas import DataFrame  # noqa: PLC0415 - half a second that slices scored each epoch do without

        columns = ["case", "group", "name", *RATIOS, "hd95", *VOLUMES]
        return DataFrame([row for rows in self._rows.values() for row in rows], columns=columns)
