"""How wide a network is, how many slices are in a batch, and for how many epochs it is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Numbers in the feature maps of a batch of 12 that fit into 8 GB. Source: nnU-Net, its reference for 2-D U-Nets.
_REFERENCE, _REFERENCE_BATCH = 85e6, 12

_MOST_OF_DATA = 0.05  # share of all pixels that a batch may hold. Source: nnU-Net
_MOST, _LEAST = 32, 2
_STEPS = 3000  # of a training, about
_EPOCHS = (5, 250)

_WIDEST = 512


def widths(base: int, halvings: int) -> list[int]:
    """Features of each level: doubled with every halving."""
    return [min(base * 2**level, _WIDEST) for level in range(halvings + 1)]


def batch_size(features: Sequence[int], size: Sequence[int], slices: int) -> int:
    """A power of two of slices a batch.

    Args:
        features: Of each level of the network.
        size: Of a slice, (H, W).
        slices: How many there are for training.
    """
    numbers = sum(4 * width * size[0] * size[1] / 4**level for level, width in enumerate(features))
    fits = round(_REFERENCE / numbers * _REFERENCE_BATCH)
    most = min(fits, int(_MOST_OF_DATA * slices), _MOST)
    return 2 ** int(math.log2(max(most, _LEAST)))


def epochs(slices: int, batch: int) -> int:
    """So many that a training has about 3000 steps, within 5 and 250."""
    least, most = _EPOCHS
    return max(least, min(most, round(_STEPS / max(math.ceil(slices / batch), 1))))
