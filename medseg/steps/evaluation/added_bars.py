"""Scores of each class and region as bars, with the patients as dots: Dice, and what a definition adds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from medseg.figures.score_bars import score_bars
from medseg.learning.scores.added.case_score import CaseScore
from medseg.learning.scores.intervals import by_patient
from medseg.steps.evaluation.evaluation import Figures

if TYPE_CHECKING:
    from pandas import DataFrame

_CALLED = {"dice": "Dice"}


def patient_bars(
    summary: DataFrame, score: str, frames: Sequence[DataFrame], role: str, noun: str = "patient"
) -> Figure:
    """Bars of a score with a dot for each patient.

    Args:
        summary: As `medseg.learning.scores.intervals.summarise` gives it.
        score: Which.
        frames: One row per case and name: group, name and the score; those without the columns give no dots.
        role: For the heading.
        noun: What a dot is.
    """
    patients = {
        str(name): by_patient(rows, [score])[score].dropna().to_numpy(dtype=float)
        for frame in frames
        if {"group", "name", score} <= set(frame.columns)
        for name, rows in frame.groupby("name", sort=False)
    }
    heading = f"{role}: {_CALLED.get(score, score)}"
    return score_bars(summary, score, heading=heading, patients=patients, noun=noun)


def added_bars(
    scores: Sequence[CaseScore], summary: DataFrame, frame: DataFrame, role: str, noun: str = "patient"
) -> Figures:
    """Bars of each score that was added, by its name; arguments as of `patient_bars`."""
    return {score.name: partial(patient_bars, summary, score.name, (frame,), role, noun) for score in scores}
