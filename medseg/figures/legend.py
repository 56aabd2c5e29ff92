"""Legends of names: every name is in them, as it is written, whatever signs it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Patch

from medseg.figures.lettering import FittedName, fit_names, fit_text
from medseg.figures.palette import colours

UNANNOTATED_NAME = "not annotated"
"""What legends call pixels that have no class."""

_LETTERS = 9  # points of a name below pictures
_BESIDE = 0.5  # inches that its colour and the space to the next name take


def write_legend(owner: Any, artists: Sequence[Artist], room: float, **looks: Any) -> Legend:
    """Write a legend with one line for each artist, in their order.

    Matplotlib's own leaves out what begins with `_`, takes what stands between two `$` for a formula, and draws
    a bare box for a letter that its font lacks; none of this is true here.

    Args:
        owner: The axes or the figure that get the legend.
        artists: What was drawn; the label of each is what the legend says.
        room: Inches that a line may take across; longer ones are shortened in their middle.
        looks: Where it stands and how it looks, as `Axes.legend` takes it.
    """
    # set afterwards: older Matplotlibs drop labels with `_` even where they are given
    legend: Legend = owner.legend(artists, ["-"] * len(artists), **looks)
    for text, artist in zip(legend.get_texts(), artists, strict=True):
        text.set_parse_math(False)
        text.set_text(str(artist.get_label()))
        fit_text(text, room)
    return legend


def class_legend(figure: Figure, classes: Sequence[str], top: float, *, partly: bool = False) -> float:
    """Draw the names of classes 1.. with their colours, centred, in as many lines as the width asks for.

    Args:
        figure: To draw on.
        classes: Class names in the order of their indices; class 0 is transparent and is not listed.
        top: Upper edge of the legend, in inches from the bottom of the figure.
        partly: Whether it says what hatched pixels are: not annotated.

    Returns:
        Height of the legend in inches, as `legend_height` tells beforehand.
    """
    width, height = figure.get_size_inches()
    names = _fitted(classes, width, partly)
    tones = colours(len(classes))[1:] / 255
    patches = [
        Patch(facecolor=tuple(tone), edgecolor="0.4", linewidth=0.5, label=name.text)
        for name, tone in zip(names, tones, strict=False)
    ]
    patches += [hatched(names[-1].text)] if partly else []
    if patches:
        write_legend(
            figure,
            patches,
            width - _BESIDE,
            loc="upper center",
            bbox_to_anchor=(0.5, top / height),
            ncols=_columns(names, width),
            fontsize=_LETTERS,
            frameon=False,
            handlelength=1.2,
            columnspacing=1.4,
            borderaxespad=0.2,
        )
    return _height(names, width)


def legend_height(classes: Sequence[str], width: float, *, partly: bool = False) -> float:
    """Inches that `class_legend` takes on a figure of this width in inches."""
    return _height(_fitted(classes, width, partly), width)


def hatched(label: str = UNANNOTATED_NAME) -> Patch:
    """What stands in a legend for pixels that nobody annotated, as `overlay` draws them."""
    return Patch(facecolor="0.75", edgecolor="0.35", hatch="//////", linewidth=0.5, label=label)


def _fitted(classes: Sequence[str], width: float, partly: bool) -> list[FittedName]:
    names = [*classes[1:], *([UNANNOTATED_NAME] if partly else [])]
    return fit_names(Figure(), names, width - _BESIDE, size=_LETTERS)


def _height(names: Sequence[FittedName], width: float) -> float:
    lines = -(-len(names) // _columns(names, width))
    return 0.21 * lines + 0.15 if lines else 0.0


def _columns(names: Sequence[FittedName], width: float) -> int:
    longest = max((name.width for name in names), default=0.0)
    return max(1, min(len(names), int(width / (longest + _BESIDE))))
