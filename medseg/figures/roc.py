"""What every threshold would give: ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.figures.lettering import fit_names, fit_text
from medseg.figures.palette import inks
from medseg.figures.saving import DPI
from medseg.figures.threshold_curve import telling

_PANEL = 4.3  # inches a side
_LEFT, _BETWEEN, _RIGHT = 0.65, 0.85, 0.2
_TITLE = 0.36
_HEADING = 0.4
_UNDER = 0.55
_LINE = 0.2
_NOTE = 0.24
_NAME = 2.1  # so that a name is shortened alike in both legends
_TONES = 7  # told apart by any eye; past them, curves are broken too
_BROKEN: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)))
_MOST_GUESSES = 4  # lines of prevalence, past which only their range is shown
_MARK: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 8,
    "markeredgecolor": "black",
    "zorder": 4,
}


@dataclass(frozen=True)
class RocCurve:
    """One pair of curves, with the areas under them; what is undefined is NaN.

    Attributes:
        fpr: (N,) false positives over all negatives, in [0, 1], rising.
        tpr: (N,) true positives over all positives, in [0, 1], rising.
        auroc: Area under the ROC curve.
        recall: (M,) in [0, 1], rising or falling.
        precision: (M,) in [0, 1].
        average_precision: Sum of the precisions, each weighted by the rise of recall that reaches it.
        prevalence: Share of positives, which is the precision of guessing.
        operating: False positive rate, true positive rate, recall and precision at the threshold in use.
    """

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    auroc: float
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    average_precision: float
    prevalence: float
    operating: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        pairs = (("fpr and tpr", self.fpr, self.tpr), ("recall and precision", self.recall, self.precision))
        for names, first, second in pairs:
            if first.ndim != 1 or first.shape != second.shape:
                raise ValueError(f"{names} are {first.shape} and {second.shape}; wanted one length")

    def steps(self) -> NDArray[np.float64]:
        """(M, 2): recall and precision with recall rising, so that a step leads up to each point."""
        falling = len(self.recall) > 1 and self.recall[0] > self.recall[-1]
        points = np.stack([self.recall, self.precision], axis=1)
        return points[::-1] if falling else points


def roc_and_precision_recall(curves: Mapping[str, RocCurve], heading: str = "", *, note: str = "") -> Figure:
    """Draw ROC curves beside precision-recall curves, with the lines that guessing would give.

    Precision is drawn in steps, as the average precision counts it: between two thresholds a line would
    promise what no threshold gives (Davis and Goadrich, "The relationship between precision-recall and ROC
    curves", ICML 2006).

    Args:
        curves: By the name of what was tested, at least one.
        heading: Shown above; may be empty.
        note: Shown below it in smaller letters: what is not drawn, say; may be empty.

    Raises:
        ValueError: No curves.
    """
    if not curves:
        raise ValueError("ROC curves want at least one curve")
    marked = any(curve.operating is not None for curve in curves.values())
    under = _UNDER + _LINE * (len(curves) + 1 + marked) + 0.1
    top = _TITLE + (_HEADING if heading else 0.05) + (_NOTE if note else 0)
    width, height = _LEFT + 2 * _PANEL + _BETWEEN + _RIGHT, top + _PANEL + under
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    if heading:
        line = figure.text(
            0.5, 1 - 0.22 / height, heading, ha="center", va="center", fontsize=12, parse_math=False
        )
        fit_text(line, width - 0.4)
    if note:
        below = _HEADING if heading else 0.05
        line = figure.text(
            0.5, 1 - (below + 0.05) / height, note, ha="center", va="center", fontsize=9, parse_math=False
        )
        fit_text(line, width - 0.4)
    roc, recalls = (
        figure.add_axes((left / width, under / height, _PANEL / width, _PANEL / height))
        for left in (_LEFT, _LEFT + _PANEL + _BETWEEN)
    )
    _draw(figure, curves, roc, recalls)
    _finish(roc, "ROC", "false positive rate", "true positive rate (recall)")
    _finish(recalls, "Precision and recall", "recall", "precision")
    return figure


def _draw(figure: Figure, curves: Mapping[str, RocCurve], roc: Any, recalls: Any) -> None:
    roc.plot((0, 1), (0, 1), color="0.55", linestyle=(0, (4, 3)), linewidth=1.2, label="chance")
    guesses = {curve.prevalence for curve in curves.values() if isfinite(curve.prevalence)}
    tones = [tuple(tone) for tone in inks(_TONES + 1)[1:]]
    names = [name.text for name in fit_names(figure, list(curves), _NAME, size=9)]
    for place, (name, curve) in enumerate(zip(names, curves.values(), strict=True)):
        tone, broken = tones[place % _TONES], _BROKEN[place // _TONES % len(_BROKEN)]
        look: dict[str, Any] = {"color": tone, "linestyle": broken, "linewidth": 1.8}
        keep = telling(curve.fpr, curve.tpr)
        label = f"{name}: {_shown('AUROC', curve.auroc)}"
        roc.plot(curve.fpr[keep], curve.tpr[keep], label=label, **look)
        if isfinite(curve.prevalence) and 1 < len(guesses) <= _MOST_GUESSES:
            recalls.axhline(curve.prevalence, color=tone, linestyle=(0, (4, 3)), linewidth=1.2)
        points = curve.steps()
        label = f"{name}: {_shown('average precision', curve.average_precision)}"
        points = points[telling(*points.T)]
        recalls.plot(*points.T, drawstyle="steps-pre", label=label, **look)
        if curve.operating is not None:
            roc.plot(*curve.operating[:2], color=tone, **_MARK)
            recalls.plot(*curve.operating[2:], color=tone, **_MARK)
    _chance(recalls, sorted(guesses))
    if any(curve.operating is not None for curve in curves.values()):
        for axes in (roc, recalls):
            axes.plot([], [], color="white", label="threshold in use", **_MARK)


def _chance(axes: Any, guesses: list[float]) -> None:
    """Draw one prevalence, name the lines of several, which have their curves' colours, or shade many."""
    style: dict[str, Any] = {"color": "0.55", "linestyle": (0, (4, 3)), "linewidth": 1.2}
    if len(guesses) == 1:
        axes.axhline(guesses[0], label=f"prevalence {guesses[0]:.3f}", zorder=1, **style)
    elif len(guesses) > _MOST_GUESSES:
        label = f"prevalences {guesses[0]:.3f}–{guesses[-1]:.3f}"
        axes.axhspan(guesses[0], guesses[-1], color="0.85", linewidth=0, zorder=0, label=label)
    elif guesses:
        axes.plot([], [], label=f"prevalence {guesses[0]:.3f}–{guesses[-1]:.3f}", **style)


def _shown(name: str, area: float) -> str:
    return f"{name} {area:.4f}" if isfinite(area) else f"{name} undefined"


def _finish(axes: Any, title: str, across: str, up: str) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    legend = axes.legend(
        loc="upper left",
        bbox_to_anchor=(-0.03, -_UNDER / _PANEL + 0.02),
        fontsize=9,
        frameon=False,
        borderaxespad=0.0,
        labelspacing=0.35,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
        fit_text(text, _PANEL - 0.4)
