"""What every threshold would give: ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.figures.legend import write_legend
from medseg.figures.lettering import fit_names, write_heading
from medseg.figures.palette import strokes
from medseg.figures.saving import DPI
from medseg.figures.threshold_curve import telling

_PANEL = 4.3  # inches a side
_LEFT, _BETWEEN, _RIGHT = 0.65, 0.85, 0.2
_TITLE = 0.36
_HEADING = 0.4
_UNDER = 0.55
_LINE = 0.2
_NOTE = 0.24
_LETTERS = 9  # points of a legend
_THICK = 1.8  # points of a curve
_HANDLE = 3.0  # letters, so that broken lines are distinguished
_NAME = 2.1  # so that a name is shortened alike in both legends
_MOST_GUESSES = 4  # lines of prevalence, past which only their range is shown
_GUESS: dict[str, Any] = {"color": "0.55", "linestyle": (0, (4, 3)), "linewidth": 1.2}
_MARK: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 8,
    "markeredgecolor": "black",
    "zorder": 4,
}
Looks = Mapping[str, Mapping[str, Any]]


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
                raise ValueError(f"{names} are {first.shape} and {second.shape}; expected one length")

    def steps(self) -> NDArray[np.float64]:
        """(M, 2): recall and precision with recall rising, so that a step leads up to each point."""
        falling = len(self.recall) > 1 and self.recall[0] > self.recall[-1]
        points = np.stack([self.recall, self.precision], axis=1)
        return points[::-1] if falling else points


def roc_and_precision_recall(
    curves: Mapping[str, RocCurve], heading: str = "", *, note: str = "", names: Sequence[str] = ()
) -> Figure:
    """Draw ROC curves beside precision-recall curves, with the lines that guessing would give.

    Precision is drawn in steps, as the average precision counts it: between two thresholds a line would
    promise what no threshold gives (Davis and Goadrich, "The relationship between precision-recall and ROC
    curves", ICML 2006).

    Args:
        curves: By the name of what was tested, at least one.
        heading: Shown above; may be empty.
        note: Shown below it in smaller letters: what is not drawn, say; may be empty.
        names: What else could have been drawn too, in an order that gives each curve its colour and line; by
            default the names of the curves.

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
    write_heading(figure, heading, 0.22, size=12)
    write_heading(figure, note, (_HEADING if heading else 0.05) + 0.05, size=9)
    roc, recalls = (
        figure.add_axes((left / width, under / height, _PANEL / width, _PANEL / height))
        for left in (_LEFT, _LEFT + _PANEL + _BETWEEN)
    )
    everything = names or list(curves)
    looks = dict(zip(everything, strokes(len(everything)), strict=True))
    fitted = fit_names(figure, list(curves), _NAME, size=_LETTERS)
    called = {name: fit.text for name, fit in zip(curves, fitted, strict=True)}
    roc.set_title("ROC", fontsize=11)
    _finish(roc, _draw_roc(roc, curves, looks, called))
    roc.set(xlabel="false positive rate", ylabel="true positive rate (recall)")
    recalls.set_title("Precision and recall", fontsize=11)
    _finish(recalls, _draw_recalls(recalls, curves, looks, called))
    recalls.set(xlabel="recall", ylabel="precision")
    return figure


def _draw_roc(
    axes: Any, curves: Mapping[str, RocCurve], looks: Looks, called: Mapping[str, str]
) -> list[Artist]:
    """Draw the curves, and the marks on them; gives what the legend names."""
    drawn: list[Artist] = axes.plot((0, 1), (0, 1), label="chance", **_GUESS)
    for name, curve in curves.items():
        keep = telling(curve.fpr, curve.tpr)
        label = f"{called[name]}: {_shown('AUROC', curve.auroc)}"
        drawn += axes.plot(curve.fpr[keep], curve.tpr[keep], linewidth=_THICK, label=label, **looks[name])
    marks = {name: curve.operating[:2] for name, curve in curves.items() if curve.operating}
    return drawn + _mark(axes, marks, looks)


def _draw_recalls(
    axes: Any, curves: Mapping[str, RocCurve], looks: Looks, called: Mapping[str, str]
) -> list[Artist]:
    """Draw the curves, what guessing would give, and the marks; gives what the legend names."""
    drawn: list[Artist] = []
    for name, curve in curves.items():
        points = curve.steps()
        points = points[telling(*points.T)]
        label = f"{called[name]}: {_shown('average precision', curve.average_precision)}"
        drawn += axes.plot(*points.T, drawstyle="steps-pre", linewidth=_THICK, label=label, **looks[name])
    guesses = {name: curve.prevalence for name, curve in curves.items() if isfinite(curve.prevalence)}
    marks = {name: curve.operating[2:] for name, curve in curves.items() if curve.operating}
    return drawn + _guess(axes, guesses, looks) + _mark(axes, marks, looks)


def _guess(axes: Any, guesses: Mapping[str, float], looks: Looks) -> list[Artist]:
    """Draw one prevalence, name the lines of several, which have their curves' colours, or shade many."""
    several = sorted(set(guesses.values()))
    if not several:
        return []
    low, high = several[0], several[-1]
    if len(several) == 1:
        return [axes.axhline(low, zorder=1, label=f"prevalence {low:.3f}", **_GUESS)]
    if len(several) > _MOST_GUESSES:
        label = f"prevalences {low:.3f}–{high:.3f}"
        return [axes.axhspan(low, high, color="0.85", linewidth=0, zorder=0, label=label)]
    for name, guess in guesses.items():
        axes.axhline(guess, **_GUESS | {"color": looks[name]["color"]})
    return list(axes.plot([], [], label=f"prevalence {low:.3f}–{high:.3f}", **_GUESS))


def _mark(axes: Any, marks: Mapping[str, tuple[float, ...]], looks: Looks) -> list[Artist]:
    """Mark the threshold in use on each curve that has one."""
    for name, place in marks.items():
        axes.plot(*place, color=looks[name]["color"], **_MARK)
    return list(axes.plot([], [], color="white", label="threshold in use", **_MARK)) if marks else []


def _shown(name: str, area: float) -> str:
    return f"{name} {area:.4f}" if isfinite(area) else f"{name} undefined"


def _finish(axes: Any, drawn: Sequence[Artist]) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    write_legend(
        axes,
        drawn,
        _PANEL - 0.4,
        loc="upper left",
        bbox_to_anchor=(-0.03, -_UNDER / _PANEL + 0.02),
        fontsize=_LETTERS,
        frameon=False,
        handlelength=_HANDLE,
        borderaxespad=0.0,
        labelspacing=0.35,
    )
