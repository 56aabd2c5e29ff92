"""How an electron micrograph looks: the ground, the particles on it, and what the detector adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medseg.samples.drawing.burnt_in import Marking
from medseg.samples.drawing.fields import Floats, smooth_field
from medseg.samples.drawing.outlines import Maker, Placed, disc, irregular, polygon, rod

_MAKERS: tuple[Maker, ...] = (disc, polygon, rod, irregular)
_OFTEN = (0.4, 0.2, 0.2, 0.2)


@dataclass(frozen=True)
class Look:
    """What the pictures of one article share. Brightness is 0 to 1, lengths are in pixels.

    Attributes:
        makers: Outlines of its particles: the main one, and one that is rarer.
        radius: Half the width of a typical particle.
        cover: Part of the picture that particles aim to cover.
        crowd: How often a particle lies at another one, 0 to 1.
        ground: Brightness of the ground.
        body: Brightness of a particle's middle against the ground; below 0 for dark particles.
        edge: Brightness that the rim has beyond that.
        edge_width: Of the rim.
        dome: Part of `body` that the outermost parts lack.
        strays: Deviation of `body` between particles, as a part of it.
        through: Whether particles overlap as shadows do, else the upper hides the lower.
        shade: How much darker the ground is right beside a particle.
        tilt: Change of the ground over the picture.
        patches: Deviation of broad patches of the ground.
        grain: Deviation of the ground's fine structure.
        grain_size: Its size.
        film: Brightness that the support film has beyond the ground where it lies; 0 for none.
        debris: Number of small specks that are no particles.
        blur: Deviation of the point spread.
        shot: Noise that grows with the root of brightness.
        noise: Noise everywhere.
        marking: What is written into the pictures.
    """

    makers: tuple[Maker, Maker]
    radius: float
    cover: float
    crowd: float
    ground: float
    body: float
    edge: float
    edge_width: float
    dome: float
    strays: float
    through: bool
    shade: float
    tilt: float
    patches: float
    grain: float
    grain_size: float
    film: float
    debris: int
    blur: float
    shot: float
    noise: float
    marking: Marking

    @classmethod
    def draw(cls, bright: bool, rng: np.random.Generator) -> Look:
        """Draw the look of an article, with bright particles or dark ones."""
        main = int(rng.choice(len(_MAKERS), p=_OFTEN))
        ground = rng.uniform(0.14, 0.5) if bright else rng.uniform(0.5, 0.82)
        # Some scanning images show little but a bright rim, as the flat top scatters no more than the ground.
        rim_only = bright and rng.random() < 0.4
        body = rng.uniform(0.05, 0.12) if rim_only else rng.uniform(0.14, 0.34)
        edge = rng.uniform(0.2, 0.4) if rim_only else rng.uniform(-0.02, 0.15)
        return cls(
            makers=(_MAKERS[main], _MAKERS[int(rng.integers(len(_MAKERS)))]),
            radius=float(np.exp(rng.uniform(np.log(8), np.log(38)))),
            cover=rng.uniform(0.10, 0.42),
            crowd=rng.uniform(0.2, 0.9),
            ground=ground,
            body=body if bright else -body,
            edge=edge if bright else -edge * 0.7,
            edge_width=rng.uniform(1.2, 3.5),
            dome=rng.uniform(0.0, 0.6) if bright else rng.uniform(0.0, 0.5),
            strays=rng.uniform(0.08, 0.3),
            through=bool(not bright and rng.random() < 0.7),
            shade=rng.uniform(0.0, 0.08) if bright else 0.0,
            tilt=rng.uniform(0.0, 0.32),
            patches=rng.uniform(0.01, 0.06),
            grain=rng.uniform(0.01, 0.05),
            grain_size=rng.uniform(0.7, 2.2),
            film=rng.uniform(0.08, 0.2) * (1 if rng.random() < 0.5 else -1) * (rng.random() < 0.5),
            debris=int(rng.integers(0, 14)),
            blur=rng.uniform(0.5, 1.4),
            shot=rng.uniform(0.01, 0.05),
            noise=rng.uniform(0.008, 0.04),
            marking=Marking.draw(ground > 0.5, rng),
        )


def broad(rng: np.random.Generator, size: tuple[int, int], spacing: float) -> Floats:
    """Draw a smooth field (H, W) of mean 0 and deviation about 1."""
    return smooth_field(rng, (1, *size), spacing)[0]


def fine(rng: np.random.Generator, size: tuple[int, int], sigma: float) -> Floats:
    """Draw fine structure (H, W) of deviation 1."""
    field = ndimage.gaussian_filter(rng.standard_normal(size, np.float32), sigma, truncate=3)
    return np.asarray(field / field.std(), dtype=np.float32)


def ground(look: Look, size: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw what lies below the particles: tilt, patches, grain, perhaps film with an edge, specks; (H, W)."""
    rows, columns = (np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in size)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.float32(np.sin(angle)) * rows[:, None] + np.float32(np.cos(angle)) * columns[None, :]
    image = np.float32(look.ground + rng.uniform(-0.03, 0.03)) + np.float32(look.tilt) * slope
    image += np.float32(look.patches) * broad(rng, size, min(size) / 5)
    if look.film:
        lies = np.clip(broad(rng, size, min(size) / 1.7) * 12 + np.float32(rng.normal(0, 5)), 0, 1)
        image += np.float32(look.film) * lies
    image += np.float32(look.grain) * fine(rng, size, look.grain_size)
    for _ in range(look.debris):
        row, column = (int(rng.integers(2, n - 3)) for n in size)
        extent = rng.integers(1, 4, 2)
        image[row : row + extent[0], column : column + extent[1]] += np.float32(1.2 * look.body)
    return image.astype(np.float32)


def add(image: Floats, placed: Placed, look: Look, texture: Floats, rng: np.random.Generator) -> None:
    """Put a particle on a picture (H, W), in place; `texture` (H, W) is the structure of its surface."""
    depth, region = placed.depth, image[placed.part]
    body = np.float32(look.body * max(0.4, 1 + rng.normal(0, look.strays)))
    level = np.float32(look.ground if not look.through else 0)
    height = np.sqrt(np.clip(depth / np.float32(placed.outline.radius), 0, 1))
    shown = body * (1 - np.float32(look.dome) * (1 - height))
    shown += np.float32(look.edge) * np.exp(-np.clip(depth, 0, None) / np.float32(look.edge_width))
    shown += np.float32(0.8 * look.grain + 0.01) * texture[placed.part]
    alpha = np.clip(depth + np.float32(0.5), 0, 1)
    if look.shade:
        region -= np.float32(look.shade) * np.exp(np.clip(depth, None, 0) / np.float32(3))
    image[placed.part] = region + alpha * (shown if look.through else level + shown - region)


def detected(image: Floats, look: Look, rng: np.random.Generator) -> Floats:
    """Blur a picture (H, W) and add the detector's noise."""
    blurred = np.clip(ndimage.gaussian_filter(image, look.blur, truncate=3), 0.02, 0.98)
    shot: NDArray[np.float32] = np.float32(look.shot) * np.sqrt(blurred)
    random = rng.standard_normal((2, *image.shape), np.float32)
    return np.asarray(blurred + shot * random[0] + np.float32(look.noise) * random[1], dtype=np.float32)
