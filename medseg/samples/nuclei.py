"""Generated pictures of cell nuclei, one folder a picture, in the layout of the Data Science Bowl 2018."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from medseg.places import written_whole
from medseg.progress import Progress
from medseg.samples.drawing.files import as_bytes, write_png
from medseg.samples.drawing.stains import Fluorescent, Stain, Stained
from medseg.samples.drawing.tissue import Tissue, scatter
from medseg.samples.series import write_missing

Mode = Literal["RGBA", "RGB", "L"]
_BLOCK = 6  # pictures, one of them stained, one grey, one without alpha

#: Sizes (H, W) and how often each occurs.
_SIZES = ((256, 256), (256, 320), (360, 360), (520, 696))
_OFTEN = (0.55, 0.20, 0.20, 0.05)
_STAINED_OFTEN = (0.35, 0.60, 0.05, 0.0)


class _Stream(IntEnum):
    """Independent random streams."""

    BLOCK = 20
    PLAN = 21
    PICTURE = 22


def _rng(seed: int, number: int, part: _Stream) -> np.random.Generator:
    return np.random.default_rng([seed, number, int(part)])


@dataclass(frozen=True)
class Plan:
    """What picture is to be made.

    Attributes:
        size: (H, W).
        mode: Pillow's mode of the file.
        tissue: Size, number and form of the nuclei.
        stain: How they show.
    """

    size: tuple[int, int]
    mode: Mode
    tissue: Tissue
    stain: Stain


def plan(seed: int, number: int) -> Plan:
    """Plan picture `number` (from 1): of six in a row one is stained, another grey, another RGB, the rest RGBA."""
    block, place = divmod(number - 1, _BLOCK)
    stained, grey, plain = _rng(seed, block, _Stream.BLOCK).permutation(_BLOCK)[:3].tolist()
    rng = _rng(seed, number, _Stream.PLAN)
    often = _STAINED_OFTEN if place == stained else _OFTEN
    size = _SIZES[int(rng.choice(len(_SIZES), p=often))]
    stain: Stain = Stained.draw(rng) if place == stained else Fluorescent.draw(rng)
    mode: Mode = "L" if place == grey else "RGB" if place == plain else "RGBA"
    return Plan(size, mode, Tissue.draw(rng), stain)


def picture(seed: int, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Make picture `number` (from 1) of a seed.

    Returns:
        The picture (H, W), (H, W, 3) or (H, W, 4) as its mode says, and its instance map (H, W), from 1.
    """
    planned = plan(seed, number)
    rng = _rng(seed, number, _Stream.PICTURE)
    nuclei = scatter(planned.tissue, planned.size, rng)
    colour = as_bytes(planned.stain.show(nuclei, planned.tissue, rng))
    if planned.mode == "L":
        return colour[..., 0], nuclei.instances
    if planned.mode == "RGBA":
        alpha = np.full((*planned.size, 1), 255, np.uint8)
        return np.concatenate([colour, alpha], axis=2), nuclei.instances
    return colour, nuclei.instances


def case_name(seed: int, number: int) -> str:
    """Id of picture `number` (from 1) of a seed: 64 hexadecimal digits, as the Bowl's ids are."""
    return sha256(f"medseg nuclei {seed} {number}".encode()).hexdigest()


def _write(out: Path, seed: int, number: int) -> None:
    name = case_name(seed, number)
    image, instances = picture(seed, number)
    with written_whole(out / "stage1_train" / name) as folder:
        (folder / "images").mkdir(parents=True)
        write_png(image, folder / "images" / f"{name}.png")
        (folder / "masks").mkdir()
        for one in range(1, int(instances.max()) + 1):
            mask = (instances == one).view(np.uint8) * np.uint8(255)
            mask_name = sha256(f"{name} {one}".encode()).hexdigest()
            write_png(mask, folder / "masks" / f"{mask_name}.png", level=1)


def _there(out: Path, seed: int, number: int) -> bool:
    return (out / "stage1_train" / case_name(seed, number)).is_dir()


def _row(out: Path, seed: int, number: int) -> str:
    name, planned = case_name(seed, number), plan(seed, number)
    height, width = planned.size
    nuclei = sum(1 for _ in (out / "stage1_train" / name / "masks").glob("*.png"))
    return f"{name},{width},{height},{planned.stain.kind},{nuclei}"


def _write_table(out: Path, seed: int, cases: int) -> None:
    """Write manifest.csv over pictures 1 to `cases`, and over those that another call with more left there."""
    folders = sum(1 for _ in (out / "stage1_train").iterdir())
    listed = [number for number in range(1, cases + folders + 1) if _there(out, seed, number)]
    rows = ["id,width,height,kind,nuclei", *(_row(out, seed, number) for number in listed)]
    with written_whole(out / "manifest.csv") as path:
        path.write_bytes(("\n".join(rows) + "\n").encode())


@dataclass(frozen=True)
class Nuclei:
    """A generated data set in the layout of stage 1 of the Data Science Bowl 2018.

    Every picture has a folder: `stage1_train/<id>/images/<id>.png`, and `stage1_train/<id>/masks/<any>.png`
    with 0 and 255, one for each nucleus, none empty and no two of them overlapping. Five of six pictures are
    fluorescent (bright nuclei on a dark ground), one is stained (purple nuclei in pink tissue). Of six, one
    is grey, one RGB, and the rest RGBA; sizes are mixed. `manifest.csv` has the columns id, width, height,
    kind (grey for the fluorescent, colour for the stained) and nuclei. Nothing in it comes from a microscope.
    """

    version: ClassVar[int] = 2  # part of the cache key; raised when the bytes change

    def write(self, out: Path, *, cases: int, seed: int, progress: Progress, jobs: int = 1) -> Path:
        """Write pictures 1 to `cases`; those that are there already are kept, so that a stopped call goes on.

        A picture depends on seed and number alone, byte for byte: not on `cases` nor on `jobs`. Other
        versions of NumPy, SciPy, Pillow or zlib, and other kinds of processor, may round or compress
        differently.

        Args:
            out: Folder of the data set; made if need be. One seed and one version to a folder.
            cases: How many, at least 1.
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
            partial(_there, out, seed),
            "generating nuclei",
            cases=cases,
            seed=seed,
            progress=progress,
            jobs=jobs,
        )
        _write_table(out, seed, cases)
        return out
