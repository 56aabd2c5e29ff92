"""Where nuclei lie: their size and form, in clusters, touching and never overlapping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medseg.samples.drawing.fields import Floats
from medseg.samples.drawing.outlines import Outline, Placed, lobed, place


@dataclass(frozen=True)
class Tissue:
    """What the nuclei of one picture share; lengths in pixels.

    Attributes:
        radius: Of a typical nucleus.
        spread: Deviation of the logarithm of the radius.
        stretch: Long axis by short axis, up to this.
        bumps: Deviation of the edge, as part of the radius.
        cover: Part of the picture that nuclei aim to cover.
        crowd: How often a nucleus lies at another one, 0 to 1.
        most: Nuclei at most.
    """

    radius: float
    spread: float
    stretch: float
    bumps: float
    cover: float
    crowd: float
    most: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Tissue:
        """Draw the nuclei of a picture."""
        radius = float(np.exp(rng.uniform(np.log(5.5), np.log(20))))
        return cls(
            radius=radius,
            spread=rng.uniform(0.08, 0.28),
            stretch=rng.uniform(1.2, 2.0),
            bumps=rng.uniform(0.015, 0.06),
            cover=rng.uniform(0.06, 0.32),
            crowd=rng.uniform(0.0, 0.7),
            most=90,
        )

    def outline(self, rng: np.random.Generator) -> Outline:
        """Draw one nucleus."""
        radius = float(np.clip(self.radius * np.exp(rng.normal(0, self.spread)), 4, 34))
        return lobed(radius, rng, stretch=rng.uniform(1.0, self.stretch), bumps=self.bumps)


@dataclass(frozen=True)
class Nuclei:
    """The nuclei of one picture.

    Attributes:
        instances: (H, W): 0 ground, 1 and on a nucleus each.
        placed: The nuclei, in that order.
        depth: (H, W): pixels to the edge of the deepest nucleus there, positive inside, at least -20.
    """

    instances: NDArray[np.uint16]
    placed: tuple[Placed, ...]
    depth: Floats


def _centre(
    placed: list[tuple[float, float, float]],
    radius: float,
    tissue: Tissue,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[float, float]:
    if placed and rng.random() < tissue.crowd:
        row, column, other = placed[rng.integers(len(placed))]
        away, angle = (radius + other) * rng.uniform(0.95, 1.25), rng.uniform(0, 2 * np.pi)
        return row + away * float(np.sin(angle)), column + away * float(np.cos(angle))
    row, column = (float(rng.uniform(-0.3 * radius, n + 0.3 * radius)) for n in size)
    return row, column


def scatter(tissue: Tissue, size: tuple[int, int], rng: np.random.Generator) -> Nuclei:
    """Put nuclei on a canvas (H, W) until the cover is reached or no more find a place; at least one."""
    instances = np.zeros(size, np.uint16)
    depth = np.full(size, -20, np.float32)
    found: list[Placed] = []
    centres: list[tuple[float, float, float]] = []
    area = 0
    for attempt in range(6 * tissue.most):
        if found and (len(found) >= tissue.most or area >= tissue.cover * instances.size):
            break
        outline = tissue.outline(rng)
        row, column = _centre(centres, outline.radius, tissue, size, rng)
        if attempt == 0:  # wholly inside, so that no picture is without a nucleus
            row, column = (float(rng.uniform(0.3, 0.7) * n) for n in size)
        one = place(outline, (row, column), size, 8)
        if one is None:
            continue
        inside, there = one.depth > 0, instances[one.part] > 0
        whole = int(inside.sum())
        own = inside & ~there
        if whole < 25 or int(own.sum()) < 0.9 * whole:
            continue
        found.append(one)
        centres.append((row, column, outline.radius))
        instances[one.part][own] = len(found)
        np.maximum(depth[one.part], one.depth, out=depth[one.part])
        area += int(own.sum())
    return Nuclei(instances, tuple(found), depth)
