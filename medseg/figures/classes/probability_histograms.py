"""How sure a network was of images without a label, round by round, and from where on it was believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from medseg.figures.lettering import fit_text
from medseg.figures.palette import inks
from medseg.figures.saving import DPI

_COLUMNS = 4
_PANEL = (2.9, 2.3)  # inches
_FOOT = 0.5  # inches, for the legend
_BINS = 20


def probability_histograms(
    tables: Mapping[int, pd.DataFrame],
    classes: Sequence[str],
    marks: Mapping[int, float | None],
    *,
    named: Mapping[int, str],
) -> Figure:
    """Draw, for each round, how many images have which probability of their predicted class, by that class.

    Args:
        tables: Of each round, a row for each image: `label`, its predicted class, and `probability` of it.
        classes: Their names, in order.
        marks: From which probability on images were accepted, by round; None where none was.
        named: What stands above each round.

    Raises:
        ValueError: There is no round.
    """
    if not tables:
        raise ValueError("histograms want at least one round")
    columns = min(_COLUMNS, len(tables))
    rows = ceil(len(tables) / columns)
    size = (max(columns * _PANEL[0], 5.0), rows * _PANEL[1] + _FOOT)
    layout = ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.06)
    figure = Figure(figsize=size, dpi=DPI, layout=layout, facecolor="white")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    tones = [tuple(tone) for tone in inks(len(classes) + 1)[1:]]
    edges = np.linspace(1 / max(len(classes), 2), 1, _BINS + 1)
    for axes, (number, table) in zip(panels, tables.items(), strict=False):
        each = [table.loc[table["label"] == name, "probability"].to_numpy() for name in classes]
        axes.hist([np.clip(part, edges[0], 1) for part in each], bins=edges, stacked=True, color=tones)
        mark = marks[number]
        if mark is not None:
            axes.axvline(mark, color="black", linestyle=(0, (4, 2)), linewidth=1.3)
        fit_text(axes.set_title(named[number], fontsize=9, parse_math=False), size[0] / columns - 0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    for axes in panels[len(tables) :]:
        axes.set_visible(False)
    figure.supxlabel("probability of the predicted class (broken line: accepted from here on)", fontsize=9)
    figure.supylabel("images", fontsize=9)
    handles = [Patch(color=tone) for tone in tones]
    legend = figure.legend(handles, classes, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
        fit_text(text, size[0] / 4 - 0.5)
    return figure
