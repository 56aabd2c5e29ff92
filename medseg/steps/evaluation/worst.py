"""The patients with the worst scores, and which of their slices are looked through."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.intervals import by_patient

if TYPE_CHECKING:
    from pandas import DataFrame

MOST_PATIENTS = 5
"""Patients whose slices a run keeps: each is predicted once more."""

MOST_SLICES = 7
"""Slices of each that it keeps."""


@dataclass(frozen=True)
class Ranked:
    """A case to look through.

    Attributes:
        case: Its id.
        group: Of the patient.
        score: Of the case.
    """

    case: str
    group: str
    score: float


def worst_patients(means: DataFrame, score: str, most: int = MOST_PATIENTS) -> list[Ranked]:
    """The worst case of each of the worst patients, the worst patient first; ties go by name.

    Args:
        means: As `medseg.learning.scores.intervals.case_means` gives them; a case without the score is passed over.
        score: The column; less is worse.
        most: How many patients.
    """
    known = means.dropna(subset=[score])
    if known.empty:
        return []
    patients = by_patient(known, [score])[score].items()
    found = []
    for group, _ in sorted(patients, key=lambda each: (each[1], str(each[0])))[:most]:
        own = known[known["group"] == group].sort_values([score, "case"])
        found.append(Ranked(str(own["case"].iloc[0]), str(group), float(own[score].iloc[0])))
    return found


def looked_through(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    counted: Collection[int],
    mine: NDArray[np.intp] | None = None,
    most: int = MOST_SLICES,
) -> NDArray[np.intp]:
    """Places of slices, evenly from the first to the last that show what is scored, in truth or prediction.

    Args:
        truth: (S, H, W) class indices, or `UNANNOTATED`.
        predicted: (S, H, W) class indices.
        counted: Class indices that are scored.
        mine: Places that may be shown; all by default.
        most: How many.

    Returns:
        At least one place, ascending; of a case that shows none of these classes, evenly through all slices.
    """
    own = np.arange(len(truth)) if mine is None else mine
    wanted = list(counted)
    shows = (np.isin(truth[own], wanted) | np.isin(predicted[own], wanted)).any(axis=(1, 2))
    there = own[shows] if shows.any() else own
    return there[np.unique(np.linspace(0, len(there) - 1, min(most, len(there))).round().astype(np.intp))]
