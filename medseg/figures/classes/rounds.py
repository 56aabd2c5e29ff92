"""What the rounds of a self-training accepted, and what that did to score and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from medseg.figures.legend import write_legend
from medseg.figures.lettering import settle
from medseg.figures.palette import inks
from medseg.figures.saving import DPI

_SIZE = (11.0, 3.9)  # inches
_LINE = 130  # characters of the heading
_ROOM = 2.6  # inches of a line of a legend
_BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18), "frameon": False}


def rounds_figure(
    rounds: pd.DataFrame,
    classes: Sequence[str],
    *,
    best: int,
    stop_calibration: float,
    heading: str = "",
) -> Figure:
    """Draw what was accepted, the score with the best round, and the calibration error, over the rounds.

    Args:
        rounds: A row for each, that of the first network (0) before them: `round`, `unlabelled`, `accepted_<class>`,
            `precision_of_accepted`, `score`, `calibration_error`; empty where there is no such number.
        classes: Their names, in order.
        best: Number of the best round.
        stop_calibration: Calibration error above which it ends.
        heading: Shown above; may be empty.
    """
    figure = Figure(figsize=_SIZE, dpi=DPI, layout="constrained", facecolor="white")
    if heading:
        settle(figure.suptitle("\n".join(wrap(heading, _LINE)), fontsize=10, parse_math=False))
    accepted, scores, errors = figure.subplots(1, 3)
    _accepted(accepted, rounds, classes)
    blue, red = (tuple(tone) for tone in inks(3)[1:])
    _line(scores, rounds, "score", color=blue, label="validation score")
    at = rounds.loc[rounds["round"] == best, "score"].astype(float)
    name = f"round {best}" if best else "the network as it came"
    scores.plot([best], at, "*", color=red, markersize=15, zorder=4, label=f"best: {name}")
    _line(scores, rounds, "precision_of_accepted", color="0.4", label="accepted labels that are right")
    scores.set_title("Score", fontsize=10)
    _line(errors, rounds, "calibration_error", color=blue, label="of the validation images")
    top = float(rounds["calibration_error"].astype(float).max())
    if top > stop_calibration / 2:  # else it only makes the curve flat
        errors.axhline(stop_calibration, color=red, linestyle=(0, (4, 2)), label="ends above this")
    errors.set_ylim(0, max(1.15 * top, 0.05))
    errors.set_title("Calibration error", fontsize=10)
    for axes in (accepted, scores, errors):
        axes.set_xlabel("round")
        axes.set_xlim(-0.6, max(1, int(rounds["round"].max())) + 0.6)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        handles, _ = axes.get_legend_handles_labels()
        write_legend(axes, handles, _ROOM, fontsize=8, **_BELOW)
    return figure


def _accepted(axes: Any, rounds: pd.DataFrame, classes: Sequence[str]) -> None:
    """Stacked bars by class, and how many there are to accept."""
    begun = rounds[rounds["round"] > 0]
    below = np.zeros(len(begun))
    for name, tone in zip(classes, inks(len(classes) + 1)[1:], strict=True):
        counts = begun[f"accepted_{name}"].to_numpy(float)
        axes.bar(begun["round"], counts, bottom=below, color=tuple(tone), label=name, width=0.7)
        below += counts
    pool = float(begun["unlabelled"].max())
    axes.axhline(pool, color="0.4", linestyle=(0, (4, 2)), label="all without a label")
    axes.set_ylim(0, 1.08 * pool)
    axes.set_title("Accepted images", fontsize=10)


def _line(axes: Any, rounds: pd.DataFrame, column: str, **style: Any) -> None:
    found = rounds[rounds[column].notna()]
    if len(found):
        axes.plot(found["round"], found[column].astype(float), "o-", markersize=4, linewidth=1.4, **style)
