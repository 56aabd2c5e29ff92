"""Each patient's score under two models, joined by a line: who got better, and who got worse."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.figures.lettering import fit_text, write_heading
from medseg.figures.palette import inks

_ACROSS = 4
_WIDTH, _HEIGHT, _TOP = 2.3, 2.7, 0.5  # inches of a panel, and of the heading
_NARROWEST = 5.6  # for the heading

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def paired_dots(
    pairs: Mapping[str, Pair], *, sides: tuple[str, str], larger_is_better: bool, heading: str
) -> Figure:
    """Draw a panel for each class or region.

    Args:
        pairs: (P,) scores of the same patients under the first and the second model, by the name of the panel; NaN
            where a patient has none.
        sides: What the models are called.
        larger_is_better: Whether a line that falls is that of a patient who got worse.
        heading: Above all panels.

    Raises:
        ValueError: There is no panel, or a pair is not of the same patients.
    """
    if not pairs:
        raise ValueError("paired dots need at least one class or region")
    across = min(_ACROSS, len(pairs))
    down = ceil(len(pairs) / across)
    size = (max(_WIDTH * across + 0.8, _NARROWEST), _HEIGHT * down + _TOP)
    figure = Figure(figsize=size, facecolor="white")
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - _TOP / size[1]))
    panels = figure.subplots(down, across, squeeze=False).flat
    gained, lost = (tuple(ink) for ink in inks(3)[1:])
    for (name, (first, second)), axes in zip(pairs.items(), panels, strict=False):
        if first.shape != second.shape:
            raise ValueError(f"{name}: {first.size} and {second.size} patients; expected the same ones twice")
        kept = ~np.isnan(first) & ~np.isnan(second)
        worse = (second < first) if larger_is_better else (second > first)
        for of, ink, style in ((kept & ~worse, gained, "-"), (kept & worse, lost, "--")):
            axes.plot([0, 1], np.stack([first[of], second[of]]), style, color=ink, alpha=0.45, linewidth=0.9)
            axes.plot(
                np.repeat([0, 1], of.sum()),
                np.concatenate([first[of], second[of]]),
                "o",
                color=ink,
                markersize=3,
            )
        fit_text(axes.set_title(name, fontsize=10, parse_math=False), _WIDTH)
        count, fallen = int(kept.sum()), int((kept & worse).sum())
        axes.set_xticks([0, 1], sides)
        axes.set_xlim(-0.25, 1.25)
        axes.set_xlabel(f"{fallen} of {count} worse" if count else "in no patient", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(axis="y", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels:  # what is left of the grid
        axes.set_visible(False)
    write_heading(figure, f"{heading} (broken lines: worse)", _TOP / 2, size=11)
    return figure
