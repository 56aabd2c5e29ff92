"""Generated electron micrographs of particles, in the very layout of the set emps."""

from __future__ import annotations

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
from medseg.samples.drawing.burnt_in import burn
from medseg.samples.drawing.fields import Floats
from medseg.samples.drawing.files import as_bytes, write_png
from medseg.samples.drawing.micrograph import Look, add, detected, fine, ground
from medseg.samples.drawing.outlines import Placed, place
from medseg.samples.series import write_missing

_SHORT = 256  # pixels of the shorter side
_MOST = 140  # particles a picture
_BLOCK = 10  # pictures, of four articles


class _Stream(IntEnum):
    """Independent random streams."""

    BLOCK = 10
    LOOK = 11
    PICTURE = 12


def _rng(seed: int, number: int, part: _Stream) -> np.random.Generator:
    return np.random.default_rng([seed, number, int(part)])


@dataclass(frozen=True)
class Source:
    """From which article a picture comes.

    Attributes:
        article: Counted from 1.
        panel: Which of its pictures, from 0.
        bright: Whether its particles are brighter than the ground.
    """

    article: int
    panel: int
    bright: bool


def source_of(seed: int, number: int) -> Source:
    """Say where picture `number` (from 1) comes from.

    Ten pictures in a row come from four articles, which have one to four each; two of them show bright
    particles and two dark ones.
    """
    block, place_in_block = divmod(number - 1, _BLOCK)
    rng = _rng(seed, block, _Stream.BLOCK)
    sizes, bright = rng.permutation([1, 2, 3, 4]), rng.permutation([True, True, False, False])
    ends = np.cumsum(sizes)
    which = int(np.searchsorted(ends, place_in_block, side="right"))
    panel = place_in_block - int(ends[which] - sizes[which])
    return Source(4 * block + which + 1, panel, bool(bright[which]))


def _centre(
    placed: list[tuple[float, float, float]],
    radius: float,
    look: Look,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Where a particle may lie: at one that lies there already, or anywhere, cut by the border too."""
    if placed and rng.random() < look.crowd:
        row, column, other = placed[rng.integers(len(placed))]
        away, angle = (radius + other) * rng.uniform(0.85, 1.1), rng.uniform(0, 2 * np.pi)
        return row + away * float(np.sin(angle)), column + away * float(np.cos(angle))
    row, column = (float(rng.uniform(-0.4 * radius, n + 0.4 * radius)) for n in size)
    return row, column


def _fits(placed: Placed, instances: NDArray[np.uint16], taken: NDArray[np.bool_]) -> bool:
    """A particle may cover little of others, and nothing of what is written into the picture."""
    inside = placed.depth > 0
    area = int(inside.sum())
    if area < 30 or bool((taken[placed.part] & (placed.depth > -2)).any()):
        return False
    hidden = instances[placed.part][inside]
    covered = hidden[hidden > 0]
    if len(covered) > 0.15 * area:
        return False
    return all(
        int((covered == other).sum()) < 0.2 * int((instances == other).sum()) for other in np.unique(covered)
    )


def picture(seed: int, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Make picture `number` (from 1) of a seed.

    Returns:
        The picture (H, W), and its instance map (H, W): 0 ground, 1 and on a particle each.
    """
    source = source_of(seed, number)
    look = Look.draw(source.bright, _rng(seed, source.article, _Stream.LOOK))
    rng = _rng(seed, number, _Stream.PICTURE)
    long = round(_SHORT * rng.uniform(1.0, 1.45))
    size = (_SHORT, long) if rng.random() < 0.8 else (long, _SHORT)
    facts = f"{int(rng.integers(5, 31))}kV  x{int(rng.integers(10, 200))}000"
    written: Floats = np.full(size, np.nan, np.float32)
    taken = burn(written, look.marking, source.panel, facts)
    image = ground(look, size, rng)
    texture = fine(rng, size, 1.5)
    instances = np.zeros(size, np.uint16)
    centres: list[tuple[float, float, float]] = []
    expected = look.cover * image.size
    for _ in range(4 * _MOST):
        if len(centres) >= _MOST or (instances > 0).sum() >= expected:
            break
        radius = float(np.clip(look.radius * np.exp(rng.normal(0, 0.2)), 6, 60))
        outline = look.makers[int(rng.random() < 0.2)](radius, rng)
        row, column = _centre(centres, radius, look, size, rng)
        placed = place(outline, (row, column), size, 10)
        if placed is None or not _fits(placed, instances, taken):
            continue
        add(image, placed, look, texture, rng)
        centres.append((row, column, radius))
        instances[placed.part][placed.depth > 0] = len(centres)
    image = detected(image, look, rng)
    burn(image, look.marking, source.panel, facts)
    return as_bytes(image), instances


def case_name(number: int) -> str:
    """Name of picture `number`, counted from 1."""
    return f"sample-{number:04d}"


def _write(out: Path, seed: int, number: int) -> None:
    image, instances = picture(seed, number)
    name = f"{case_name(number)}.png"
    with written_whole(out / "segmaps" / name) as path:
        write_png(instances, path)
    with written_whole(out / "images" / name) as path:  # last: where it is, the map is
        write_png(np.repeat(image[..., None], 3, axis=2), path)


def _there(out: Path, number: int) -> bool:
    name = f"{case_name(number)}.png"
    return (out / "images" / name).is_file() and (out / "segmaps" / name).is_file()


def _row(out: Path, seed: int, number: int) -> str:
    source = source_of(seed, number)
    with Image.open(out / "segmaps" / f"{case_name(number)}.png") as image:
        instances = len(np.unique(np.asarray(image))) - 1
    return f"{case_name(number)}.png,sample-article-{source.article:02d},gr{source.panel + 1},{instances}"


@dataclass(frozen=True)
class Particles:
    """A generated data set in the layout of emps: particles in electron micrographs.

    `images/<id>.png` are 8-bit RGB with grey content, `segmaps/<id>.png` 16-bit instance maps (0 ground),
    and `metadata.csv` names the made-up article of each picture (columns filename, doi, figure, instances).
    The shorter side has 256 pixels, the longer one up to 371. The pictures of an article share their look:
    bright or dark particles, shape, size, ground, noise, and the scale bar and letters written into them,
    which are no particles. Nothing in it comes from a published picture.
    """

    version: ClassVar[int] = 2  # part of the cache key; raised when the bytes change

    def write(self, out: Path, *, cases: int, seed: int, progress: Progress, jobs: int = 1) -> Path:
        """Write pictures 1 to `cases`; those that are there already are kept, so that a stopped call goes on.

        A picture depends on seed and number alone, byte for byte: not on `cases` nor on `jobs`. Other
        versions of NumPy, SciPy, Pillow or zlib, and other kinds of processor, may round or compress
        differently.

        Args:
            out: Folder of the data set; made if need be. One seed and one version to a folder.
            cases: How many, at least 1; articles have one to four of them.
            seed: 0 or more.
            progress: Shows the pictures done.
            jobs: Processes.

        Returns:
            `out`.

        Raises:
            DataError: A number is out of range.
        """
        write_missing(
            partial(_write, out, seed),
            partial(_there, out),
            "generating particles",
            cases=cases,
            seed=seed,
            progress=progress,
            jobs=jobs,
        )
        listed = sorted(int(path.stem.rpartition("-")[2]) for path in out.glob("images/sample-*.png"))
        rows = ["filename,doi,figure,instances", *(_row(out, seed, number) for number in listed)]
        with written_whole(out / "metadata.csv") as path:
            path.write_bytes(("\n".join(rows) + "\n").encode())
        return out
