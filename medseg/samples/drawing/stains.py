"""How nuclei show under the microscope: shining in the dark, or purple in pink tissue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
from scipy import ndimage

from medseg.samples.drawing.fields import Floats
from medseg.samples.drawing.micrograph import broad, fine
from medseg.samples.drawing.tissue import Nuclei, Tissue, scatter

Kind = Literal["grey", "colour"]


class Stain(Protocol):
    """Makes a picture of nuclei.

    Attributes:
        kind: Of the picture: with grey content, whatever the file's mode, or in colour.
    """

    kind: ClassVar[Kind]

    def show(self, nuclei: Nuclei, tissue: Tissue, rng: np.random.Generator) -> Floats:
        """Give (H, W, 3), brightness 0 to 1."""


def _strengths(nuclei: Nuclei, spread: float, rng: np.random.Generator) -> Floats:
    """How strongly each nucleus takes the stain (H, W), 1 in the mean, 0 on the ground."""
    drawn = np.clip(1 + spread * rng.standard_normal(len(nuclei.placed)), 0.35, None)
    return np.concatenate([[0], drawn]).astype(np.float32)[nuclei.instances]


def _blurred(image: Floats, sigma: float) -> Floats:
    return np.asarray(ndimage.gaussian_filter(image, sigma, truncate=3), dtype=np.float32)


@dataclass(frozen=True)
class Fluorescent:
    """Bright nuclei on a dark ground, all three planes alike.

    Attributes:
        ground: Brightness of the ground.
        shine: Brightness of a nucleus beyond it.
        spread: Deviation between nuclei, as a part of `shine`.
        chromatin: Deviation within them, as a part of `shine`.
        glow: Part of the light that spreads widely around nuclei.
        tilt: Deviation of the illumination.
        ghosts: Brightness of nuclei out of focus, which are no nuclei to be found, as a part of `shine`.
        blur: Deviation of the point spread, in pixels.
        noise: Of the camera.
    """

    kind: ClassVar[Kind] = "grey"

    ground: float
    shine: float
    spread: float
    chromatin: float
    glow: float
    tilt: float
    ghosts: float
    blur: float
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Fluorescent:
        """Draw how a fluorescent picture looks; many are dark and dim, as the Bowl's are."""
        shine = float(np.exp(rng.uniform(np.log(0.09), np.log(0.75))))
        return cls(
            ground=float(np.exp(rng.uniform(np.log(0.012), np.log(0.2)))),
            shine=shine,
            spread=rng.uniform(0.12, 0.4),
            chromatin=rng.uniform(0.05, 0.2),
            glow=rng.uniform(0.05, 0.3),
            tilt=rng.uniform(0.0, 0.25),
            ghosts=rng.uniform(0.1, 0.35) if rng.random() < 0.4 else 0.0,
            blur=rng.uniform(0.6, 1.6),
            noise=rng.uniform(0.004, 0.014) + 0.03 * shine * rng.random(),
        )

    def show(self, nuclei: Nuclei, tissue: Tissue, rng: np.random.Generator) -> Floats:
        """Give (H, W, 3), brightness 0 to 1."""
        size = nuclei.instances.shape
        body = np.clip(nuclei.depth / np.float32(0.35 * tissue.radius), 0.35, 1)
        chromatin = 1 + np.float32(self.chromatin) * fine(rng, size, 0.12 * tissue.radius + 0.6)
        light = _strengths(nuclei, self.spread, rng) * body * chromatin
        if self.ghosts:
            far = scatter(tissue, size, rng)
            light += np.float32(self.ghosts) * _blurred((far.instances > 0).astype(np.float32), 4.0)
        light = _blurred(light, self.blur) + np.float32(self.glow) * _wide(light, tissue.radius)
        lamp = np.exp(np.float32(self.tilt) * broad(rng, size, min(size) / 1.5))
        image = np.float32(self.ground) + np.float32(self.shine) * light * lamp
        random = rng.standard_normal((2, *size), np.float32)
        image = np.clip(image, 0, None)
        image += np.float32(self.noise) * (random[0] * np.sqrt(image) * 2 + random[1] * np.float32(0.5))
        return np.repeat(image[..., None], 3, axis=2)


