"""Generated slices of lower-grade gliomas, in the layout of the Kaggle set of brain MRI segmentation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from medseg.places import written_whole
from medseg.progress import Progress
from medseg.samples.brain.anatomy import SHAPE, Placement, bend
from medseg.samples.brain.atlas import HALF, atlas
from medseg.samples.brain.contrast import scan
from medseg.samples.brain.distractors import distract
from medseg.samples.brain.sequences import Channel, Recipe, Stream, draw, stream
from medseg.samples.brain.tumour import choose, grow
from medseg.samples.drawing.files import as_bytes, write_tiff
from medseg.samples.series import write_missing

_PLANES: tuple[Channel, ...] = ("t1", "flair", "t1ce")  # red, green and blue of the Kaggle set
_SIDE = 128  # pixels of a slice
_PIXEL = 1.625  # mm along each axis: the generator's voxels of 1 mm would cost four times as much
_MIDDLE = np.array([63.5, 64.5, 60.0])  # where the middle of the brain lies in the grid of such voxels
_LEAST = 25  # pixels of a tumour that counts as one
_WHITE = 99.7  # percentile of the brain in a channel that becomes the brightest value, by patient


class _Stream(IntEnum):
    """Independent random streams, beside those of the brain."""

    GRADE = 30
    SLICES = 31


def _recipe(seed: int, number: int) -> Recipe:
    """The numbers of a brain in larger voxels, with a tumour of lower grade: smaller, and few enhance."""
    rng = np.random.default_rng([seed, number, int(_Stream.GRADE)])
    recipe = draw(seed, number)
    return replace(
        recipe,
        whole_ml=float(np.exp(rng.uniform(np.log(25), np.log(100)))) / _PIXEL**3,  # thousands of voxels
        enhancing=bool(rng.random() < 0.25),
        spots=1 + recipe.spots // 12,  # fewer, as their size is counted in voxels too
    )


def _placement(recipe: Recipe) -> Placement:
    """Place the brain in the grid of larger voxels; it runs to the patient's left, back and top."""
    matrix = Placement.of(recipe).matrix * _PIXEL
    middle = _MIDDLE + np.array(recipe.shift) / _PIXEL
    reach = np.abs(np.linalg.inv(matrix)) @ HALF + 2 * recipe.warp / _PIXEL
    low = np.maximum(0, np.floor(middle - reach)).astype(int)
    high = np.minimum((_SIDE, _SIDE, SHAPE[2]), np.ceil(middle + reach)).astype(int)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return Placement(matrix, middle, (i, j, k))


def _planes(volume: NDArray[np.int16]) -> NDArray[np.int16]:
    """Axial slices (K, H, W): row 0 in front, column 0 at the patient's right."""
    return volume[:_SIDE, :_SIDE].T


def _volumes(seed: int, number: int) -> tuple[dict[Channel, NDArray[np.int16]], NDArray[np.bool_]]:
    """The three channels and the whole tumour, each (K, H, W)."""
    recipe = _recipe(seed, number)
    placement = _placement(recipe)
    rng = stream(seed, number, Stream.TUMOUR)
    sites, foci = choose(atlas().sites, recipe, rng)
    foci = replace(foci, centres=placement.in_box(sites))
    head = bend(atlas(), placement, recipe, stream(seed, number, Stream.SHAPE), foci)
    tumour = grow(head, foci, recipe, rng)
    others = distract(head, recipe, stream(seed, number, Stream.DISTRACTORS))
    found: dict[Channel, NDArray[np.int16]] = {}
    for channel, volume in scan(head, tumour, others, recipe, stream(seed, number, Stream.IMAGE)):
        found[channel] = _planes(volume)
        if all(plane in found for plane in _PLANES):
            break  # what comes later is not asked for
    label = np.zeros(SHAPE, np.int16)
    label[head.box] = tumour.label
    return found, _planes(label) > 0


def _evenly(places: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Take `count` of the places, or all if they are fewer, evenly spread."""
    taken = min(count, len(places))
    return places[((np.arange(taken) + 0.5) * len(places) / taken).astype(np.int64)]


def patient_slices(seed: int, number: int) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Make the slices of patient `number` (from 1) of a seed, from below to above.

    Returns:
        Of each slice the picture (128, 128, 3) and its mask (128, 128), 0 or 255. Row 0 is in front, column
        0 at the patient's right; a pixel has 1.625 mm. Brightness of each plane is scaled by patient.
    """
    volumes, whole = _volumes(seed, number)
    rng = np.random.default_rng([seed, number, int(_Stream.SLICES)])
    count = int(rng.integers(12, 17))
    without = round(count / 3)
    brain, tumour = (part.sum(axis=(1, 2)) for part in (volumes["t1"] > 0, whole))
    shown, free = np.flatnonzero(tumour >= _LEAST), np.flatnonzero((tumour == 0) & (brain > brain.max() / 4))
    white = {plane: float(np.percentile(volumes[plane][volumes[plane] > 0], _WHITE)) for plane in _PLANES}
    made = []
    for k in sorted([*_evenly(shown, count - without).tolist(), *_evenly(free, without).tolist()]):
        planes = [(volumes[plane][k] / white[plane]).astype(np.float32) for plane in _PLANES]
        made.append((as_bytes(np.stack(planes, axis=-1)), np.where(whole[k], 255, 0).astype(np.uint8)))
    return made


def case_name(number: int) -> str:
    """Name of patient `number`, counted from 1."""
    return f"MedsegSample_LGG_{number:04d}"


def _write(out: Path, seed: int, number: int) -> None:
    name = case_name(number)
    with written_whole(out / "kaggle_3m" / name) as folder:
        folder.mkdir()
        for n, (image, mask) in enumerate(patient_slices(seed, number), start=1):
            write_tiff(image, folder / f"{name}_{n}.tif")
            write_tiff(mask, folder / f"{name}_{n}_mask.tif")


def _there(out: Path, number: int) -> bool:
    return (out / "kaggle_3m" / case_name(number)).is_dir()


@dataclass(frozen=True)
class GliomaSlices:
    """A generated data set in the layout of the Kaggle set "Brain MRI segmentation" (lower-grade glioma).

    Every patient is a folder `kaggle_3m/<patient>` of 12 to 16 axial slices from below to above,
    `<patient>_<n>.tif` and `<patient>_<n>_mask.tif` with n from 1, unpadded. A slice is 8-bit RGB, 128x128
    pixels, whose planes are T1 before contrast agent, FLAIR, and T1 after it; a mask is 0 or 255 where FLAIR
    shows tumour. A third of the slices have none. Brains and tumours are drawn as for `BrainTumours`.
    """

    version: ClassVar[int] = 2  # part of the cache key; raised when the bytes change

    def write(self, out: Path, *, cases: int, seed: int, progress: Progress, jobs: int = 1) -> Path:
        """Write patients 1 to `cases`; those that are there already are kept, so that a stopped call goes on.

        A patient depends on seed and number alone, byte for byte: not on `cases` nor on `jobs`. Other
        versions of NumPy, SciPy or Pillow, and other kinds of processor, may round differently.

        Args:
            out: Folder of the data set; made if need be. One seed and one version to a folder.
            cases: How many patients, at least 1.
            seed: 0 or more.
            progress: Shows the patients done.
            jobs: Processes. About 0.3 GB of memory each.

        Returns:
            `out`.

        Raises:
            DataError: A number is out of range, or the template is not installed.
        """
        write_missing(
            partial(_write, out, seed),
            partial(_there, out),
            "generating slices of gliomas",
            cases=cases,
            seed=seed,
            progress=progress,
            jobs=jobs,
        )
        return out
