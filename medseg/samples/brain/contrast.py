"""What the scanner sees: brightness of tissues by channel, gain, bias field and Rician noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from medseg.samples.brain.anatomy import SHAPE, Head
from medseg.samples.brain.distractors import Distractors
from medseg.samples.brain.sequences import CHANNELS, Channel, Recipe
from medseg.samples.brain.tumour import Tumour
from medseg.samples.drawing.fields import Floats, smooth_field


def _towards(image: Floats, value: float | Floats, part: Floats) -> None:
    """Mix a tissue in, in place: `part` of each voxel shines with `value`."""
    image += part * (value - image)


def _scan(
    clean: Floats, recipe: Recipe, bias: Floats, gain: float, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Bias, Rician noise (the magnitude of a complex signal with Gaussian noise; Gudbjartsson 1995), gain."""
    real = clean * bias + rng.standard_normal(len(clean), np.float32) * np.float32(recipe.noise)
    imaginary = rng.standard_normal(len(clean), np.float32) * np.float32(recipe.noise)
    scanned = np.sqrt(real**2 + imaginary**2) * np.float32(gain)
    return np.clip(scanned, 1, 32767).astype(np.int16)  # the brain is never 0, which means outside


def scan(
    head: Head, tumour: Tumour, others: Distractors, recipe: Recipe, rng: np.random.Generator
) -> Iterator[tuple[Channel, NDArray[np.int16]]]:
    """Give each channel's name and image (240, 240, 155), 0 outside the brain.

    Args:
        head: The healthy anatomy.
        tumour: On the head's box.
        others: What is no tumour.
        recipe: The numbers of the case.
        rng: Draws textures, bias and noise.
    """
    inside, shape = head.inside, head.inside.shape
    fluid = 1 - head.grey - head.white
    texture = np.float32(0.035) * smooth_field(rng, shape, 4)[inside]
    patchy = np.float32(0.10) * smooth_field(rng, shape, 11)[inside]
    regional = np.float32(0.11) * smooth_field(rng, shape, 24)[inside]
    shared = np.float32(recipe.bias) * smooth_field(rng, shape, 70)[inside]
    oedema, core, bright = (part[inside] for part in (tumour.oedema, tumour.core, tumour.enhancing))
    spots = others.spots * (1 - oedema)
    for channel in CHANNELS:
        brightness = recipe.contrasts[channel]
        grey = np.float32(brightness.grey) * (1 + regional if channel == "flair" else 1)
        image = head.white + head.grey * grey + fluid * np.float32(brightness.fluid)
        _towards(image, brightness.spot, spots)
        _towards(image, np.float32(brightness.oedema) * (1 + patchy), oedema)
        _towards(image, (brightness.necrotic if recipe.enhancing else brightness.solid) * (1 + patchy), core)
        _towards(image, brightness.enhancing * (1 + patchy), bright)
        if channel == "t1ce":
            _towards(image, recipe.vessels, others.vessels)
        image *= 1 + texture
        own = np.float32(recipe.bias * 0.6) * smooth_field(rng, shape, 60)[inside]
        volume = np.zeros(SHAPE, np.int16)
        volume[head.box][inside] = _scan(image, recipe, np.exp(shared + own), recipe.gains[channel], rng)
        yield channel, volume
