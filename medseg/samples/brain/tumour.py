"""A tumour: an irregular core, and oedema that spreads through white matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medseg.samples.brain.anatomy import Box, Foci, Head
from medseg.samples.brain.sequences import Recipe
from medseg.samples.drawing.fields import Floats, enlarge, smooth_field

NECROTIC, OEDEMA, ENHANCING = 1, 2, 4  # label values of BraTS
_STEP = 3  # mm between the points where spreading is computed
_Number = TypeVar("_Number", np.uint8, np.float32)
_FAR = np.float32(1e6)


@dataclass(frozen=True)
class Tumour:
    """A tumour, on the head's box (I, J, K).

    Attributes:
        label: 0, 1, 2, 4 as in BraTS, uint8.
        oedema: Part of each voxel that is tumour of any kind, 0 to 1, with soft borders.
        core: Part that is core.
        enhancing: Part that enhances.
    """

    label: NDArray[np.uint8]
    oedema: Floats
    core: Floats
    enhancing: Floats


def choose(
    sites: NDArray[np.int64], recipe: Recipe, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Foci]:
    """Choose where the tumour starts.

    Args:
        sites: (N, 3) template voxels that may be chosen.
        recipe: The numbers of the case.
        rng: Draws the places.

    Returns:
        The chosen template voxels (F, 3), and the foci with these as centres.
    """
    chosen = [sites[rng.integers(len(sites))]]
    shares = [1.0]
    if recipe.foci > 1:
        gap = np.linalg.norm(sites - chosen[0], axis=1)
        beside = sites[(gap > 28) & (gap < 45) & ((sites[:, 0] > 98) == (chosen[0][0] > 98))]
        if len(beside):  # a small island of sites may have no second one at that distance
            chosen.append(beside[rng.integers(len(beside))])
            second = rng.uniform(0.15, 0.4)
            shares = [1 - second, second]
    volume = recipe.whole_ml * recipe.core_part * 1000
    radii = tuple(float((3 * volume * share / (4 * np.pi)) ** (1 / 3)) for share in shares)
    places = np.stack(chosen)
    return places, Foci(places.astype(np.float64), radii)


def _around(foci: Foci, shape: Sequence[int], reach: float) -> Box:
    low = np.maximum(0, np.floor(foci.centres.min(axis=0) - reach)).astype(int)
    high = np.minimum(shape, np.ceil(foci.centres.max(axis=0) + reach)).astype(int)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return i, j, k


def _core_level(foci: Foci, part: Box, rng: np.random.Generator) -> Floats:
    """Distance from the nearest focus, stretched and crumpled; a ball's radius is about `max(radii)`."""
    grid = np.ogrid[part]
    shape = tuple(axis.stop - axis.start for axis in part)
    largest = max(foci.radii)
    level = np.full(shape, _FAR, np.float32)
    for centre, radius in zip(foci.centres, foci.radii, strict=True):
        stretch = np.exp(rng.normal(0, 0.15, 3)) * radius / largest
        squares = [
            ((axis - c) / s).astype(np.float32) ** 2 for axis, c, s in zip(grid, centre, stretch, strict=True)
        ]
        level = np.minimum(level, np.sqrt(squares[0] + squares[1] + squares[2]))
    crumple = np.float32(0.20) * smooth_field(rng, shape, 14) + np.float32(0.07) * smooth_field(rng, shape, 5)
    return level * (1 + np.clip(crumple, -0.6, 0.9))


def _spread(cost: Floats, start: NDArray[np.bool_]) -> Floats:
    """Least cost of a path from `start` to each point (A, B, C), over the 26 neighbours, by relaxation."""
    field = np.pad(np.where(start, np.float32(0), _FAR), 1, constant_values=_FAR)
    price = np.pad(cost, 1, constant_values=_FAR)
    middle = (slice(1, -1),) * 3
    steps = [step for step in product((-1, 0, 1), repeat=3) if any(step)]
    lengths = [np.float32(_STEP * np.sqrt(sum(abs(s) for s in step)) / 2) for step in steps]
    for _ in range(60):  # no path of use is longer
        before = field[middle].copy()
        for step, length in zip(steps, lengths, strict=True):
            there = tuple(slice(1 + s, n - 1 + s) for s, n in zip(step, field.shape, strict=True))
            along = field[there] + length * (price[there] + price[middle])
            np.minimum(field[middle], along, out=field[middle])
        if np.array_equal(before, field[middle]):
            break
    return field[middle]


