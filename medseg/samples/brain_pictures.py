"""Generated pictures of heads with and without a tumour, few of them with a label, from two scanners."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medseg.places import written_whole
from medseg.progress import Progress
from medseg.samples.drawing.burnt_in import lettering
from medseg.samples.drawing.fields import Floats
from medseg.samples.drawing.files import as_bytes, write_png
from medseg.samples.glioma_slices import patient_slices
from medseg.samples.series import write_missing

_BLOCK = 5  # patients of whom one has labels
_FLAIR, _T1CE = 1, 2  # planes of a slice
_CANVAS = 256  # pixels of a picture of the second scanner
_EDGE = 6  # pixels between letters and the border
_MOSTLY = 0.7  # share of the patients without labels who were at the second scanner
KEY = "key.csv"
"""File with the truth of every picture, which no manifest reads."""


class _Stream(IntEnum):
    """Independent random streams, beside those of the brain."""

    WHO = 50
    PICTURES = 51


def has_label(number: int) -> bool:
    """Whether the pictures of patient `number` (from 1) have a label: of each five patients those of the first."""
    return number % _BLOCK == 1


def scanner_of(seed: int, number: int) -> int:
    """At which scanner a patient was, 1 or 2: those with labels in turn, of the others more at the second."""
    if has_label(number):
        return 1 + (number // _BLOCK) % 2
    return 1 + int(_random(seed, number, _Stream.WHO).random() < _MOSTLY)


def classes_of(seed: int, number: int) -> tuple[str, str]:
    """Classes of the two pictures of a patient, in the order of their numbers, which is drawn."""
    first = _random(seed, number, _Stream.WHO).spawn(1)[0].random() < 0.5
    return ("yes", "no") if first else ("no", "yes")


def places(seed: int, number: int) -> tuple[str, str]:
    """Where the two pictures of a patient belong, below the data set's folder."""
    name = f"scanner{scanner_of(seed, number)}_patient{number:03d}"
    homes = [f"labelled/{kind}" if has_label(number) else "unlabelled" for kind in classes_of(seed, number)]
    first, second = (f"{home}/{name}_{n}.png" for n, home in enumerate(homes, start=1))
    return first, second


def _random(seed: int, number: int, part: _Stream) -> np.random.Generator:
    return np.random.default_rng([seed, number, int(part)])


