"""Cases as points, coloured by groups: the same points in a panel for each way to group them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.figures.legend import write_legend
from medseg.figures.lettering import fit_text, write_heading
from medseg.figures.palette import inks
from medseg.figures.saving import DPI

_PANEL, _LEGEND, _TOP = 4.2, 0.22, 0.5  # inches: side of a panel, a line of a legend, the heading
_MOST = 12  # groups with a colour; more could not be told apart
_MARKERS = "osD^vP"
_GREY = "0.72"


def scatter(
    points: NDArray[Any],
    groupings: Mapping[str, Sequence[Any] | pd.Series],
    *,
    axes: tuple[str, str],
    heading: str = "",
    missing: Mapping[str, str] | None = None,
) -> Figure:
    """Draw a panel for each grouping.

    The largest groups have a colour and a sign each; what there are more of is called `other`. Cases of no group
    are grey, and drawn first.

    Args:
        points: (N, 2).
        groupings: Group of each of the N cases by what the panel is called; missing where a case has none.
        axes: What the two coordinates are called.
        heading: Above all panels.
        missing: What a case without a group is, by panel.

    Raises:
        ValueError: There is no panel, or other numbers of points and groups.
    """
    lengths = {name: len(groups) for name, groups in groupings.items()}
    if not lengths or set(lengths.values()) != {len(points)} or points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points are {points.shape}, groups {lengths}; expected (N, 2) and N in each panel")
    drawn = {name: _largest(groups) for name, groups in groupings.items()}
    lines = max(len(kinds) + bool((~np.isin(groups, kinds)).any()) for groups, kinds in drawn.values())
    size = (_PANEL * len(drawn) + 0.4, _PANEL + _TOP + _LEGEND * lines + 0.3)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")
    bottom, top = (_LEGEND * lines + 0.75) / size[1], 1 - (_TOP + 0.3) / size[1]
    panels = figure.subplots(1, len(drawn), squeeze=False, gridspec_kw={"bottom": bottom, "top": top})[0]
    figure.subplots_adjust(left=0.7 / size[0], right=1 - 0.2 / size[0], wspace=0.25)
    for panel, (name, (groups, kinds)) in zip(panels, drawn.items(), strict=True):
        _draw(panel, points, groups, kinds, (missing or {}).get(name, "not known"))
        fit_text(panel.set_title(name, fontsize=10.5, parse_math=False), _PANEL - 0.6)
        panel.set_xlabel(axes[0], fontsize=9, parse_math=False)
        panel.set_ylabel(axes[1], fontsize=9, parse_math=False)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    write_heading(figure, heading, _TOP / 2, size=11)
    return figure


def _largest(groups: Sequence[Any] | pd.Series) -> tuple[NDArray[Any], list[str]]:
    """The group of each case as text, empty for none, and the groups that are drawn: in order, `other` last."""
    given = pd.Series(list(groups), dtype=object)
    there = given.notna()
    texts = given.where(there, "").astype(str)
    counts = texts[there].value_counts(sort=False)
    kinds = _in_order(counts.index)
    if len(kinds) > _MOST:
        kept = set(counts.sort_values(ascending=False, kind="stable").index[: _MOST - 1])
        other = f"other ({len(kinds) - len(kept)} groups)"
        texts = texts.where(texts.isin(kept) | ~there, other)
        kinds = [*(kind for kind in kinds if kind in kept), other]
    return texts.to_numpy(), kinds


def _in_order(kinds: pd.Index) -> list[str]:
    """Numbers by their value, before texts."""
    return sorted(kinds, key=lambda kind: (not kind.isdigit(), int(kind) if kind.isdigit() else 0, kind))


def _draw(panel: Any, points: NDArray[Any], groups: NDArray[Any], kinds: Sequence[str], missing: str) -> None:
    artists = []
    none = ~np.isin(groups, kinds)
    if none.any():
        label = f"{missing} ({none.sum()})"
        artists += panel.plot(*points[none].T, "o", color=_GREY, markersize=3.5, label=label, zorder=1)
    tones = [tuple(tone) for tone in inks(len(kinds) + 1)[1:]]
    for place, (kind, tone) in enumerate(zip(kinds, tones, strict=True)):
        of = groups == kind
        artists += panel.plot(
            *points[of].T,
            _MARKERS[place % len(_MARKERS)],
            color=tone,
            markersize=4.5,
            alpha=0.8,
            markeredgewidth=0,
            label=f"{kind} ({of.sum()})",
            zorder=2,
        )
    looks: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13), "frameon": False}
    write_legend(panel, artists, _PANEL - 0.8, fontsize=8.5, handletextpad=0.2, labelspacing=0.3, **looks)
