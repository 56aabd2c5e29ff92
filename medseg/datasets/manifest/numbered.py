"""Whether a map that numbers objects can be one: interpolation and JPEG make numbers up along every edge."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: Of the voxels on edges, how many may be thin. Of numbered objects none are; of masks that were resized, or saved as
#: JPEG, more than a quarter.
_MOST_THIN = 0.1

#: Fewer thin voxels than this tell nothing, and fewer numbers.
_FEWEST = 12
_FEWEST_NUMBERS = 8

#: Objects may be thin and tiny too. But numbers that were made up lie here and there, where an object is in one
#: piece; or one of them, that of the mask itself, fills much more than the others.
_LEAST_IN_PIECES = 0.25
_LEAST_OF_ONE = 0.2


def made_up(stored: NDArray[Any]) -> bool:
    """Whether most numbers along the edges were made up by interpolation or by JPEG.

    Made up are rims of a voxel's breadth: numbers that nowhere fill a square of four, beside other numbers above 0.
    Of many tiny or thin objects that touch, each is in one piece, and none fills much more than the others.

    Args:
        stored: (I, J, K), integers; 0 is background.
    """
    edge, touching, solid = (np.zeros(stored.shape, dtype=bool) for _ in range(3))
    for axis in range(stored.ndim):
        here, next_to = (_cut(stored.ndim, {axis: end}) for end in _ENDS)
        differ = stored[here] != stored[next_to]
        both = differ & (stored[here] > 0) & (stored[next_to] > 0)
        for each in (here, next_to):
            edge[each] |= differ
            touching[each] |= both
    for pair in combinations(range(stored.ndim), 2):
        corners = [_cut(stored.ndim, dict(zip(pair, (a, b), strict=True))) for a in _ENDS for b in _ENDS]
        first = stored[corners[0]]
        square = np.logical_and.reduce([stored[corner] == first for corner in corners[1:]])
        for corner in corners:
            solid[corner] |= square
    inside = stored > 0
    thin = np.count_nonzero(inside & touching & ~solid)
    if thin < _FEWEST or thin <= _MOST_THIN * np.count_nonzero(inside & edge):
        return False
    counts = np.unique_counts(stored[inside]).counts
    one = counts.max() >= _LEAST_OF_ONE * counts.sum()
    return counts.size >= _FEWEST_NUMBERS and bool(one or _in_pieces(stored) >= _LEAST_IN_PIECES)


def mostly_in_pieces(stored: NDArray[Any]) -> bool:
    """Whether most of two or more numbers stand for several pieces that do not touch, as no objects do.

    Args:
        stored: (I, J, K), integers; 0 is background.
    """
    return _in_pieces(stored) > 1 / 2


def _in_pieces(stored: NDArray[Any]) -> float:
    """The share of numbers that stand for several pieces; 0 of a plain mask."""
    numbers = np.unique(stored[stored > 0])
    if numbers.size < 2:
        return 0.0
    ranked = np.where(stored > 0, np.searchsorted(numbers, stored) + 1, 0)
    near = np.ones((3,) * stored.ndim, dtype=bool)  # at a corner as well
    places = ndimage.find_objects(ranked)
    split = [ndimage.label(ranked[place] == rank, near)[1] > 1 for rank, place in enumerate(places, start=1)]
    return sum(split) / numbers.size


_ENDS = (slice(None, -1), slice(1, None))


def _cut(axes: int, ends: dict[int, slice]) -> tuple[slice, ...]:
    return tuple(ends.get(axis, slice(None)) for axis in range(axes))
