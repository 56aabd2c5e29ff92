"""Reliability diagram: observed frequency against predicted probability."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from medseg.figures.classes.confusion import short
from medseg.figures.legend import write_legend
from medseg.figures.lettering import fit_text
from medseg.figures.palette import inks
from medseg.figures.saving import DPI

_SIZE = (5.6, 6.6)  # inches


def reliability_diagram(
    mean_probability: NDArray[np.float64],
    observed: NDArray[np.float64],
    count: NDArray[np.int64],
    *,
    calibration_error: float,
    brier: float,
    name: str = "foreground",
    heading: str = "",
    edges: NDArray[np.float64] | None = None,
    unit: str = "pixels",
) -> Figure:
    """Draw the observed frequency over the predicted probability, and how many each bin holds.

    Of images with a class, two things may be drawn so: the probability of one class against how often it is
    the truth, or the probability of the class that was chosen against how often the choice is right.

    After DeGroot and Fienberg, "The comparison and evaluation of forecasters", The Statistician 32 (1983).

    Args:
        mean_probability: (B,) mean of the predicted probabilities in each bin; anything in empty bins.
        observed: (B,) share of what is counted that is so, in each bin; anything in empty bins.
        count: (B,) how many each bin holds.
        calibration_error: Mean distance from the diagonal, weighted by the counts.
        brier: Mean squared distance of the probabilities from what is so.
        name: Of what the probability is predicted.
        heading: Shown above; may be empty.
        edges: (B + 1,) rising edges of the bins in [0, 1]; by default bins of equal width.
        unit: What is counted, in the plural.

    Raises:
        ValueError: The arrays differ in length, hold no bin, or a filled bin lies outside [0, 1].
    """
    edges, filled = _checked(mean_probability, observed, count, edges)
    layout = ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.09)
    figure = Figure(figsize=_SIZE, dpi=DPI, layout=layout, facecolor="white")
    main, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    lefts, widths = edges[:-1][filled], np.diff(edges)[filled]
    _frequencies(
        main, lefts, widths, np.asarray(mean_probability)[filled], np.asarray(observed)[filled], name
    )
    scores = f"calibration error {_shown(calibration_error)}     Brier score {_shown(brier)}"
    title = main.set_title(f"{heading}\n{scores}" if heading else scores, fontsize=10.5, parse_math=False)
    if heading:
        title.set_text(heading)
        fit_text(title, _SIZE[0] - 1.2)
        title.set_text(f"{title.get_text()}\n{scores}")
    _histogram(below, lefts, widths, np.asarray(count)[filled], unit)
    for axes in (main, below):
        axes.set_xlim(-0.02, 1.02)
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _checked(
    mean_probability: NDArray[np.float64],
    observed: NDArray[np.float64],
    count: NDArray[np.int64],
    edges: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The edges of the bins, and which of them hold pixels."""
    bins = len(count)
    edges = np.linspace(0, 1, bins + 1) if edges is None else edges
    shapes = [np.shape(one) for one in (mean_probability, observed, count)]
    if not bins or shapes != [(bins,)] * 3 or np.shape(edges) != (bins + 1,):
        raise ValueError(f"bins are {shapes} with edges {np.shape(edges)}; expected (B,) thrice and (B + 1,)")
    filled = np.asarray(count) > 0
    across, up = np.asarray(mean_probability)[filled], np.asarray(observed)[filled]
    if not ((across >= 0) & (across <= 1) & (up >= 0) & (up <= 1)).all():
        raise ValueError("a bin that holds pixels has a probability or a frequency outside [0, 1]")
    return edges, filled


def _frequencies(
    axes: Any, lefts: Any, widths: Any, across: NDArray[np.float64], up: NDArray[np.float64], name: str
) -> None:
    """Draw a bar a bin, a point at its mean probability, and how far that is from the diagonal."""
    ink, gap = (tuple(tone) for tone in inks(3)[1:])
    axes.bar(lefts, up, widths, align="edge", color=ink, alpha=0.3, edgecolor="white", linewidth=0.8)
    right = axes.plot(
        (0, 1), (0, 1), color="0.4", linestyle=(0, (4, 3)), linewidth=1.2, label="perfect calibration"
    )
    axes.vlines(across, np.minimum(across, up), np.maximum(across, up), color=gap, linewidth=1.6, alpha=0.8)
    found = axes.plot(across, up, "o-", color=ink, markersize=5, linewidth=1.4, label=name)
    write_legend(axes, [*right, *found], _SIZE[0] - 1.9, loc="upper left", fontsize=9, frameon=False)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("observed frequency")


def _histogram(axes: Any, lefts: Any, widths: Any, counts: NDArray[np.int64], unit: str) -> None:
    axes.set_xlabel("predicted probability")
    axes.set_ylabel(f"{unit} (log)", parse_math=False)
    if not counts.size:
        axes.set_yticks([])
        axes.text(
            0.5,
            0.5,
            f"no {unit}",
            ha="center",
            va="center",
            transform=axes.transAxes,
            color="0.5",
            parse_math=False,
        )
        return
    axes.set_yscale("log")
    # a bin of one pixel is seen too: the axis begins below one
    ink = tuple(inks(2)[1])
    axes.bar(
        lefts, counts - 0.5, widths, bottom=0.5, align="edge", color=ink, edgecolor="white", linewidth=0.8
    )
    axes.set_ylim(0.5, 3.0 * float(counts.max()))
    axes.yaxis.set_major_formatter(lambda number, _: short(round(number)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _shown(score: float) -> str:
    return f"{score:.4f}" if isfinite(score) else "undefined"
