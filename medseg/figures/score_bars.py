"""One score of every class and region: its mean with its interval, and the patients behind it as dots."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.figures.dot_strip import dot_levels
from medseg.figures.lettering import fit_names, fit_text
from medseg.figures.palette import inks

if TYPE_CHECKING:
    from pandas import DataFrame

_MEAN = "bar: mean, whisker: 95 % bootstrap interval"
_UNITS = {"hd95": "hd95 (mm)", "volume_difference_ml": "volume difference (mL)"}
_NAME, _TITLE = 2.4, 6.0  # inches that they may take
_BAR = 0.62  # height, of 1 from one name to the next
_NOBODY = np.empty(0)
_INK = "#3d2b1f"  # of dots: dark enough to be seen on the bar, and on paper beyond its end


def score_bars(
    summary: DataFrame,
    score: str = "dice",
    *,
    heading: str = "",
    patients: Mapping[str, NDArray[np.float64]] | None = None,
    noun: str = "patient",
) -> Figure:
    """Draw the mean of a score as a bar for each name, with its 95 % interval and a dot for each patient.

    Args:
        summary: As `medseg.learning.scores.intervals.summarise` gives it.
        score: Which score; one in [0, 1] is drawn on that range.
        heading: Shown above, before what dot, bar and whisker are; by default the score.
        patients: The defined scores of the patients, by name; names that are missing have no dots.
        noun: What a dot is.

    Raises:
        ValueError: The summary has no row of this score.
    """
    rows = summary[summary["score"] == score].to_dict("records")
    if not rows:
        raise ValueError(f"the summary has no score {score!r}; it has {sorted(summary['score'].unique())}")
    figure = Figure(figsize=(8.0, 1.3 + 0.42 * len(rows)), layout="constrained", facecolor="white")
    axes = figure.subplots()
    ink = tuple(inks(2)[1])
    defined = [(place, row) for place, row in enumerate(rows) if row["patients"]]
    between = [(place, row) for place, row in defined if not isnan(row["low"])]  # one patient has no interval
    dots = {
        place: values
        for place, row in defined
        if len(values := (patients or {}).get(str(row["name"]), _NOBODY))
    }
    ends_of = [row[end] for end in ("low", "high") for _, row in between]
    reached = [
        *(row["mean"] for _, row in defined),
        *ends_of,
        *(each for them in dots.values() for each in them),
    ]
    floor, bound = min([0.0, *reached]), max([1.0, *reached])
    for place, row in enumerate(rows):
        count = int(row["patients"])
        text = f"{row['mean']:.3f}  (n = {count})" if count else f"undefined in every {noun}"
        axes.text(1.02, place, text, va="center", fontsize=9, transform=axes.get_yaxis_transform())
    places = [place for place, _ in defined]
    means = [row["mean"] for _, row in defined]
    axes.barh(places, means, height=_BAR, color=ink, alpha=0.8 if not dots else 0.45)
    for place, values in dots.items():
        levels = dot_levels((values - floor) / (bound - floor))
        axes.plot(
            values, place + _BAR / 2 * levels, "o", color=_INK, markersize=3.5, alpha=0.6, markeredgewidth=0
        )
    # the mean may lie outside its percentile interval by a rounding error, and a whisker is never negative
    below = [max(row["mean"] - row["low"], 0.0) for _, row in between]
    above = [max(row["high"] - row["mean"], 0.0) for _, row in between]
    ends: dict[str, Any] = {
        "xerr": [below, above],
        "fmt": "none",
        "ecolor": "black",
        "elinewidth": 1.3,
        "capsize": 3.5,
    }
    axes.errorbar([row["mean"] for _, row in between], [place for place, _ in between], **ends)
    names = fit_names(figure, [row["name"] or "all" for row in rows], _NAME, size=10)
    axes.set_yticks(range(len(rows)), [name.text for name in names], parse_math=False, fontsize=10)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_fontfamily(name.families)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(floor * 1.05, bound if bound == 1 else bound * 1.05)
    drawn = f"dot: a {noun}, {_MEAN}" if dots else _MEAN
    title = f"{heading or _UNITS.get(score, score)}; {drawn}"
    fit_text(axes.set_title(title, fontsize=11, parse_math=False), _TITLE)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure
