"""What looks like tumour in one channel and is none: white-matter lesions, caps, vessels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medseg.samples.brain.anatomy import Head
from medseg.samples.brain.sequences import Recipe
from medseg.samples.drawing.fields import Floats, smooth_field


@dataclass(frozen=True)
class Distractors:
    """Parts of the N voxels inside a head that are no tumour, 0 to 1.

    Attributes:
        spots: (N,) bright on FLAIR: scattered white-matter lesions and periventricular caps.
        vessels: (N,) bright after contrast agent: vessels in fissures, patches of dura.
    """

    spots: Floats
    vessels: Floats


def _lesions(head: Head, count: int, rng: np.random.Generator) -> Floats:
    """Small ellipsoids in white matter, on the box (I, J, K)."""
    out = np.zeros(head.inside.shape, np.float32)
    voxels = np.flatnonzero(head.inside.ravel())[head.white > 0.7]
    chosen = np.unravel_index(voxels[rng.integers(len(voxels), size=count)], out.shape)
    for centre in zip(*chosen, strict=True):
        radii = np.clip(rng.lognormal(1.15, 0.35), 1.8, 6.0) * rng.uniform(0.7, 1.4, 3)
        reach = radii + 3
        low = np.maximum(0, np.array(centre) - reach).astype(int)
        high = np.minimum(out.shape, np.array(centre) + reach + 1).astype(int)
        part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        grid = np.ogrid[part]
        away = sum(((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, radii, strict=True))
        blob = np.clip(1.5 - np.sqrt(away), 0, 1) * rng.uniform(0.75, 1.0)
        np.maximum(out[part], blob.astype(np.float32), out=out[part])
    return out


def distract(head: Head, recipe: Recipe, rng: np.random.Generator) -> Distractors:
    """Make what is no tumour but looks like it."""
    shape = head.inside.shape
    lesions = _lesions(head, recipe.spots, rng)[head.inside]
    uneven = np.clip(0.6 + 0.5 * smooth_field(rng, shape, 12)[head.inside], 0, 1.2).astype(np.float32)
    caps = np.clip(np.float32(2.0 * recipe.caps) * head.cap * uneven, 0, 1)
    spots = np.maximum(lesions, caps) * np.clip(head.white * np.float32(1.5), 0, 1)

    # Two smooth surfaces cross in winding curves, as vessels run; they show in fluid and at the surface.
    one, two = (smooth_field(rng, shape, 17)[head.inside] for _ in range(2))
    tube = np.clip(1.6 - np.sqrt(one**2 + two**2) / np.float32(0.16), 0, 1)
    fluid = np.clip((1 - head.grey - head.white) * 2 + np.float32(0.15), 0, 1)
    sheet = np.clip(1.3 - np.abs(smooth_field(rng, shape, 24)[head.inside]) / np.float32(0.15), 0, 1)
    middle = np.clip(np.float32(3) - head.aside[head.inside], 0, 1)
    sinus = middle * np.clip((1 - head.grey - head.white) * 2 - 1, 0, 1) * np.clip(one * 2, 0, 1)
    vessels = np.maximum(np.maximum(tube, sheet * np.float32(0.6)) * fluid, sinus)
    return Distractors(spots, vessels.astype(np.float32))
