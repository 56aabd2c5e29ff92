"""Where a network looked: heat over pictures, of those it took rightly beside those it took wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.figures.classes.claim import CLAIM_HEIGHT, Claim, write_claim
from medseg.figures.lettering import write_heading
from medseg.figures.mask_grid import draw_picture, shrunk
from medseg.figures.saving import DPI

# Rises evenly in lightness, so that it is read without colour vision and in grey print too.
_MAP = "inferno"
_OPACITY = 0.55

_CELL = 1.75  # inches across
_INSIDE, _BETWEEN, _GAP = 0.06, 0.4, 0.14
_MARGIN = 0.2
_HEADING = 0.42
_TITLE = 0.3
_BAR = 0.75
_STRETCH = (0.5, 1.6)  # height over width of a cell
_BAR_WIDTH = 3.4
_BAR_SIDE = 0.8  # for what its ends are called


@dataclass(frozen=True)
class HeatView(Claim):
    """A picture, its prediction, and where the network looked.

    Attributes:
        heat: (h, w) in [0, 1], 1 where the picture spoke most for the class. It covers the whole picture,
            on whatever grid.
    """

    heat: NDArray[np.floating[Any]]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.heat)


def heat_overlay(image: NDArray[Any], heat: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Lay heat over a picture, in colours that rise from dark over red to yellow.

    Args:
        image: (H, W) greys or (H, W, 3) colours, in 0..255.
        heat: (h, w) in [0, 1], on a grid over the whole picture; drawn out bilinearly to (H, W).

    Returns:
        (H, W, 3) colours in 0..255.

    Raises:
        ValueError: The image is of another shape or range, or the heat holds other values.
    """
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or not image.size:
        raise ValueError(f"the image is {image.shape}; expected (H, W) or (H, W, 3)")
    if not (image.min() >= 0 and image.max() <= 255):
        raise ValueError(f"the image holds {image.min()}..{image.max()}; expected 0..255")
    _check(heat)
    for axis, side in enumerate(image.shape[:2]):
        heat = _stretched(heat, axis, side)
    tints = colormaps[_MAP](heat)[..., :3] * 255
    shown = image if image.ndim == 3 else image[..., None]
    return (shown * (1 - _OPACITY) + tints * _OPACITY).round().astype(np.uint8)


def heat_maps(hits: Sequence[HeatView], misses: Sequence[HeatView] | None, *, heading: str = "") -> Figure:
    """Show pictures with their heat beside them: on the left what was taken rightly, on the right wrongly.

    Args:
        hits: Pictures of which the predicted class is the true one, in the order of the rows.
        misses: The others; a side that has none says so. None: which are hits is not known,
            and all that are given stand in one column.
        heading: Shown above; may be empty.
    """
    sides = {"": hits} if misses is None else {"hits": hits, "misses": misses}
    rows = max(map(len, sides.values()))
    views = [view for side in sides.values() for view in side]
    stretches = [view.image.shape[0] / view.image.shape[1] for view in views]
    up = _CELL * min(max(float(np.median(stretches)), _STRETCH[0]), _STRETCH[1]) if views else 0.5
    pair = 2 * _CELL + _INSIDE
    width = 2 * _MARGIN + len(sides) * (pair + _BETWEEN) - _BETWEEN
    title = 0.0 if misses is None else _TITLE
    top = (_HEADING if heading else 0.08) + title
    height = top + max(rows, 1) * (CLAIM_HEIGHT + up + _GAP) + _BAR
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    write_heading(figure, heading, 0.22, size=12)
    for number, (name, side) in enumerate(sides.items()):
        left = _MARGIN + number * (pair + _BETWEEN)
        middle = (left + pair / 2) / width
        level = 1 - (top - title / 2) / height
        if name:
            figure.text(middle, level, name, ha="center", va="center", fontsize=11, weight="bold")
        if not side:
            where = 1 - (top + (CLAIM_HEIGHT + up) / 2) / height
            empty = f"no {name or 'pictures'}"
            figure.text(middle, where, empty, ha="center", va="center", fontsize=11, color="0.4")
        for row, view in enumerate(side):
            edge = height - top - row * (CLAIM_HEIGHT + up + _GAP) - CLAIM_HEIGHT
            write_claim(figure, view, (left + pair / 2, edge), pair)
            _pair(figure, view, (left, edge - up), up)
    if views:
        _bar(figure)
    return figure


def _pair(figure: Figure, view: HeatView, corner: tuple[float, float], up: float) -> None:
    """Draw a picture and its heat side by side; the corner is the lower left one, in inches."""
    width, height = figure.get_size_inches()
    small = shrunk(view.image)
    for number, picture in enumerate((small, heat_overlay(small, view.heat))):
        left = corner[0] + number * (_CELL + _INSIDE)
        axes = figure.add_axes((left / width, corner[1] / height, _CELL / width, up / height))
        draw_picture(axes, picture, view.image.shape)
    if not view.heat.any():
        axes.text(
            0.5,
            0.5,
            "no place stands out",
            ha="center",
            va="center",
            transform=axes.transAxes,
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )


def _bar(figure: Figure) -> None:
    """Draw the scale of the heat below all rows, as it looks over mid-grey."""
    width, height = figure.get_size_inches()
    across = min(_BAR_WIDTH, width - 2 * _BAR_SIDE)
    axes = figure.add_axes((0.5 - across / 2 / width, 0.45 / height, across / width, 0.13 / height))
    bar = figure.colorbar(ScalarMappable(cmap=_MAP), cax=axes, orientation="horizontal", ticks=(0, 0.5, 1))
    bar.ax.set_xticklabels(["0: least", "0.5", "1: most of this picture"], fontsize=8.5)
    bar.outline.set_visible(False)


def _check(heat: NDArray[Any]) -> None:
    if heat.ndim != 2 or not heat.size or not (heat.min() >= 0 and heat.max() <= 1):
        raise ValueError(f"the heat is {heat.shape}; expected (h, w), all of it in 0..1")


def _stretched(values: NDArray[Any], axis: int, side: int) -> NDArray[np.float64]:
    """Interpolate linearly along an axis; the ends of both grids are edges of pixels, not their middles."""
    place = np.clip((np.arange(side) + 0.5) * values.shape[axis] / side - 0.5, 0, values.shape[axis] - 1)
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, values.shape[axis] - 1)
    share = np.expand_dims(place - below, 1 - axis)
    low, high = (np.take(values, where, axis=axis).astype(np.float64) for where in (below, above))
    return low * (1 - share) + high * share
