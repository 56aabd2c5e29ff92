"""What a header may say of the size and the place of a volume, whatever the format, before any memory is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medseg.errors import DataError
from medseg.geometry.grid import Geometry, spans, unlike_any
from medseg.images.refusal import RefusedError, SeveralVolumesError
from medseg.machine.memory import available_memory

#: Deflate packs no byte to less than a 1032nd. Source: zlib, "Maximum compression factor".
MOST_PACKED = 1032

PIECE = 1 << 24
"""Bytes that are read at a time."""

SLACK = 1 << 20
"""Bytes that may follow the voxels in a packed file."""

SHORT = "the file is truncated: it holds fewer voxels than its header says"

_NO_MATTER = 1 << 26  # bytes for which nobody asks how much memory is free

_NO_PLACE = "Export it anew with its place in space, or leave the case out."


def volume_shape(stored: Sequence[int], count: int = 1) -> tuple[int, int, int]:
    """(I, J, K) of a file that must hold so many volumes; a 2D image is one slice.

    Raises:
        RefusedError: It holds another number, or nothing along an axis.
    """
    shape = [int(n) for n in stored]
    if count > 1:
        if len(shape) < 4 or math.prod(shape[3:]) != count or max(shape[3:]) != count:
            raise RefusedError(
                f"the file holds an array of shape {tuple(shape)}, expected the {count} channels of the manifest one "
                f"behind another: (I, J, K, {count})",
                "Name as many channels in the manifest as the file holds, in their order, or leave the case out.",
            )
        shape = shape[:3]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) == 2:
        shape.append(1)
    if len(shape) != 3 or min(shape) < 1:
        found = (
            f"the file holds an array of shape {tuple(int(n) for n in stored)}, expected a volume (I, J, K)"
        )
        if len(shape) > 3:
            raise SeveralVolumesError(
                found,
                "Save each volume of the series (such as a time or a sequence) as a file of its own, and name it as "
                "a channel, or leave the case out.",
            )
        raise RefusedError(
            found, "Save it as a volume of at least one voxel along each axis, or leave the case out."
        )
    return shape[0], shape[1], shape[2]


def refuse_beyond(shape: Sequence[int], needed: int, most: float) -> None:
    """Refuse a volume that a file cannot hold, or that does not fit into memory.

    Args:
        shape: Of the array, for the message.
        needed: Bytes that it takes.
        most: Bytes that the file can hold.

    Raises:
        DataError: It is one of these.
    """
    if needed > most:
        raise DataError(SHORT)
    voxels = math.prod(shape)
    if needed > _NO_MATTER and (free := available_memory()) < needed + 8 * voxels:
        raise RefusedError(
            f"the volume does not fit into memory: its header says {' x '.join(map(str, shape))} voxels, which "
            f"take about {(needed + 8 * voxels) / 2**30:.1f} GiB to read, and {free / 2**30:.1f} GiB are free",
            "Store it smaller or cut, use a machine with more memory or fewer jobs, or leave the case out.",
        )


def bomb(expected: int) -> RefusedError:
    """That a file unpacks to much more than it should."""
    return RefusedError(
        f"the file unpacks to more than the {expected} bytes that its header asks for, as decompression bombs do",
        "Save it anew with the program that made it, or leave the case out.",
    )


def refuse_placeless(affine: NDArray[np.float64]) -> None:
    """Refuse an affine, in the units of the file, that gives no place: of axes that coincide, or almost."""
    if not np.isfinite(affine).all() or not spans(affine):
        raise RefusedError(
            "the file's affine is singular or not finite, so that its voxels have no place", _NO_PLACE
        )


def refuse_far(grid: Geometry) -> None:
    """Refuse a grid that lies beyond any image, or whose voxels are smaller than any."""
    if problem := unlike_any(grid.affine):
        raise RefusedError(f"the file's affine {problem}: its header is damaged", _NO_PLACE)
