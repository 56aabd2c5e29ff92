"""Pictures in rows, each with its true and predicted classes above."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from medseg.figures.classes.claim import CLAIM_HEIGHT, Claim, write_claim
from medseg.figures.lettering import write_heading
from medseg.figures.mask_grid import draw_picture, shrunk
from medseg.figures.saving import DPI

_CELL = 2.1  # inches across
_GAP = 0.16
_MARGIN = 0.15
_HEADING = 0.42
_LINE = 0.29  # from the heading to what is below it
_STRETCH = (0.5, 1.6)  # height over width of a cell
_LEAST_WIDTH = 4.6
_BLANK = 1.6  # inches high, where there is nothing to show


def claim_grid(
    claims: Sequence[Claim],
    *,
    columns: int = 4,
    heading: str = "",
    note: str = "",
    empty: str = "no pictures",
) -> Figure:
    """Show pictures in the order given.

    Args:
        claims: What is shown.
        columns: Cells in a row, at most.
        heading: Shown above; may be empty.
        note: A line below the heading; may be empty.
        empty: What stands there where there is no picture.

    Raises:
        ValueError: No columns.
    """
    if columns < 1:
        raise ValueError(f"{columns} columns; expected 1 or more")
    columns = max(min(columns, len(claims)), 1)
    rows = -(-len(claims) // columns)
    stretches = [claim.image.shape[0] / claim.image.shape[1] for claim in claims]
    up = _CELL * min(max(float(np.median(stretches)), _STRETCH[0]), _STRETCH[1]) if claims else 0.0
    across = columns * (_CELL + _GAP) - _GAP
    width = max(across + 2 * _MARGIN, _LEAST_WIDTH)
    lines = [(words, size) for words, size in ((heading, 12), (note, 10)) if words]
    top = _HEADING + _LINE * max(len(lines) - 1, 0)
    height = top + (rows * (CLAIM_HEIGHT + up + _GAP) + _MARGIN if claims else _BLANK)
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    for place, (words, size) in enumerate(lines):
        write_heading(figure, words, 0.22 + _LINE * place, size=size)
    if not claims:
        figure.text(0.5, _BLANK / 2 / height, empty, ha="center", va="center", fontsize=13)
    for number, claim in enumerate(claims):
        row, column = divmod(number, columns)
        left = (width - across) / 2 + column * (_CELL + _GAP)
        edge = height - top - row * (CLAIM_HEIGHT + up + _GAP) - CLAIM_HEIGHT
        write_claim(figure, claim, (left + _CELL / 2, edge), _CELL + _GAP / 2)
        axes = figure.add_axes((left / width, (edge - up) / height, _CELL / width, up / height))
        draw_picture(axes, shrunk(claim.image), claim.image.shape)
    return figure