def _oedema_level(
    head: Head, part: Box, tissue: tuple[Floats, Floats], core: NDArray[np.bool_], rng: np.random.Generator
) -> Floats:
    """Distance in mm from the core along white matter; grey matter, fluid and the midline cost more."""
    grey, fluid = tissue
    coarse = (slice(None, None, _STEP),) * 3
    cost = 1 + np.float32(2.0) * grey[coarse] + np.float32(9.0) * fluid[coarse]
    falx = (head.aside[part][coarse] < 3) & (grey[coarse] + fluid[coarse] > 0.4)
    cost = cost + np.float32(25.0) * falx
    cost *= np.exp(np.float32(0.5) * smooth_field(rng, cost.shape, 6))
    cost = np.where(head.inside[part][coarse], cost, np.float32(60))
    level = enlarge(
        np.minimum(_spread(cost.astype(np.float32), core[coarse]), np.float32(400)), core.shape, _STEP
    )
    return level + np.float32(5.0) * grey + np.float32(0.9) * smooth_field(rng, core.shape, 5)


def _level_of(level: Floats, allowed: NDArray[np.bool_], voxels: int) -> np.float32:
    """The level below which `voxels` allowed voxels lie (all of them, if there are fewer)."""
    values = level[allowed]
    if voxels >= len(values):
        return np.float32(values.max())
    return np.float32(np.partition(values, voxels)[voxels])


def _soft(depth: Floats, width: float) -> Floats:
    return np.clip(depth / np.float32(width) + np.float32(0.5), 0, 1)


def _on(head: Head, part: Box, local: NDArray[_Number]) -> NDArray[_Number]:
    """Put a part of the head's box back in its place, 0 elsewhere."""
    out = np.zeros(head.inside.shape, local.dtype)
    out[part] = local
    return out


def grow(head: Head, foci: Foci, recipe: Recipe, rng: np.random.Generator) -> Tumour:
    """Grow a tumour in a head.

    Args:
        head: The anatomy.
        foci: Where it starts, in voxels of the head's box.
        recipe: The numbers of the case.
        rng: Draws the shapes.
    """
    whole = recipe.whole_ml * 1000
    ball = (3 * whole / (4 * np.pi)) ** (1 / 3)
    part = _around(foci, head.inside.shape, 1.3 * max(foci.radii) + ball + 8)
    inside = head.inside[part]
    grey, white = head.spread(head.grey)[part], head.spread(head.white)[part]
    fluid = np.where(inside, 1 - grey - white, 1).astype(np.float32)

    level: Floats = _core_level(foci, part, rng) + np.float32(0.5 * max(foci.radii)) * fluid
    depth: Floats = _level_of(level, inside, round(whole * recipe.core_part)) - level
    core = inside & (depth > 0)
    spread = _oedema_level(head, part, (grey, fluid), core, rng)
    tissue = inside & (fluid < 0.5) & ~core
    reach: Floats = _level_of(spread, tissue, round(whole * (1 - recipe.core_part))) - spread
    rim = recipe.rim_part * max(foci.radii) * (1 + np.float32(0.55) * smooth_field(rng, core.shape, 9))
    bright = (rim - depth if recipe.enhancing else np.full_like(depth, -_FAR)).astype(np.float32)

    label = np.zeros(core.shape, np.uint8)
    label[tissue & (reach > 0)] = OEDEMA
    label[core] = NECROTIC
    label[core & (bright > 0)] = ENHANCING
    core_part = _soft(depth, 2.0) * inside
    oedema = np.maximum(_soft(reach, 3.5) * np.clip(2 * (1 - fluid), 0, 1), core_part) * inside
    return Tumour(
        label=_on(head, part, label),
        oedema=_on(head, part, oedema),
        core=_on(head, part, core_part),
        enhancing=_on(head, part, core_part * _soft(bright, 1.5)),
    )
