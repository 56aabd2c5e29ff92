"""Scores of label maps, per patient volume: counts first, ratios from counts.

What is empty is treated by the one rule of `medseg.learning.scores.counts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.unannotated import blanked
from medseg.learning.scores.added.case_score import CaseScore, computed
from medseg.learning.scores.added.cases import MaskCase
from medseg.learning.scores.counts import COUNT_SCORES, confusion, counts_of
from medseg.learning.scores.intervals import case_means
from medseg.learning.scores.surface_distance import hausdorff95

if TYPE_CHECKING:
    from pandas import DataFrame

VOLUMES = ("volume_truth_ml", "volume_predicted_ml", "volume_difference_ml", "volume_absolute_difference_ml")

RATIOS = ("dice", "iou", "precision", "recall", "specificity", "f1")
"""Scores in [0, 1]; NaN where 0/0."""

IN_MM = ("hd95", *VOLUMES)
"""Scores that depend on the size of a voxel."""

VOLUME_SCORES = (*RATIOS, "hd95", *VOLUMES[2:])
"""What is summarised over patients: the ratios, HD95 in mm, volume differences in mL."""


def _members(classes: Sequence[str], regions: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """The class indices behind each name, classes before regions."""
    named = {name: (index,) for index, name in enumerate(classes)}
    if not named or len(named) < len(classes):
        raise ValueError(f"classes {list(classes)}: expected at least one name, none of them twice")
    for name, indices in regions.items():
        if name in named:
            raise ValueError(f"region {name!r} has the name of a class; give it another")
        if not indices or not all(0 <= index < len(classes) for index in indices):
            raise ValueError(f"region {name!r} joins {list(indices)}; expected some of 0..{len(classes) - 1}")
    return named | {name: tuple(dict.fromkeys(indices)) for name, indices in regions.items()}


@dataclass(frozen=True)
class ScoredVolume:
    """A volume with its scores.

    Attributes:
        case: Public name of the case.
        rows: Of the table, one for each name.
        matrix: (K, K) confusion matrix in voxels; rows are the truth.
    """

    case: str
    rows: list[dict[str, object]]
    matrix: NDArray[np.int64]


class VolumeScorer:
    """Scores each volume by itself, on its native grid, for classes and regions.

    Args:
        classes: Class names, in the order of their indices.
        regions: Class indices that each region joins, by the region's name.
        scores: Which of `COUNT_SCORES`, HD95 and the differences of volumes are in its table.
        added: Scores that are there beside.

    Attributes:
        members: Class indices behind each of the names.
        names: Classes, then regions.
        matrix: (K, K) confusion matrix pooled over all volumes, in voxels; rows are the truth.
    """

    def __init__(
        self,
        classes: Sequence[str],
        regions: Mapping[str, Sequence[int]],
        scores: Sequence[str] = VOLUME_SCORES,
        added: Sequence[CaseScore] = (),
    ) -> None:
        self.members = _members(classes, regions)
        self.scores, self._added = tuple(scores), tuple(added)
        self._rows: dict[str, list[dict[str, object]]] = {}
        self.names = tuple(self.members)
        self.matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)

    def add(
        self,
        case: str,
        group: str,
        truth: NDArray[Any],
        predicted: NDArray[Any],
        spacing: Sequence[float],
        *,
        voxel_volume: float | None = None,
        distances: bool = True,
    ) -> None:
        """Score one volume, and keep that; arguments and errors as of `scored`, and a case twice."""
        how: dict[str, Any] = {"voxel_volume": voxel_volume, "distances": distances}
        self.keep(self.scored(case, group, truth, predicted, spacing, **how))

    def keep(self, scored: ScoredVolume) -> None:
        """Take a volume that `scored` has scored, here or in another process.

        Raises:
            ValueError: A case twice.
        """
        if scored.case in self._rows:
            raise ValueError("a case was scored twice; score each volume once, whole")
        self._rows[scored.case] = scored.rows
        self.matrix = self.matrix + scored.matrix

    def scored(
        self,
        case: str,
        group: str,
        truth: NDArray[Any],
        predicted: NDArray[Any],
        spacing: Sequence[float],
        *,
        voxel_volume: float | None = None,
        distances: bool = True,
    ) -> ScoredVolume:
        """Score one volume, and change nothing here.

        Args:
            case: Public name of the case; each is scored once.
            group: Public name of the patient.
            truth: (I, J, K) class indices, or `UNANNOTATED`, where nothing is scored: for distances, neither mask is
                there.
            predicted: (I, J, K) class indices.
            spacing: Size of a voxel along I, J and K, in mm.
            voxel_volume: Of a voxel, mm3; None where its sides are at right angles.
            distances: Whether to compute HD95, where it is among the scores; without, it is NaN.

        Raises:
            ValueError: Other shapes, values that are no class, or no positive spacing.
        """
        truth, predicted = np.asarray(truth), np.asarray(predicted)
        if len(spacing) != truth.ndim or not all(0 < size < np.inf for size in spacing):
            raise ValueError(f"spacing {tuple(spacing)} for {truth.ndim} axes; expected one positive mm each")
        matrix = confusion(truth, predicted, len(self.matrix))
        predicted = blanked(truth, predicted)
        millilitres = (prod(spacing) if voxel_volume is None else voxel_volume) / 1000
        whole = MaskCase(case, self.members, truth, predicted, tuple(float(size) for size in spacing))
        found = {score.name: computed(score, whole) for score in self._added}
        distances = distances and "hd95" in self.scores
        rows: list[dict[str, object]] = []
        for name, members in self.members.items():
            counts = counts_of(matrix, members)
            row: dict[str, object] = {"case": case, "group": group, "name": name}
            row |= {score: float(COUNT_SCORES[score](*counts)) for score in COUNT_SCORES}
            row["hd95"] = _hausdorff95(members, truth, predicted, spacing) if distances else nan
            volumes = (counts.tp + counts.fn) * millilitres, (counts.tp + counts.fp) * millilitres
            difference = (counts.fp - counts.fn) * millilitres
            row |= dict(zip(VOLUMES, (*volumes, difference, abs(difference)), strict=True))
            row |= {score: values.get(name, nan) for score, values in found.items()}
            rows.append(row)
        return ScoredVolume(case, rows, matrix)

    def dice(self, names: Sequence[str]) -> DataFrame:
        """Mean Dice of each case over the names that it has, as of `case_means`: case, group, dice."""
        from pandas import DataFrame  # noqa: PLC0415 - as below

        rows = DataFrame([row for rows in self._rows.values() for row in rows])
        return case_means(rows, names, "dice")

    def frame(self) -> DataFrame:
        """Give the scores as a tidy table.

        Returns:
            One row per case and name: case, group, name, the ratios in [0, 1], hd95 in mm, the volumes in mL
            (truth, predicted, predicted - truth, and its absolute value), and the scores that were added.
        """
        from pandas import DataFrame  # noqa: PLC0415 - half a second that slices scored each epoch do without

        of_volume = VOLUMES if set(VOLUMES) & set(self.scores) else ()
        columns = [
            "case",
            "group",
            "name",
            *(score for score in self.scores if score not in VOLUMES),
            *of_volume,
        ]
        columns += [score.name for score in self._added]
        return DataFrame([row for rows in self._rows.values() for row in rows], columns=columns)


def _hausdorff95(
    members: Sequence[int], truth: NDArray[Any], predicted: NDArray[Any], spacing: Sequence[float]
) -> float:
    # comparing bytes class by class is eight times as fast here as one look-up table for all classes
    in_truth, in_prediction = (
        np.logical_or.reduce([labels == one for one in members]) for labels in (truth, predicted)
    )
    return hausdorff95(in_truth, in_prediction, spacing)
