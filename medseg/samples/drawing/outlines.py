"""Outlines of generated particles and nuclei: how deep a point lies inside, and where on a canvas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from medseg.samples.drawing.fields import Floats

Depth = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class Outline:
    """A shape around the origin.

    Attributes:
        radius: Half the width of the shape, in pixels; the deepest point lies about so deep.
        reach: No point of it lies further from the origin, in pixels.
        depth: Takes rows and columns from the origin, in pixels; gives about the distance to the edge,
            positive inside, negative outside.
    """

    radius: float
    reach: float
    depth: Depth


Maker = Callable[[float, np.random.Generator], Outline]


def _turned(depth: Depth, angle: float) -> Depth:
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return lambda y, x: depth(cosine * y + sine * x, cosine * x - sine * y)


def disc(radius: float, rng: np.random.Generator) -> Outline:
    """A disc or an ellipse that is nearly one."""
    squeeze = np.float32(rng.uniform(0.88, 1.0))
    depth = _turned(lambda y, x: np.float32(radius) - np.hypot(y, x / squeeze), rng.uniform(0, np.pi))
    return Outline(radius, radius, depth)


def polygon(radius: float, rng: np.random.Generator) -> Outline:
    """A convex polygon of three to seven sides, nearly regular."""
    sides = int(rng.integers(3, 8))
    angles = 2 * np.pi * (np.arange(sides) + rng.uniform(-0.12, 0.12, sides)) / sides + rng.uniform(0, 6.3)
    near = radius * rng.uniform(0.85, 1.0, sides)
    normals = [(np.float32(a), np.float32(b)) for a, b in zip(np.sin(angles), np.cos(angles), strict=True)]

    def depth(y: Floats, x: Floats) -> Floats:
        inside = np.full(np.broadcast(y, x).shape, radius, np.float32)
        for (down, right), distance in zip(normals, near, strict=True):
            np.minimum(inside, np.float32(distance) - down * y - right * x, out=inside)
        return inside

    return Outline(radius, radius / float(np.cos(1.3 * np.pi / sides)) if sides > 3 else 3.2 * radius, depth)


def rod(radius: float, rng: np.random.Generator) -> Outline:
    """A rod with round ends, two to four times as long as wide."""
    half = radius * rng.uniform(1.0, 3.0)

    def depth(y: Floats, x: Floats) -> Floats:
        beyond = np.maximum(np.abs(x) - np.float32(half), 0)
        return np.float32(radius) - np.hypot(y, beyond)

    return Outline(radius, radius + half, _turned(depth, rng.uniform(0, np.pi)))


def lobed(radius: float, rng: np.random.Generator, *, stretch: float, bumps: float) -> Outline:
    """An ellipse with a wavy edge.

    Args:
        radius: Mean radius in pixels.
        rng: Draws the waves and the direction.
        stretch: Long axis by short axis, 1 or more.
        bumps: Deviation of the edge as part of the radius.
    """
    orders = np.arange(2, 7)
    sizes = rng.normal(0, bumps, len(orders)) / np.sqrt(orders - 1)
    phases = rng.uniform(0, 2 * np.pi, len(orders))
    root = np.float32(np.sqrt(stretch))

    def depth(y: Floats, x: Floats) -> Floats:
        down, right = y * root, x / root
        angle = np.arctan2(down, right)
        edge = np.ones_like(angle)
        for order, size, phase in zip(orders, sizes, phases, strict=True):
            edge += np.float32(size) * np.cos(np.float32(order) * angle + np.float32(phase))
        return np.float32(radius) * np.clip(edge, 0.3, None) - np.hypot(down, right)

    reach = radius * float(root) * (1 + float(np.abs(sizes).sum()))
    return Outline(radius, reach, _turned(depth, rng.uniform(0, np.pi)))


def irregular(radius: float, rng: np.random.Generator) -> Outline:
    """A lump."""
    return lobed(radius, rng, stretch=rng.uniform(1.0, 1.6), bumps=rng.uniform(0.06, 0.14))


@dataclass(frozen=True)
class Placed:
    """An outline on a canvas.

    Attributes:
        outline: The shape.
        part: Rows and columns of the canvas that hold it, with a margin; cut at the border.
        depth: (h, w) on that part, in pixels.
    """

    outline: Outline
    part: tuple[slice, slice]
    depth: Floats


def place(outline: Outline, centre: tuple[float, float], size: Sequence[int], margin: float) -> Placed | None:
    """Put an outline's origin at (row, column) of a canvas (H, W); None where no part of it would show."""
    reach = outline.reach + margin
    rows, columns = (
        slice(max(0, int(c - reach)), min(n, int(c + reach) + 2)) for c, n in zip(centre, size, strict=True)
    )
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return None
    y = (np.arange(rows.start, rows.stop) - centre[0]).astype(np.float32)[:, None]
    x = (np.arange(columns.start, columns.stop) - centre[1]).astype(np.float32)[None, :]
    return Placed(outline, (rows, columns), outline.depth(y, x))
