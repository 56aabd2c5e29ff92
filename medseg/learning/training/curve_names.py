"""What a tracker calls the numbers of an epoch."""

from __future__ import annotations

from collections.abc import Mapping


def curve_names(row: Mapping[str, float]) -> dict[str, float]:
    """The numbers of an epoch below `epoch/`, where a tracker shows them before the scores of the test part.

    Rate and speed, which have no role, are below `epoch/work`: a page that sorts by name begins with the losses.

    Args:
        row: Of a training's history.
    """
    return {
        f"epoch/{name}" if "/" in name else f"epoch/work/{name}": value
        for name, value in row.items()
        if name != "epoch"
    }