def patient_pictures(seed: int, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Make the two pictures (H, W) of a patient, in the order of `classes_of`.

    One slice goes through the larger part of the tumour; the other shows none of it, and much of the brain.
    """
    rng = _random(seed, number, _Stream.PICTURES)
    slices = patient_slices(seed, number)
    areas = np.array([np.count_nonzero(mask) for _, mask in slices])
    brain = np.array([np.count_nonzero(planes[..., _FLAIR]) for planes, _ in slices])
    free = np.flatnonzero(areas == 0)
    large = free[np.argsort(-brain[free], kind="stable")][: (len(free) + 1) // 2]
    candidates = {"yes": np.flatnonzero(areas > areas.max() / 2), "no": large}
    show = _as_scanned_first if scanner_of(seed, number) == 1 else _as_scanned_second
    first, second = (
        show(slices[int(rng.choice(candidates[kind]))][0], rng) for kind in classes_of(seed, number)
    )
    return first, second


def _as_scanned_first(planes: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """FLAIR, cut close to the head, of any size from 150 to 240 pixels, in soft contrast, sometimes framed."""
    grey = planes[..., _FLAIR]
    rows, columns = (np.flatnonzero((grey > 0).any(axis=axis)) for axis in (1, 0))
    edge = int(rng.integers(1, 5))
    top, left = max(0, rows[0] - edge), max(0, columns[0] - edge)
    cut = grey[top : rows[-1] + edge + 1, left : columns[-1] + edge + 1]
    width = int(rng.integers(150, 241))
    height = round(width * cut.shape[0] / cut.shape[1])
    soft = _resized(cut, height, width) ** np.float32(rng.uniform(0.7, 0.95))
    picture = as_bytes(np.float32(0.08) + np.float32(0.85) * soft)
    if rng.random() < 0.3:
        picture[[0, 1, -2, -1]] = 235
        picture[:, [0, 1, -2, -1]] = 235
    return picture


def _as_scanned_second(planes: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """T1 after contrast agent, on black of one size, in hard contrast, often with letters in a corner."""
    height = int(rng.integers(225, 246))
    hard = (_resized(planes[..., _T1CE], height, height) - np.float32(0.12)) * np.float32(
        rng.uniform(1.15, 1.35)
    )
    picture = np.zeros((_CANVAS, _CANVAS), np.uint8)
    top = (_CANVAS - height) // 2
    picture[top : top + height, top : top + height] = as_bytes(hard)
    written = rng.spawn(1)[0]  # so that what is drawn after this picture stays as it is
    if written.random() < 0.6:
        letters = lettering(f"{written.integers(1, 10)} nm", 2)
        left = _EDGE if written.random() < 0.5 else _CANVAS - _EDGE - letters.shape[1]
        place = (slice(_CANVAS - _EDGE - len(letters), _CANVAS - _EDGE), slice(left, left + letters.shape[1]))
        picture[place][letters] = 225
    return picture


def _resized(grey: NDArray[np.uint8], height: int, width: int) -> Floats:
    """A picture (H, W) of another size, 0 to 1."""
    image = Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _write(out: Path, seed: int, number: int) -> None:
    for place, picture in zip(places(seed, number), patient_pictures(seed, number), strict=True):
        (out / place).parent.mkdir(parents=True, exist_ok=True)
        with written_whole(out / place) as target:
            write_png(picture, target)


def _there(out: Path, seed: int, number: int) -> bool:
    return all((out / place).is_file() for place in places(seed, number))


def _write_key(out: Path, seed: int, cases: int) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "tumour", "source", "patient"])
    for number in range(1, cases + 1):
        for place, kind in zip(places(seed, number), classes_of(seed, number), strict=True):
            rows.writerow([place, kind, f"scanner{scanner_of(seed, number)}", f"patient{number:03d}"])
    with written_whole(out / KEY) as target:
        target.write_text(text.getvalue(), encoding="utf-8")


@dataclass(frozen=True)
class BrainPictures:
    """A generated data set of pictures of heads, of which few have a label: tumour (yes) or none (no).

    A patient has two pictures, one with a tumour and one without, 8-bit grey. Of each five patients one has
    labels: these pictures lie in `labelled/yes/` and `labelled/no/`, all others in `unlabelled/`. A picture is
    called `scanner<n>_patient<number>_<1 or 2>.png`. The scanners differ as sources of pictures on the web do:
    the first gives FLAIR, cut close to the head, of many sizes, sometimes framed; the second T1 after contrast
    agent on black of 256x256 pixels, often with letters in a corner. `key.csv` tells the truth of every picture,
    and no manifest reads it. Brains and tumours are drawn as for `GliomaSlices`.
    """

    version: ClassVar[int] = 3  # part of the cache key; raised when the bytes change
    classes: ClassVar[tuple[str, ...]] = ("no", "yes")

    def write(self, out: Path, *, cases: int, seed: int, progress: Progress, jobs: int = 1) -> Path:
        """Write patients 1 to `cases`; those that are there already are kept, so that a stopped call goes on.

        A patient depends on seed and number alone, byte for byte: not on `cases` nor on `jobs`. Other
        versions of NumPy, SciPy or Pillow, and other kinds of processor, may round differently.

        Args:
            out: Folder of the data set; made if need be. One seed and one version to a folder.
            cases: How many patients, at least 1; 100 make 40 pictures with a label and 160 without.
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
            partial(_there, out, seed),
            "generating pictures of heads",
            cases=cases,
            seed=seed,
            progress=progress,
            jobs=jobs,
        )
        _write_key(out, seed, cases)
        return out
