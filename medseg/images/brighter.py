"""Where to divide a mask that holds greys between background and foreground."""

from __future__ import annotations

from typing import SupportsInt


def half_way(brightest: SupportsInt) -> str:
    """The setting of a manifest by which all that is brighter than half of the brightest value is foreground."""
    return f"`pictures.mask_above: {int(brightest) // 2}`"
