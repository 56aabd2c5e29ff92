"""Which class was taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.figures.lettering import FittedName, fit_names, fit_text

_MOST_WITH_COUNTS = 30  # classes; past it the cells are too small for a count below the share
_MOST_WITH_SHARES = 36
_MOST_WITH_NOUGHTS = 12  # past it, cells that nothing fell into would hide those that hold something
_CELL = 0.85  # inches
_SIDE = (2.6, 17.0)
_NAME = 2.4  # inches that the name of a class may take
_LETTERS = 10  # points of a name
_EDGE, _LINE, _GAP = 0.12, 0.22, 0.12
_BAR, _PERCENT = 0.2, 0.7
_QUIET = "0.45"


def confusion_figure(
    matrix: NDArray[np.int64], classes: Sequence[str], *, unit: str = "voxels", heading: str = ""
) -> Figure:
    """Draw a confusion matrix as shares of each true class, with the counts written in.

    Args:
        matrix: (K, K) counts; rows are the truth, columns the prediction.
        classes: The K class names, of any length; up to 30 have room for both numbers in a cell.
        unit: What was counted, in the plural.
        heading: Shown above; may be empty.

    Raises:
        ValueError: The matrix is not (K, K), or holds less than nothing.
    """
    size = len(classes)
    if not size or np.shape(matrix) != (size, size):
        raise ValueError(f"the matrix is {np.shape(matrix)}; expected ({size}, {size}) for the classes given")
    if matrix.min() < 0:
        raise ValueError(f"the matrix holds {matrix.min()}; expected counts")
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.full(matrix.shape, np.nan), where=totals > 0)
    side = min(max(_CELL * size, _SIDE[0]), _SIDE[1])
    figure = Figure(facecolor="white")
    names = fit_names(figure, classes, _NAME, size=_LETTERS)
    longest = max(name.width for name in names)
    lacking = not totals.all()
    left, right = _EDGE + _LINE + longest + _GAP, _GAP + _BAR + _PERCENT
    # names below the cells are slanted by 30 degrees
    bottom = _EDGE + _LINE * (2 if lacking else 1) + (longest / 2 if size > 1 else 0) + 1.2 * _LINE + _GAP
    top = _EDGE + _LINE * (2 if heading else 1) + _GAP
    width, height = left + side + right, bottom + side + top
    figure.set_size_inches(width, height)
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    axes.set_facecolor("0.9")  # seen where a class is absent from the truth
    drawn = axes.imshow(np.ma.masked_invalid(shares), cmap="Blues", vmin=0, vmax=1)
    _write_cells(axes, matrix, shares, side)
    _write_names(axes, names)
    grey = f"\n(grey rows: no {unit} are of this class)" if lacking else ""
    axes.set_xlabel(f"predicted{grey}", parse_math=False)
    axes.set_ylabel("truth")
    meaning = f"Confusion: share of each true class ({unit})"
    title = axes.set_title(heading, fontsize=11, parse_math=False)
    fit_text(title, side + 2 * min(left, right) - 0.2)
    title.set_text(f"{title.get_text()}\n{meaning}" if heading else meaning)
    axes.spines[:].set_visible(False)
    place = ((left + side + _GAP) / width, (bottom + 0.1 * side) / height, _BAR / width, 0.8 * side / height)
    bar = figure.colorbar(drawn, cax=figure.add_axes(place), format="{x:.0%}")
    bar.outline.set_visible(False)
    return figure


def _write_cells(axes: Any, matrix: NDArray[np.int64], shares: NDArray[np.float64], side: float) -> None:
    """Write share and count into each cell of a square of so many inches a side."""
    size = len(matrix)
    # the pitch of a cell in points decides how large its two lines of text may be
    font = min(10.0, max(5.0, side * 72 / size / 6.2))
    for row, column in np.ndindex(size, size):
        share, count = float(shares[row, column]), int(matrix[row, column])
        tone = "white" if share > 0.55 else "black" if count else _QUIET
        text = _cell(share, count, size)
        axes.text(column, row, text, ha="center", va="center", color=tone, fontsize=font)


def _write_names(axes: Any, names: Sequence[FittedName]) -> None:
    """Write the classes below the columns, slanted where there are several, and beside the rows."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(range(len(names)), [name.text for name in names], parse_math=False)
        for label, name in zip(axis.get_ticklabels(), names, strict=True):
            label.set_fontfamily(name.families)
    slanted = len(names) > 1
    axes.tick_params(length=0)
    axes.tick_params(axis="x", labelrotation=30 if slanted else 0)
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right" if slanted else "center")


def _cell(share: float, count: int, size: int) -> str:
    if size > _MOST_WITH_SHARES:
        return ""
    if not count and size > _MOST_WITH_NOUGHTS:
        return "–" if np.isnan(share) else "0"
    shown = "–" if np.isnan(share) else f"{share:.1%}"
    return f"{shown}\n{short(count)}" if size <= _MOST_WITH_COUNTS else shown


def short(count: int) -> str:
    """Write a count in at most five characters up to a thousand trillions: 950, 12.3k, 1.2M, 40M, 3.1G."""
    if count < 1000:
        return str(count)
    scaled, units = count / 1000, iter("kMGT")
    unit = next(units)
    # 999.5 would round to 1000: it belongs to the next unit
    while scaled >= 999.5 and unit != "T":
        scaled, unit = scaled / 1000, next(units)
    return f"{scaled:.0f}{unit}" if scaled >= 99.95 else f"{scaled:.1f}".removesuffix(".0") + unit
