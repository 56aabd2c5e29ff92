"""A patient's head: the template moved, bent and pushed aside by the tumour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medseg.samples.brain.atlas import CENTRE, HALF, MIDLINE, Atlas
from medseg.samples.brain.sequences import Recipe
from medseg.samples.drawing.fields import Bools, Floats, enlarge, interpolate, smooth_field

SHAPE = (240, 240, 155)
_MIDDLE = np.array([115.5, 123.0, 69.5])  # where the middle of the brain lies in the written grid
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Placement:
    """How voxels of the written grid map to the template, deformation apart.

    Attributes:
        matrix: (3, 3): template voxels per written voxel; flips x and y, as the grid runs to left and back.
        middle: Voxel that maps to the template's centre.
        box: The part of the grid that holds the brain.
    """

    matrix: NDArray[np.float64]
    middle: NDArray[np.float64]
    box: Box

    @classmethod
    def of(cls, recipe: Recipe) -> Placement:
        """Place the brain as the recipe says."""
        cosines, sines = np.cos(recipe.angles), np.sin(recipe.angles)
        (ca, cb, cc), (sa, sb, sc) = cosines, sines
        turn = (
            np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
            @ np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
            @ np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
        )
        matrix = turn @ np.diag(np.array([-1.0, -1.0, 1.0]) / np.array(recipe.scale))
        middle = _MIDDLE + np.array(recipe.shift)
        reach = np.abs(np.linalg.inv(matrix)) @ HALF + 2 * recipe.warp
        low = np.maximum(0, np.floor(middle - reach)).astype(int)
        high = np.minimum(SHAPE, np.ceil(middle + reach)).astype(int)
        i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return cls(matrix, middle, (i, j, k))

    def in_box(self, site: NDArray[np.int64]) -> NDArray[np.float64]:
        """Map template voxels (..., 3) to voxels of the box."""
        origin = np.array([part.start for part in self.box])
        return (site - CENTRE) @ np.linalg.inv(self.matrix).T + self.middle - origin


@dataclass(frozen=True)
class Foci:
    """Where a tumour starts.

    Attributes:
        centres: (F, 3) voxels of the head's box.
        radii: Radius in mm of each core, were it a ball.
    """

    centres: NDArray[np.float64]
    radii: tuple[float, ...]


@dataclass(frozen=True)
class Head:
    """Healthy anatomy of one case, on the box that holds the brain.

    Attributes:
        box: Where the box lies in the written grid.
        inside: (I, J, K) brain, with its fluid.
        grey: (N,) part of grey matter of the N voxels inside, in the order of `inside`.
        white: (N,) part of white matter; the rest is fluid.
        cap: (N,) nearness to the ventricles, 0 to 1.
        aside: (I, J, K) distance from the midline in mm of the template.
    """

    box: Box
    inside: Bools
    grey: Floats
    white: Floats
    cap: Floats
    aside: Floats

    def spread(self, values: Floats, fill: float = 0.0) -> Floats:
        """Put values of the inside voxels (N,) back on the box (I, J, K)."""
        out = np.full(self.inside.shape, fill, np.float32)
        out[self.inside] = values
        return out


def _pushed(
    where: list[Floats], centre: NDArray[np.float64], radius: float, matrix: NDArray[np.float64]
) -> None:
    """Push tissue away from a tumour, in place: a voxel there shows what lay nearer to the centre before."""
    width = 1.3 * radius
    shape = where[0].shape
    low = np.maximum(0, np.floor(centre - 3 * width)).astype(int)
    high = np.minimum(shape, np.ceil(centre + 3 * width)).astype(int)
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    away = np.ogrid[part]
    offsets = [(axis - c).astype(np.float32) for axis, c in zip(away, centre, strict=True)]
    bump = np.float32(-0.45) * np.prod(
        np.broadcast_arrays(*[np.exp(-(o**2) / (2 * width**2)) for o in offsets]), axis=0, dtype=np.float32
    )
    for axis, coordinate in enumerate(where):
        moved = sum(np.float32(matrix[axis, other]) * offsets[other] for other in range(3))
        coordinate[part] += bump * moved


def _coordinates(
    placement: Placement,
    recipe: Recipe,
    rng: np.random.Generator,
    foci: Foci,
) -> list[Floats]:
    """Template coordinates of each voxel of the box: three arrays (I, J, K)."""
    grid = np.ogrid[placement.box]
    shape = tuple(part.stop - part.start for part in placement.box)
    found = []
    for axis in range(3):
        bent = smooth_field(rng, shape, 38) * np.float32(recipe.warp)
        bent += smooth_field(rng, shape, 13) * np.float32(0.4 * recipe.warp)
        for other in range(3):
            along = placement.matrix[axis, other] * (grid[other] - placement.middle[other])
            bent += (along + (CENTRE[axis] if other == 0 else 0)).astype(np.float32)
        found.append(bent)
    for centre, radius in zip(foci.centres, foci.radii, strict=True):
        _pushed(found, centre, radius, placement.matrix)
    return found


def _sharpened(part: Floats, slope: float) -> Floats:
    """Undo some of the template's averaging over people, which blurs borders."""
    return np.clip((part - np.float32(0.5)) * np.float32(slope) + np.float32(0.5), 0, 1)


def bend(
    source: Atlas,
    placement: Placement,
    recipe: Recipe,
    rng: np.random.Generator,
    foci: Foci,
) -> Head:
    """Make the healthy anatomy of a case.

    Args:
        source: The template.
        placement: From `Placement.of`.
        recipe: The numbers of the case.
        rng: Draws the deformation.
        foci: From where a tumour pushes tissue aside.
    """
    where = _coordinates(placement, recipe, rng, foci)
    shape = where[0].shape
    coarse = np.stack([axis[::2, ::2, ::2] for axis in where])
    level = ndimage.map_coordinates(source.brain, coarse / 2, np.float32, order=1)
    inside = enlarge(level, shape, 2) > 0.45
    points = np.stack([axis[inside] for axis in where])
    tissue = interpolate(source.tissue, points)
    grey, white = tissue.real, tissue.imag
    cap = enlarge(ndimage.map_coordinates(source.cap, coarse / 2, np.float32, order=1), shape, 2)[inside]
    fluid = _sharpened(1 - grey - white + np.float32(recipe.sulci), 2.0)
    white = _sharpened(white / np.maximum(grey + white, np.float32(1e-3)), 1.7) * (1 - fluid)
    aside = np.abs(where[0] - np.float32(MIDLINE))
    return Head(placement.box, inside, 1 - fluid - white, white, cap / np.float32(255), aside)
