"""Which class was taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

_MOST_WITH_COUNTS = 12  # classes; past it the cells are too small for a count below the share
_MOST_WITH_SHARES = 25


def confusion_figure(matrix: NDArray[np.int64], classes: Sequence[str], *, unit: str = "voxels") -> Figure:
    """Draw a confusion matrix as shares of each true class, with the counts written in.

    Args:
        matrix: (K, K) counts; rows are the truth, columns the prediction.
        classes: The K class names.
        unit: What was counted.

    Raises:
        ValueError: The matrix is not (K, K).
    """
    size = len(classes)
    if np.shape(matrix) != (size, size):
        raise ValueError(f"the matrix is {np.shape(matrix)}; wanted ({size}, {size}) for the classes given")
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.full(matrix.shape, np.nan), where=totals > 0)
    side = min(max(0.85 * size, 2.6), 14.0)
    figure = Figure(figsize=(side + 2.6, side + 1.5), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.set_facecolor("0.9")  # seen where a class is absent from the truth
    drawn = axes.imshow(np.ma.masked_invalid(shares), cmap="Blues", vmin=0, vmax=1)
    # the pitch of a cell in points decides how large its two lines of text may be
    font = min(10.0, max(5.0, side * 72 / size / 6.2))
    for row, column in np.ndindex(size, size):
        text = _cell(shares[row, column], int(matrix[row, column]), size)
        tone = "white" if shares[row, column] > 0.55 else "black"
        axes.text(column, row, text, ha="center", va="center", color=tone, fontsize=font)
    axes.set_xticks(range(size), classes, rotation=30 if size > 1 else 0, ha="right", parse_math=False)
    axes.set_yticks(range(size), classes, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.set_title(f"Confusion: share of each true class ({unit})", fontsize=11)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02, format="{x:.0%}")
    bar.outline.set_visible(False)
    return figure


def _cell(share: float, count: int, size: int) -> str:
    if size > _MOST_WITH_SHARES:
        return ""
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
