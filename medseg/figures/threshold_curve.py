"""The score that each threshold on a probability would have had."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import ArrayLike, NDArray

from medseg.figures.lettering import fit_text, settle
from medseg.figures.palette import inks
from medseg.figures.saving import DPI

_SIZE = (7.2, 4.6)  # inches
_STEPS = 1000  # of each axis: finer than the pixels of a picture
Points = Sequence[tuple[float, float]]


def threshold_curve(
    coarse: Points,
    curve: Points,
    *,
    chosen: float,
    value: float,
    value_at_half: float,
    score_name: str,
    heading: str = "",
) -> Figure:
    """Draw a score over the threshold, and mark the threshold that was chosen.

    Args:
        coarse: Threshold and score of the first search, few; drawn as points.
        curve: Threshold and score of the exact search, any number, in any order; drawn as a line.
        chosen: The threshold, in [0, 1].
        value: The score at it.
        value_at_half: The score at the threshold 0.5, drawn for comparison.
        score_name: What the score is called.
        heading: Shown above; may be empty.

    What is not finite is left out; where nothing is finite, the figure notes that the score is undefined.

    Raises:
        ValueError: A threshold lies outside [0, 1].
    """
    rough, fine = _finite(coarse), _finite(curve)
    thresholds = [*rough[:, 0], *fine[:, 0], *([chosen] if isfinite(chosen) else [])]
    if thresholds and not 0 <= min(thresholds) <= max(thresholds) <= 1:
        raise ValueError(f"thresholds are {min(thresholds)}..{max(thresholds)}; expected them in [0, 1]")
    layout = ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.09)
    figure = Figure(figsize=_SIZE, dpi=DPI, layout=layout, facecolor="white")
    axes = figure.subplots()
    ink, mark = (tuple(tone) for tone in inks(3)[1:])
    if len(fine):
        keep = telling(fine[:, 0], fine[:, 1])
        axes.plot(*fine[keep].T, color=ink, linewidth=1.6, label="all distinct probabilities")
    if len(rough):
        axes.plot(*rough.T, "o", color="black", markersize=5, markerfacecolor="white", label="first search")
    if isfinite(value_at_half):
        label = f"at 0.5: {value_at_half:.4f}"
        axes.plot(0.5, value_at_half, "D", color="0.35", markersize=7, label=label, zorder=3)
    if isfinite(chosen) and isfinite(value):
        label = f"chosen, {chosen:.4g}: {value:.4f}"
        axes.axvline(chosen, color=mark, linestyle=(0, (4, 2)), linewidth=1.3)
        axes.plot(chosen, value, "*", color=mark, markersize=15, label=label, zorder=4)
    scores = [*rough[:, 1], *fine[:, 1], *(one for one in (value, value_at_half) if isfinite(one))]
    _finish(axes, scores)
    settle(axes.set_ylabel(score_name, parse_math=False))
    if heading:
        fit_text(axes.set_title(heading, fontsize=11, parse_math=False), _SIZE[0] - 1.4)
    return figure


def _finish(axes: Any, scores: Sequence[float]) -> None:
    """Name what was drawn, or say that there is nothing, and show all scores and those from 0 to 1."""
    if axes.lines:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=9, frameon=False)
    else:
        axes.text(0.5, 0.5, "undefined at every threshold", ha="center", va="center", color="0.4")
    low, high = min(*scores, 0, 1), max(*scores, 0, 1)
    room = 0.03 * (high - low)
    axes.set_ylim(low - room, high + room)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("threshold")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _finite(points: Points) -> NDArray[np.float64]:
    """(N, 2), in order of the thresholds."""
    table = np.asarray(points, np.float64).reshape(-1, 2)
    table = table[np.isfinite(table).all(axis=1)]
    return table[np.argsort(table[:, 0], kind="stable")]


def telling(across: ArrayLike, up: ArrayLike) -> NDArray[np.intp]:
    """Find the points of a curve that a picture can show: those that move by a thousandth of a unit.

    A curve over all distinct probabilities of all pixels has millions of them.

    Args:
        across: (N,) places along x, in order, in units of the range shown.
        up: (N,) places along y.

    Returns:
        Indices in order: the first and the last point, and of each run that falls on one place its two ends.
    """
    places = np.stack([np.asarray(across, np.float64), np.asarray(up, np.float64)])
    moved = (np.diff(np.round(places * _STEPS)) != 0).any(axis=0)
    return np.flatnonzero(np.r_[True, moved] | np.r_[moved, True])[: places.shape[1]]
