"""Every kind of broken input by its name."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from medseg.testing.broken import archives, dicoms, drawn, itk, pictures, series, tables, volumes
from medseg.testing.broken.damage import damaged
from medseg.testing.broken.form import Broken, Files, Kind, Make, Write, put
from medseg.testing.broken.places import PLACES

_KINDS: Mapping[str, Kind] = MappingProxyType({
    "nifti": volumes.NIFTI,
    "nifti packed": volumes.PACKED,
    "nifti pair": volumes.PAIR,
    "metaimage": itk.META,
    "metaimage apart": itk.META_APART,
    "nrrd": itk.NRRD,
    "nrrd apart": itk.NRRD_APART,
    "npz": archives.NPZ,
    "png": pictures.PNG,
    "jpeg": pictures.JPEG,
    "tiff": pictures.TIFF,
    "bmp": pictures.BMP,
    "npy": pictures.NPY,
    "jpeg 2000": pictures.JPEG_2000,
    "dicom": dicoms.DICOM,
    "dicom series": series.SERIES,
    "dicom seg": drawn.SEG,
    "dicom rtstruct": drawn.RTSTRUCT,
    "csv": tables.CSV,
    "xlsx": tables.XLSX,
    "split": tables.SPLIT,
})  # fmt: skip

KINDS = (*_KINDS, "place")
"""Names of the kinds; of `place` are what is no file: pipes, devices, links in circles."""


def broken(kind: str, *, seed: int = 0, count: int | None = None) -> Iterator[Broken]:
    """Broken inputs of a kind, lies of their headers and damage of their bytes in turn.

    Each lie comes once, in an order that the seed draws; when all have come, the rest is damage. No two inputs are
    made from the same voxels, so that none is a copy of another.

    Args:
        kind: One of `KINDS`.
        seed: The same seed gives the same bytes.
        count: How many; by default twice as many as there are lies.

    Raises:
        ValueError: There is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r} of broken inputs, expected one of {', '.join(KINDS)}")
    if kind == "place":
        yield from _places(seed, count)
        return
    made = _KINDS[kind]
    base = (seed, zlib.crc32(kind.encode()))
    lies = [list(made.lies)[n] for n in np.random.default_rng(base).permutation(len(made.lies))]
    for number in range(2 * len(lies) if count is None else count):
        draw = np.random.default_rng((*base, number))
        name = f"{kind.replace(' ', '-')}-{seed}-{number:04d}"
        if number % 2 == 0 and number // 2 < len(lies):
            why = lies[number // 2]
            yield Broken(name, why, made.ending, _writer(made.ending, made.lies[why], draw))
        else:
            why, files = damaged(made.sound(draw), draw)
            yield Broken(name, why, made.ending, partial(put, ending=made.ending, files=files))


def sound(kind: str, *, seed: int = 0) -> tuple[str, Write]:
    """A sound input of a kind: its ending, and what writes it to a path."""
    made = _KINDS[kind]
    draw = np.random.default_rng((seed, 1, zlib.crc32(kind.encode())))
    return made.ending, _writer(made.ending, made.sound, draw)


def _writer(ending: str, make: Make, draw: np.random.Generator) -> Write:
    made: list[Files] = []

    def write(path: object) -> None:
        if not made:  # bombs are made only where they are wanted, and the same each time
            made.append(make(draw))
        put(path, ending, made[0])  # type: ignore[arg-type]

    return write


def _places(seed: int, count: int | None) -> Iterator[Broken]:
    whys = [list(PLACES)[n] for n in np.random.default_rng(seed).permutation(len(PLACES))]
    for number, why in enumerate(whys[:count]):
        yield Broken(f"place-{seed}-{number:04d}", why, "", PLACES[why])
