"""Whether the numbers of a label map can be true: interpolation and JPEG make some up along every edge."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: Of the voxels on edges, how many may be thin. Of numbered objects none are; of masks that were resized, or saved as
#: JPEG, more than a quarter.
_MOST_THIN = 0.1

#: The same of maps of classes, some of which are thin in truth: a tenth in single slices, hardly any in volumes.
_MOST_RIMS = 0.2

#: Fewer thin voxels than this tell nothing, and fewer numbers.
_FEWEST = 12
_FEWEST_NUMBERS = 8

#: Objects may be thin and tiny too. But numbers that were made up lie here and there, where an object is in one
#: piece; or one of them, that of the mask itself, fills much more than the others.
_LEAST_IN_PIECES = 0.25
_LEAST_OF_ONE = 0.2

#: Of fewer numbers, how many of those that lie in rims must be in several pieces.
_MOST_IN_PIECES = 0.5

#: Shades differ between neighbours by so many of all numbers, sorted, at most; and nearly everywhere.
_SMALL_STEP, _MOSTLY = 0.15, 0.9

#: A map was enlarged by a whole number of times, this at most, where all of so many steps or more lie on such a grid.
_MOST_TIMES = 8
_FEWEST_STEPS = 5

#: JPEG of high quality gives some voxels numbers so near 0, or the grey of the mask, which lies between these.
_SHADE = 8
_LEAST_GREY, _MOST_GREY = 32, 255
_LEAST_SCATTERED = 2  # pieces more than numbers


def made_up(stored: NDArray[Any]) -> bool:
    """Whether most numbers along the edges were made up by interpolation or by JPEG.

    Made up are rims of a voxel's breadth: numbers that nowhere fill a square of four, beside other numbers above 0.
    Of many tiny or thin objects that touch, each is in one piece, and none fills much more than the others. Where
    there are few numbers, those that were made up lie between a lower one and a higher, and in several pieces.

    JPEG of high quality makes up few numbers, beside the true ones, which need not lie in rims.

    Args:
        stored: (I, J, K), integers; 0 is background.
    """
    given, stored = stored, _unenlarged(stored)
    inside = stored > 0
    if _scattered(stored, inside):
        return True
    edge, touching = _edges(stored)
    thin = inside & touching & ~_solid(stored)
    if not _many(thin, inside & edge):
        return False
    numbers, counts = np.unique_counts(stored[inside])
    if counts.size >= _FEWEST_NUMBERS:
        one = counts.max() >= _LEAST_OF_ONE * counts.sum()
        if given.shape != stored.shape:  # numbers of one repeated place each, about the white of the mask
            white = counts[numbers >= numbers[-1] / 2].max()
            one |= np.mean(counts == 1) > 1 / 2 and white > 1 and 2 * white >= counts.max()
        return bool(one or _in_pieces(stored) >= _LEAST_IN_PIECES)
    rims = thin & _between(stored)
    if not _many(rims, inside & edge):
        return False
    numbers = np.unique(stored[rims])
    return _in_pieces(np.where(np.isin(stored, numbers), stored, 0), least=1) >= _MOST_IN_PIECES


def _scattered(stored: NDArray[Any], inside: NDArray[np.bool_]) -> bool:
    """Whether numbers near 0 or one bright grey lie here and there, thin, about objects of this grey."""
    voxels = dict(
        zip(*(each.tolist() for each in np.unique(stored[inside], return_counts=True)), strict=True)
    )
    bright = [number for number in voxels if _LEAST_GREY <= number <= _MOST_GREY]
    if not bright:
        return False
    grey = max(bright, key=voxels.__getitem__)
    shades = list(voxels.keys() - {grey})
    if not shades or any(number > _SHADE and abs(number - grey) > _SHADE for number in shades):
        return False
    solid, made = _solid(stored), np.isin(stored, shades)
    if np.mean(solid[made]) >= 1 / 2 or np.mean(solid[inside & ~made]) < 1 / 2:
        return False
    further = sum(_pieces(np.where(made, stored, 0))) - len(shades)
    return further >= max(_LEAST_SCATTERED, len(shades) / 2)


def has_rims(stored: NDArray[Any]) -> bool:
    """Whether values form rims of a voxel's breadth between lower and higher ones, as interpolation makes.

    True structures may be as thin: it is a hint.

    Args:
        stored: (I, J, K), integers.
    """
    values = np.unique(stored)
    if values.size < 3:
        return False
    marked = stored != values[0]
    near = tuple(
        slice(max(place.start - 1, 0), place.stop + 1)
        for place in ndimage.find_objects(marked.view(np.uint8))[0]
    )
    stored = _unenlarged(stored[near])
    marked = stored != values[0]
    rims = ~_solid(stored) & _between(stored)
    return _many(rims, marked & _edges(stored)[0], _MOST_RIMS)


def _unenlarged(stored: NDArray[Any]) -> NDArray[Any]:
    """A map as it was before each place of it was repeated, as enlarging by the nearest neighbour does.

    What was interpolated before that has rims as broad as the repetition.
    """
    for axis in range(stored.ndim):
        here, next_to = (_cut(stored.ndim, {axis: end}) for end in _ENDS)
        others = tuple(other for other in range(stored.ndim) if other != axis)
        steps = np.flatnonzero((stored[here] != stored[next_to]).any(axis=others)) + 1
        times = int(np.gcd.reduce(np.diff(steps))) if steps.size > _FEWEST_STEPS else 1
        if 1 < times <= _MOST_TIMES:
            stored = stored[_cut(stored.ndim, {axis: slice(steps[0] % times, None, times)})]
    return stored


def _many(thin: NDArray[np.bool_], edge: NDArray[np.bool_], most: float = _MOST_THIN) -> bool:
    """Whether there are so many thin voxels that they tell something."""
    count = np.count_nonzero(thin)
    return bool(count >= _FEWEST and count > most * np.count_nonzero(edge))


def _edges(stored: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which voxels have another value beside them, and which another where both are above 0."""
    edge, touching = (np.zeros(stored.shape, dtype=bool) for _ in range(2))
    for axis in range(stored.ndim):
        here, next_to = (_cut(stored.ndim, {axis: end}) for end in _ENDS)
        differ = stored[here] != stored[next_to]
        both = differ & (stored[here] > 0) & (stored[next_to] > 0)
        for each in (here, next_to):
            edge[each] |= differ
            touching[each] |= both
    return edge, touching


