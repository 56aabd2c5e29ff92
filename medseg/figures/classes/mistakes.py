"""The pictures a network was surest about and wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from medseg.figures.classes.claim import Claim
from medseg.figures.classes.claim_grid import claim_grid

_MOST = 16


def mistake_grid(
    mistakes: Sequence[Claim], *, wrong: int, total: int, columns: int = 4, heading: str = ""
) -> Figure:
    """Show the most confident mistakes, the surest first, each above it 'truth → predicted, probability'.

    Args:
        mistakes: In any order; 16 are shown at most. None: the figure notes that there are none.
        wrong: How many mistakes were made in all.
        total: Of how many pictures.
        columns: Cells in a row, at most.
        heading: Shown above; may be empty.

    Raises:
        ValueError: No columns, or more mistakes than pictures, or fewer than are given.
    """
    if columns < 1 or not len(mistakes) <= wrong <= total or (wrong and not mistakes):
        raise ValueError(
            f"{len(mistakes)} pictures of {wrong} mistakes among {total} in {columns} columns; expected some of "
            "the mistakes, if there are any, no more of them than pictures, and a column"
        )
    # an unknown probability is no confidence
    order = sorted(mistakes, key=lambda claim: -np.nan_to_num(claim.probability, nan=-1.0))[:_MOST]
    count = f"{len(order)} of {wrong:,} mistakes" if len(order) < wrong else f"all mistakes ({wrong})"
    shown = f"{count} among {total:,} pictures, the surest first" if order else ""
    empty = f"No mistakes among {total:,} pictures" if total else "No pictures were judged"
    return claim_grid(order, columns=columns, heading=heading, note=shown, empty=empty)
