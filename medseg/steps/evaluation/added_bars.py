"""Bars of the scores that a definition adds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from medseg.figures.score_bars import score_bars
from medseg.learning.scores.added.case_score import CaseScore
from medseg.steps.evaluation.evaluation import Figures

if TYPE_CHECKING:
    from pandas import DataFrame


def added_bars(scores: Sequence[CaseScore], summary: DataFrame, role: str) -> Figures:
    """Bars of each score that was added, by its name."""

    def draw(name: str) -> Figure:
        return score_bars(summary, name, heading=f"{role}: {name} per patient")

    return {score.name: partial(draw, score.name) for score in scores}
