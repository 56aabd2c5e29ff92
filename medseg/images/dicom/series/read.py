"""Reading a series as one volume, in modality units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medseg.geometry.grid import StoredImage
from medseg.images.dicom.attributes import says_made_up
from medseg.images.dicom.header import Header, opened_frames
from medseg.images.dicom.luts import put_modality_values
from medseg.images.dicom.pixels import stored_values
from medseg.images.dicom.quiet import quiet
from medseg.images.dicom.series.plane import Plane, planes_in, planes_of
from medseg.images.dicom.series.stack import Series, stacked
from medseg.images.refusal import RefusedError
from medseg.machine.memory import available_memory

#: Bytes of a volume below which the memory that is free is not asked for: to ask takes a millisecond.
_NO_MATTER = 64_000_000

_INVERTED = "MONOCHROME1: low values are meant to be shown bright; its modality values were taken as they are"


def series_of(paths: Sequence[Path]) -> Series:
    """The slices of a series in their order, with their grid, from the headers alone.

    Args:
        paths: Its files, in any order; or one file of many frames.

    Raises:
        DataError: A file cannot be read, or they make no volume; see `stacked`.
    """
    return stacked([plane for path in paths for plane in planes_of(path)])


def read_series(paths: Sequence[Path]) -> StoredImage:
    """Read a series: values (I, J, K), columns, rows and slices, float32, after the Modality LUT of each slice.

    Every file is read once, and decoded only when all are known to make a volume.

    Raises:
        DataError: As `series_of`; or its pixels cannot be decoded.
    """
    _refuse_large("its files need", sum(each.stat().st_size for each in paths if each.is_file()))
    heads: dict[Path, Header] = {}
    planes: list[Plane] = []
    with quiet() as caught:
        for path in paths:
            heads[path] = opened_frames(path, pixels=True)
            planes += planes_in(path, heads[path])
    series = stacked(planes)
    shape = " x ".join(str(size) for size in series.shape)
    # Once as it is, and once as a caller turns it.
    _refuse_large(f"the series makes {shape} voxels, which need", 2 * 4 * math.prod(series.shape))
    values = np.empty(series.shape[::-1], dtype=np.float32)  # slice by slice, as NIfTI lies in memory too
    notes: dict[str, None] = {}
    made_up = all(says_made_up(head.data) for head in heads.values())
    with quiet() as more:
        for number, plane in enumerate(series.planes):
            head = heads[plane.path]
            frame = head.of_frame(plane.frame)
            put_modality_values(frame, stored_values(frame), values[number])  # padding stays what it is
            notes |= dict.fromkeys(head.notes)
            if head.colours == "MONOCHROME1":
                notes[_INVERTED] = None
            if head.frames == 1:  # its bytes are let go of
                del heads[plane.path]
    said = tuple({**notes, **dict.fromkeys((*caught, *more))})
    return StoredImage(values.T, series.geometry, said, made_up=made_up)


def _refuse_large(what: str, needed: int) -> None:
    """Refuse what does not fit before any memory is taken for it."""
    if needed > _NO_MATTER and (free := available_memory()) < needed:
        raise RefusedError(
            f"{what} {needed // 2**20} MiB of memory, where {free // 2**20} MiB are free",
            "Use a machine with more memory or fewer jobs, or leave the case out.",
        )
