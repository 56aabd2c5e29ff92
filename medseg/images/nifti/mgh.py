"""FreeSurfer's volumes, `.mgh` and packed `.mgz`: the place by nibabel, voxels once the file is known to hold them.

Source: FreeSurfer's "MghFormat"; numbers are big-endian, a header has 284 bytes, and frames lie one behind another.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader

from medseg.errors import DataError
from medseg.geometry.grid import Geometry, StoredImage
from medseg.images.limits import (
    PIECE,
    SHORT,
    SLACK,
    bomb,
    refuse_beyond,
    refuse_far,
    refuse_placeless,
    volume_shape,
)
from medseg.images.nifti.read import unpacked
from medseg.images.opening import Unpacked
from medseg.images.refusal import RefusedError

SUFFIXES = (".mgh", ".mgz")

_BEGIN = 284
_TYPES = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2"}
_PLACELESS = (
    "its header gives no voxel size and no sides of the patient (goodRASFlag); 1 mm and FreeSurfer's usual axes are "
    "assumed: mm and mL are no measures"
)


def read_mgh(path: Path, count: int = 1) -> list[StoredImage]:
    """Read one file of so many frames, which are channels on one grid.

    Raises:
        DataError: The file is missing, not readable, truncated, not MGH, holds another number of frames, or has no
            usable place. No path is named.
    """
    with unpacked(path) as (stream, most):
        header, told = _header(stream)
        grid = _grid(header, count, told=told)
        dtype = np.dtype(_TYPES[int(header["type"])])
        sizes = [int(size) for size in header["dims"]]
        expected = math.prod(sizes) * dtype.itemsize
        refuse_beyond(sizes, expected, most - _BEGIN)
        held = bytearray()
        while len(held) < expected:
            piece = stream.read(min(PIECE, expected - len(held)))
            if not piece:
                raise DataError(SHORT)
            held += piece
        # behind the voxels stand a few parameters of the scan, and texts
        if isinstance(stream, Unpacked) and len(stream.read(SLACK + 1)) > SLACK:
            raise bomb(expected)
    data = np.frombuffer(held, dtype).reshape((*grid.shape, count), order="F")
    return [StoredImage(data[..., each], grid, grid.assumed) for each in range(count)]


def mgh_geometry(path: Path) -> Geometry:
    """Shape and affine of a file, from its header alone, whatever the number of its frames.

    Raises:
        DataError: It has no header that can be read.
    """
    with unpacked(path) as (stream, _):
        header, told = _header(stream)
    return _grid(header, max(int(header["dims"][3]), 1), told=told)


def frames_of(path: Path) -> int:
    """How many frames a file holds.

    Raises:
        DataError: It has no header that can be read.
    """
    with unpacked(path) as (stream, _):
        return int(_header(stream)[0]["dims"][3])


def _header(stream: Any) -> tuple[Any, bool]:
    """The header, and whether it tells the place: nibabel puts the usual one in where it does not."""
    raw = stream.read(_BEGIN)
    header = MGHHeader(raw, check=False) if len(raw) == _BEGIN else None
    if header is None or int(header["version"]) != 1 or int(header["type"]) not in _TYPES:
        raise RefusedError(
            "the file is not MGH, or truncated: a header of version 1 was expected, and voxels of 8, 16 or 32 bits",
            "Save it anew with FreeSurfer (mri_convert), convert it to NIfTI, or leave the case out.",
        )
    return header, int.from_bytes(raw[28:30], "big", signed=True) > 0


def _grid(header: Any, count: int, *, told: bool) -> Geometry:
    shape = volume_shape([int(size) for size in header["dims"]], count)
    with np.errstate(all="ignore"):  # of a damaged header: it is refused next
        affine = np.asarray(header.get_affine(), dtype=np.float64)
    refuse_placeless(affine)
    grid = Geometry(shape, affine, assumed=() if told else (_PLACELESS,))
    refuse_far(grid)
    return grid.leaning()
