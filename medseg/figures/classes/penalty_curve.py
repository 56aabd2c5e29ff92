"""The log loss that each penalty of a logistic regression would have had."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from medseg.figures.legend import write_legend
from medseg.figures.lettering import fit_text
from medseg.figures.palette import inks
from medseg.figures.saving import DPI

_SIZE = (6.4, 4.4)  # inches


def penalty_curve(
    strengths: NDArray[np.float64],
    losses: NDArray[np.float64],
    errors: NDArray[np.float64],
    *,
    chosen: float,
    chance: float,
    heading: str = "",
) -> Figure:
    """Draw the mean log loss of the folds over C, and mark the C that was chosen.

    Args:
        strengths: (N,) the C that were tried, above 0, rising.
        losses: (N,) mean log loss of the folds.
        errors: (N,) its standard error over the folds.
        chosen: One of the C.
        chance: Log loss of one who knows how frequent the classes are, and nothing else.
        heading: Shown above; may be empty.

    Raises:
        ValueError: The arrays differ in length, or the chosen C was not tried.
    """
    if not len(strengths) == len(losses) == len(errors) or chosen not in strengths:
        raise ValueError(
            f"{len(strengths)} C, {len(losses)} losses and {len(errors)} errors, chosen {chosen}; expected as many "
            "of each, and one of the C"
        )
    layout = ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.09)
    figure = Figure(figsize=_SIZE, dpi=DPI, layout=layout, facecolor="white")
    axes = figure.subplots()
    ink, mark = (tuple(tone) for tone in inks(3)[1:])
    band = axes.fill_between(
        strengths,
        losses - errors,
        losses + errors,
        color=ink,
        alpha=0.2,
        linewidth=0,
        label="± standard error",
    )
    line = axes.plot(
        strengths, losses, "o-", color=ink, markersize=4, linewidth=1.4, label="mean of the folds"
    )
    least = float(losses[list(strengths).index(chosen)])
    star = axes.plot(
        chosen, least, "*", color=mark, markersize=15, zorder=4, label=f"chosen, C = {chosen:g}: {least:.4f}"
    )
    guess = axes.axhline(
        chance, color="0.4", linestyle=(0, (4, 3)), linewidth=1.2, label=f"frequencies alone: {chance:.4f}"
    )
    axes.set_xscale("log")
    # where a C is far too large the loss has no bounds, and what counts would be flat
    axes.set_ylim(0, 1.1 * max(2 * chance, least + float(errors[list(strengths).index(chosen)])))
    axes.set_xlabel("C (to the left, coefficients are held smaller)")
    axes.set_ylabel("log loss")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    looks: dict[str, Any] = {
        "loc": "upper center",
        "bbox_to_anchor": (0.5, -0.16),
        "ncols": 2,
        "frameon": False,
    }
    write_legend(axes, [*line, band, *star, guess], _SIZE[0] - 2, fontsize=9, **looks)
    if heading:
        fit_text(axes.set_title(heading, fontsize=11, parse_math=False), _SIZE[0] - 1.2)
    return figure
