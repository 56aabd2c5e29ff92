"""Which classes and regions the mean score is over: that of the first number, which ranks the patients too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isclose
from typing import TYPE_CHECKING

from medseg.api.reporting.kept import Kept
from medseg.api.reporting.scores import MEAN, Summary, chosen
from medseg.learning.scores.intervals import by_patient, case_means

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_AGREE = 1e-6  # what a table lost of its numbers


def mean_names(kept: Kept, cases: DataFrame, score: str, summary: Summary | None) -> Sequence[str]:
    """The names whose mean is the score of all together.

    A definition names them, or leaves it to its task: all classes but the first, or all regions. Of these, those are
    taken whose mean is the one that the table of scores holds.

    Args:
        kept: The run.
        cases: One row per case and name.
        score: A column of it.
        summary: Of the same part; without a mean of all together, those that the definition names, or else all.

    Returns:
        Names of the table; none where no choice gives the mean that the run took.
    """
    names = list(dict.fromkeys(cases["name"]))
    given = [name for name in chosen(kept) if name in names]
    row = None if summary is None else summary.row(MEAN, score)
    if row is None:
        return given or names
    regions = kept.definition.task.get("regions") if kept.definition is not None else None
    joined = [name for name in names if isinstance(regions, Mapping) and name in regions]
    classes = [name for name in names if name not in joined]
    for tried in (given, classes[1:], joined):
        mean = float(of_patients(cases, tried, score).mean()) if tried else float("nan")
        if isclose(mean, float(row["mean"]), rel_tol=_AGREE, abs_tol=_AGREE):
            return tried
    return ()


def of_patients(cases: DataFrame, names: Sequence[str], score: str) -> Series:
    """The mean score of each patient over these names, by the patient; NaN where there is none."""
    return by_patient(case_means(cases, names, score), [score])[score]


def over(names: Sequence[str]) -> str:
    """What the mean is over, in words."""
    return ", ".join(names)
