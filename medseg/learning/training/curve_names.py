"""What a tracker calls the numbers of an epoch."""

from __future__ import annotations

from collections.abc import Mapping


def curve_names(row: Mapping[str, float]) -> dict[str, float]:
    """The numbers of an epoch below `epoch/`, where a tracker shows them before the scores of the test part.

    Args:
        row: Of a training's history; the rate and the speed, which have no role, are those of `train`.
    """
    return {
        f"epoch/{name}" if "/" in name else f"epoch/train/{name}": value
        for name, value in row.items()
        if name != "epoch"
    }