def _solid(stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Which voxels lie in a square of four of one value."""
    solid = np.zeros(stored.shape, dtype=bool)
    for pair in combinations(range(stored.ndim), 2):
        corners = [_cut(stored.ndim, dict(zip(pair, (a, b), strict=True))) for a in _ENDS for b in _ENDS]
        first = stored[corners[0]]
        square = np.logical_and.reduce([stored[corner] == first for corner in corners[1:]])
        for corner in corners:
            solid[corner] |= square
    return solid


def _between(stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Which voxels have both a lower and a higher value beside them or at a corner."""
    lower, higher = ndimage.minimum_filter(stored, 3), ndimage.maximum_filter(stored, 3)
    return np.asarray((lower < stored) & (stored < higher))


def mostly_in_pieces(stored: NDArray[Any]) -> bool:
    """Whether most of two or more numbers stand for several pieces that do not touch, as no objects do.

    Args:
        stored: (I, J, K), integers; 0 is background.
    """
    return _in_pieces(stored) > 1 / 2


def graded(stored: NDArray[Any]) -> bool:
    """Whether numbers rise or fall by small steps from voxel to voxel, as shades within an object do.

    A row of thin objects that touch, numbered from one end to the other, looks alike: it is a hint.

    Args:
        stored: (I, J, K), integers; 0 is background.
    """
    inside = stored > 0
    edge, touching = _edges(stored)
    numbers = np.unique(stored[inside])
    if numbers.size < _FEWEST_NUMBERS or not _many(inside & touching & ~_solid(stored), inside & edge):
        return False
    ranked = np.searchsorted(numbers, stored)
    steps = []
    for axis in range(stored.ndim):
        here, next_to = (_cut(stored.ndim, {axis: end}) for end in _ENDS)
        both = inside[here] & inside[next_to] & (stored[here] != stored[next_to])
        steps.append(np.abs(ranked[here][both] - ranked[next_to][both]))
    return bool(np.mean(np.concatenate(steps) <= _SMALL_STEP * numbers.size) >= _MOSTLY)


def _in_pieces(stored: NDArray[Any], *, least: int = 2) -> float:
    """The share of numbers that stand for several pieces; 0 of fewer numbers than the least, as of a plain mask."""
    pieces = _pieces(stored)
    return 0.0 if len(pieces) < least else sum(count > 1 for count in pieces) / len(pieces)


def _pieces(stored: NDArray[Any]) -> list[int]:
    """In how many pieces that do not touch each number above 0 lies."""
    numbers = np.unique(stored[stored > 0])
    ranked = np.where(stored > 0, np.searchsorted(numbers, stored) + 1, 0)
    near = np.ones((3,) * stored.ndim, dtype=bool)  # at a corner as well
    places = ndimage.find_objects(ranked)
    return [ndimage.label(ranked[place] == rank, near)[1] for rank, place in enumerate(places, start=1)]


_ENDS = (slice(None, -1), slice(1, None))


def _cut(axes: int, ends: dict[int, slice]) -> tuple[slice, ...]:
    return tuple(ends.get(axis, slice(None)) for axis in range(axes))
