"""How far predicted amounts lie from true ones, over their size: Bland and Altman's plot, of two models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.figures.lettering import fit_text, write_heading
from medseg.figures.palette import inks

_ACROSS = 4
_WIDTH, _HEIGHT, _TOP = 2.6, 2.6, 0.5  # inches of a panel, and of the heading
_NARROWEST = 5.6  # for the heading
_MARKS = "o^"

Floats = NDArray[np.float64]


def limits_of_agreement(differences: Floats) -> tuple[float, float, float]:
    """Mean difference, and the limits between which 95 % of normally distributed differences lie.

    Bland and Altman, "Statistical methods for assessing agreement between two methods of clinical measurement",
    Lancet 327, 1986.

    Args:
        differences: (P,) of each patient.

    Returns:
        Mean, lower and upper limit, mean -/+ 1.96 standard deviations (ddof=1); limits are NaN of fewer than two.
    """
    mean = float(differences.mean()) if differences.size else float("nan")
    spread = 1.96 * float(differences.std(ddof=1)) if differences.size > 1 else float("nan")
    return mean, mean - spread, mean + spread


def bland_altman(
    amounts: Mapping[str, tuple[Floats, Sequence[Floats]]], *, sides: tuple[str, str], unit: str, heading: str
) -> Figure:
    """Draw predicted minus true amounts over the mean of both, a panel for each class or region.

    Args:
        amounts: (P,) true amounts, and what each of the two models predicts, by the name of the panel.
        sides: What the models are called.
        unit: Of the amounts, such as mL.
        heading: Above all panels.

    Raises:
        ValueError: There is no panel.
    """
    if not amounts:
        raise ValueError("a Bland-Altman plot needs at least one class or region")
    across = min(_ACROSS, len(amounts))
    down = ceil(len(amounts) / across)
    size = (max(_WIDTH * across + 0.6, _NARROWEST), _HEIGHT * down + _TOP)
    figure = Figure(figsize=size, facecolor="white")
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - _TOP / size[1]))
    panels = figure.subplots(down, across, squeeze=False).flat
    tones = [tuple(ink) for ink in inks(3)[1:]]
    for (name, (truth, predicted)), axes in zip(amounts.items(), panels, strict=False):
        for side, values, mark, tone in zip(sides, predicted, _MARKS, tones, strict=True):
            kept = ~np.isnan(truth) & ~np.isnan(values)
            off = (values - truth)[kept]
            axes.plot(
                ((values + truth) / 2)[kept], off, mark, color=tone, markersize=4, alpha=0.7, label=side
            )
            mean, low, high = limits_of_agreement(off)
            axes.axhline(mean, color=tone, linewidth=1.2)
            for limit in (low, high):
                axes.axhline(limit, color=tone, linewidth=0.9, linestyle="--")
        axes.axhline(0, color="black", linewidth=0.5)
        fit_text(axes.set_title(name, fontsize=10, parse_math=False), _WIDTH)
        axes.set_xlabel(f"mean of both ({unit})", fontsize=8)
        axes.set_ylabel(f"predicted - true ({unit})", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.legend(fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels:  # what is left of the grid
        axes.set_visible(False)
    write_heading(figure, f"{heading} (lines: mean, and limits of agreement)", _TOP / 2, size=11)
    return figure
