"""What a generated case is to look like: all its numbers, drawn before anything is made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np

from medseg.errors import DataError

Channel = Literal["flair", "t1", "t1ce", "t2"]
CHANNELS: tuple[Channel, ...] = ("flair", "t1", "t1ce", "t2")


class Stream(IntEnum):
    """Independent random streams of a case, so that a change to one part leaves the others as they were."""

    RECIPE = 0
    SHAPE = 1
    TUMOUR = 2
    DISTRACTORS = 3
    IMAGE = 4
    BLOCK = 5


def stream(seed: int, number: int, part: Stream) -> np.random.Generator:
    """Give the generator of one part of case `number` (from 1) of a seed (0 or more)."""
    if seed < 0:
        raise DataError(f"The seed of a generated data set is {seed}; it must be 0 or more.")
    return np.random.default_rng([seed, number, int(part)])


@dataclass(frozen=True)
class Contrast:
    """Brightness of the tissues in one channel, relative to healthy white matter (1)."""

    grey: float
    fluid: float
    oedema: float
    enhancing: float
    necrotic: float
    solid: float  # tumour core that does not enhance
    spot: float  # lesions that are no tumour


# Means, loosely after glioma MRI: fluid is dark on FLAIR, oedema bright on T2 and FLAIR, the rim bright after
# contrast agent. On FLAIR tumour and cortex are set closer than they often are, so that no threshold will do.
_TYPICAL: dict[Channel, Contrast] = {
    "flair": Contrast(1.32, 0.30, 1.55, 1.50, 1.15, 1.48, 1.75),
    "t1": Contrast(0.78, 0.36, 0.76, 0.80, 0.52, 0.62, 0.86),
    "t1ce": Contrast(0.82, 0.38, 0.76, 1.75, 0.52, 0.64, 0.88),
    "t2": Contrast(1.38, 3.10, 2.05, 1.80, 2.60, 2.35, 1.75),
}
_GAINS: dict[Channel, tuple[float, float]] = {
    "flair": (250, 900),
    "t1": (300, 1000),
    "t1ce": (400, 1500),
    "t2": (200, 600),
}


@dataclass(frozen=True)
class Recipe:
    """The numbers of one case.

    Attributes:
        scale: Size of the brain against the template along x, y, z.
        angles: Rotations about x, y, z in radians.
        shift: Displacement in voxels along i, j, k.
        warp: Deviation of the smooth deformation in mm.
        sulci: Part of each voxel that shrinkage turns from grey matter into fluid at the surface, 0 to 0.2.
        whole_ml: Volume of the whole tumour in mL.
        core_part: Part of it that is tumour core.
        foci: Number of tumour centres, 1 or 2.
        enhancing: Whether the core takes up contrast agent.
        rim_part: Mean thickness of the enhancing rim, as part of the core's radius.
        spots: Number of white-matter lesions that are no tumour.
        caps: Strength of bright periventricular caps, 0 to 1.
        vessels: Brightness of vessels after contrast agent.
        noise: Deviation of the noise, relative to white matter.
        bias: Deviation of the logarithm of the bias field.
        gains: Scanner units of white matter, by channel.
        contrasts: Brightness of the tissues, by channel.
    """

    scale: tuple[float, float, float]
    angles: tuple[float, float, float]
    shift: tuple[float, float, float]
    warp: float
    sulci: float
    whole_ml: float
    core_part: float
    foci: int
    enhancing: bool
    rim_part: float
    spots: int
    caps: float
    vessels: float
    noise: float
    bias: float
    gains: dict[Channel, float]
    contrasts: dict[Channel, Contrast]


def _triple(rng: np.random.Generator, centre: float, spread: float) -> tuple[float, float, float]:
    a, b, c = rng.uniform(centre - spread, centre + spread, 3).tolist()
    return a, b, c


def _varied(rng: np.random.Generator, typical: Contrast) -> Contrast:
    """Vary each brightness, as scanners and protocols do: grey matter and fluid by about 4 %.

    Tumour and lesions follow grey matter, whose water they share, and stray from it by 1.5 % only: else
    some cases could be solved by a threshold, and in others the oedema could not be seen at all.
    """
    grey, fluid = np.exp(rng.normal(0, 0.04, 2)).tolist()
    stray = np.exp(rng.normal(0, 0.015, 5)) * grey
    lesions = (typical.oedema, typical.enhancing, typical.necrotic, typical.solid, typical.spot)
    return Contrast(typical.grey * grey, typical.fluid * fluid, *(np.array(lesions) * stray).tolist())


def enhances(seed: int, number: int) -> bool:
    """Say whether case `number` (from 1) enhances; one of each five cases, drawn by seed, does not."""
    block, place = divmod(number - 1, 5)
    return int(stream(seed, block, Stream.BLOCK).integers(5)) != place


def draw(seed: int, number: int) -> Recipe:
    """Draw the numbers of case `number` (from 1) of a seed; the same whatever other cases are asked for."""
    rng = stream(seed, number, Stream.RECIPE)
    size = rng.uniform(0.89, 0.97)
    return Recipe(
        scale=_triple(rng, size, 0.02),
        angles=_triple(rng, 0.0, 0.10),
        shift=_triple(rng, 0.0, 3.0),
        warp=rng.uniform(2.0, 3.5),
        sulci=rng.uniform(0.0, 0.2),
        whole_ml=float(np.exp(rng.uniform(np.log(18), np.log(140)))),
        core_part=rng.uniform(0.22, 0.5),
        foci=1 + int(rng.random() < 0.2),
        enhancing=enhances(seed, number),
        rim_part=rng.uniform(0.2, 0.42),
        spots=int(rng.integers(8, 60)),
        caps=rng.uniform(0.2, 1.0),
        vessels=rng.uniform(1.5, 2.2),
        noise=rng.uniform(0.03, 0.05),
        bias=rng.uniform(0.06, 0.10),
        gains={channel: rng.uniform(*_GAINS[channel]) for channel in CHANNELS},
        contrasts={channel: _varied(rng, _TYPICAL[channel]) for channel in CHANNELS},
    )
