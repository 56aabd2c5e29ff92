"""Slices of a generated brain in three planes, T1 and FLAIR, as a radiologist would lay them out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from medseg.samples.brain.anatomy import Placement, bend
from medseg.samples.brain.atlas import atlas
from medseg.samples.brain.contrast import scan
from medseg.samples.brain.distractors import distract
from medseg.samples.brain.sequences import Channel, Recipe, Stream, draw, stream
from medseg.samples.brain.tumour import choose, grow
from medseg.samples.drawing.fields import Floats
from medseg.samples.drawing.files import as_bytes

CHANNELS: tuple[Channel, ...] = ("flair", "t1")
SIDE = 128  # pixels of a picture
PIXEL = 1.6  # mm along each axis: the generator's voxels of 1 mm would cost four times as much
SLICES = 3  # of each plane and channel
_CORNER = (52, 59, 6)  # of the cube of SIDE voxels around the brain, in the generator's grid
_WHITE = 99.5  # percentile of the brain in a channel that windows are measured by, by patient


class Part(IntEnum):
    """Independent random streams, beside those of the brain."""

    SLICES = 40
    WINDOWS = 41
    DICOM = 42
    ROLE = 43


@dataclass(frozen=True)
class Plane:
    """One of the three ways to cut a head.

    Attributes:
        name: axial, coronal or sagittal.
        across: Axis of the volume that the slices follow: 0 to the patient's left, 1 to the back, 2 upwards.
        right: Direction of increasing columns in DICOM's patient coordinates (left, back, up).
        down: Direction of increasing rows.
    """

    name: str
    across: int
    right: tuple[int, int, int]
    down: tuple[int, int, int]

    def cut(self, volume: NDArray[np.int16], index: int) -> NDArray[np.int16]:
        """Take a slice (H, W) of a volume (I, J, K) that runs to the patient's left, back and top."""
        flat = np.moveaxis(volume, self.across, 0)[index].T
        return flat[::-1] if self.down[2] < 0 else flat

    def corner(self, index: int) -> tuple[float, float, float]:
        """Place of the first pixel in mm, in DICOM's patient coordinates; 0 is the middle of the cube."""
        middle = (SIDE - 1) / 2
        voxel = [0.0, 0.0, SIDE - 1.0 if self.down[2] < 0 else 0.0]
        voxel[self.across] = index
        i, j, k = (round((v - middle) * PIXEL, 3) for v in voxel)
        return i, j, k


# The patient's right is on the left of the picture, as if seen from the feet or from the front.
PLANES = (
    Plane("axial", 2, (1, 0, 0), (0, 1, 0)),
    Plane("coronal", 1, (1, 0, 0), (0, 0, -1)),
    Plane("sagittal", 0, (0, 1, 0), (0, 0, -1)),
)


@dataclass(frozen=True)
class Picture:
    """One slice.

    Attributes:
        channel: t1 or flair.
        plane: How it was cut.
        n: Number of the slice in its series, from 1.
        index: Voxel of the cube it was cut at.
        values: (128, 128) scanner units, 0 outside the brain.
        low: Scanner units shown black.
        high: Scanner units shown white.
    """

    channel: Channel
    plane: Plane
    n: int
    index: int
    values: NDArray[np.int16]
    low: float
    high: float

    def shown(self) -> NDArray[np.uint8]:
        """The picture through its window, (128, 128), 0 black to 255 white."""
        inside = (self.values - np.float32(self.low)) / np.float32(self.high - self.low)
        return as_bytes(inside.astype(np.float32))


def class_name(channel: Channel, plane: Plane) -> str:
    """Name of a class, as T1_axial."""
    return f"{channel.upper()}_{plane.name}"


CLASSES = tuple(sorted(class_name(channel, plane) for channel in CHANNELS for plane in PLANES))
"""Names of the six classes, by code point."""


def numbers(seed: int, number: int, part: Part) -> np.random.Generator:
    """Give the generator of one part of patient `number` (from 1)."""
    return np.random.default_rng([seed, number, int(part)])


def _recipe(seed: int, number: int) -> Recipe:
    """The numbers of a brain in larger voxels: whatever is counted in voxels becomes smaller."""
    recipe = draw(seed, number)
    a, b, c = (size / PIXEL for size in recipe.scale)
    i, j, k = (length / PIXEL for length in recipe.shift)
    return replace(
        recipe,
        scale=(a, b, c),
        shift=(i, j, k),
        whole_ml=recipe.whole_ml / PIXEL**3,
        spots=1 + recipe.spots // 12,
    )


def _volumes(seed: int, number: int) -> dict[Channel, NDArray[np.int16]]:
    """Both channels (128, 128, 128), running to the patient's left, back and top."""
    recipe = _recipe(seed, number)
    placement = Placement.of(recipe)
    rng = stream(seed, number, Stream.TUMOUR)
    sites, foci = choose(atlas().sites, recipe, rng)
    foci = replace(foci, centres=placement.in_box(sites))
    head = bend(atlas(), placement, recipe, stream(seed, number, Stream.SHAPE), foci)
    tumour = grow(head, foci, recipe, rng)
    others = distract(head, recipe, stream(seed, number, Stream.DISTRACTORS))
    cube = tuple(slice(first, first + SIDE) for first in _CORNER)
    found: dict[Channel, NDArray[np.int16]] = {}
    for channel, volume in scan(head, tumour, others, recipe, stream(seed, number, Stream.IMAGE)):
        if channel in CHANNELS:
            found[channel] = volume[cube]
        if len(found) == len(CHANNELS):
            break  # what comes later is not asked for
    return found


def _indices(brain: NDArray[np.bool_], across: int, rng: np.random.Generator) -> list[int]:
    """Draw SLICES places from the middle half of the brain along an axis, one from each part of it."""
    others = tuple(axis for axis in range(3) if axis != across)
    first, last = np.flatnonzero(brain.any(axis=others))[[0, -1]]
    places = first + (last - first) * (0.25 + 0.5 * (np.arange(SLICES) + rng.random(SLICES)) / SLICES)
    return [int(place) for place in np.rint(places)]


def _window(values: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """Draw a window, as somebody set it by hand at the scanner: dark to bright, flat to hard."""
    white = float(np.percentile(values, _WHITE))
    low, high = white * rng.uniform(-0.08, 0.2), white * rng.uniform(0.85, 1.4)
    return round(low, 1), round(high, 1)


def patient_pictures(seed: int, number: int) -> Iterator[Picture]:
    """Make the pictures of patient `number` (from 1) of a seed: three of each plane and channel.

    T1 and FLAIR are cut at places of their own; a window is drawn for each series.
    """
    cuts, windows = (numbers(seed, number, part) for part in (Part.SLICES, Part.WINDOWS))
    for channel, volume in _volumes(seed, number).items():
        brain = volume > 0
        for plane in PLANES:
            low, high = _window(volume[brain].astype(np.float32), windows)
            for n, index in enumerate(_indices(brain, plane.across, cuts), start=1):
                yield Picture(channel, plane, n, index, plane.cut(volume, index), low, high)