def _wide(light: Floats, radius: float) -> Floats:
    """Light spread over about a nucleus, computed on every fourth pixel."""
    coarse = _blurred(light, 2)[::4, ::4]
    wide = np.kron(_blurred(coarse, radius / 4), np.ones((4, 4), np.float32))
    return _blurred(wide[: light.shape[0], : light.shape[1]], 2)


_PINKS = np.array([[0.90, 0.68, 0.84], [0.93, 0.80, 0.90], [0.84, 0.62, 0.82]], np.float32)
_PURPLES = np.array([[0.38, 0.14, 0.55], [0.52, 0.20, 0.60], [0.30, 0.18, 0.52]], np.float32)
_GLASS = np.array([0.95, 0.94, 0.95], np.float32)


@dataclass(frozen=True)
class Stained:
    """Purple nuclei in pink tissue with gaps, as haematoxylin and eosin show them.

    Attributes:
        pink: (3,) colour of the tissue.
        purple: (3,) colour of a nucleus.
        spread: Deviation of the stain between nuclei.
        chromatin: Deviation within them.
        gaps: How much glass shows between the tissue, about -2 (none) to 1 (much).
        fibres: Strength of darker fibres, which are no nuclei.
        blur: Deviation of the point spread, in pixels.
        noise: Of the camera.
    """

    kind: ClassVar[Kind] = "colour"

    pink: tuple[float, ...]
    purple: tuple[float, ...]
    spread: float
    chromatin: float
    gaps: float
    fibres: float
    blur: float
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Stained:
        """Draw how a stained picture looks."""
        pink = _PINKS[rng.integers(len(_PINKS))] * rng.uniform(0.94, 1.04)
        purple = _PURPLES[rng.integers(len(_PURPLES))] * rng.uniform(0.85, 1.2)
        return cls(
            pink=tuple(pink.tolist()),
            purple=tuple(purple.tolist()),
            spread=rng.uniform(0.05, 0.2),
            chromatin=rng.uniform(0.08, 0.2),
            gaps=rng.uniform(-2.0, 0.8),
            fibres=rng.uniform(0.1, 0.35),
            blur=rng.uniform(0.6, 1.2),
            noise=rng.uniform(0.01, 0.025),
        )

    def show(self, nuclei: Nuclei, tissue: Tissue, rng: np.random.Generator) -> Floats:
        """Give (H, W, 3), brightness 0 to 1."""
        size = nuclei.instances.shape
        near = np.clip(1 + nuclei.depth / np.float32(6), 0, 1)  # cells have cytoplasm around the nucleus
        lies = broad(rng, size, min(size) / 3) - np.float32(self.gaps)
        there = _blurred(np.maximum(np.clip(lies * 4 + 0.5, 0, 1), near), 1.5)
        fibre = np.clip(1 - np.abs(broad(rng, size, 16) + broad(rng, size, 7) * np.float32(0.4)) * 4, 0, 1)
        eosin = np.clip(there * (1 + np.float32(0.25) * fine(rng, size, 3) - 0.3 * (1 - near)), 0, 2)
        eosin += np.float32(self.fibres) * 2 * fibre * there
        strength = _strengths(nuclei, self.spread, rng)
        rim = np.exp(-np.clip(nuclei.depth, 0, None) / np.float32(1.8)) * np.float32(0.25)
        grains = np.float32(self.chromatin) * fine(rng, size, 0.1 * tissue.radius + 0.5)
        nuclear = strength * np.clip(0.85 + rim + grains, 0.2, 1.6)
        smear = np.float32(0.25) * np.clip(broad(rng, size, 20) - 0.8, 0, 1) * there  # stain beside nuclei
        # Stains absorb one after the other: their densities add (Beer and Lambert).
        pink, purple = -np.log(np.array(self.pink)), -np.log(np.array(self.purple))
        density = (
            np.maximum(eosin * (1 - np.float32(0.7) * np.minimum(nuclear, 1)), 0)[..., None] * pink
            + (nuclear + smear)[..., None] * purple
        )
        image = _GLASS * np.exp(-density)
        image = ndimage.gaussian_filter(image.astype(np.float32), (self.blur, self.blur, 0), truncate=3)
        random = rng.standard_normal((*size, 3), np.float32)
        return np.asarray(image + np.float32(self.noise) * random, dtype=np.float32)
