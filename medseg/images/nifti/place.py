"""Where the voxels of a NIfTI file lie, and what its header leaves open about it.

The fields that say so are `sform_code` and the sform, `qform_code` and the qform, `pixdim`, and `xyzt_units`
(NIfTI-1 standard, nifti1.h). The affine is the sform, else the qform, else made of `pixdim` alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from medseg.geometry.grid import Geometry

_UNITS = {1: (1000.0, "metres"), 3: (0.001, "micrometres")}
_MILLIMETRES = (0, 2)  # 0 says nothing: every program takes it for mm

_CODES = ("sform_code", "qform_code")
_KNOWN = range(6)  # 0: none; 5: a template, which nifti1.h added last
_ALIGNED = 2  # to another file, or to anatomical truth: the least that a code can say of a place

_TAKEN = (
    "the place that goes with it is taken, as by the NIfTI library, where nibabel takes none and shows label maps "
    "elsewhere than the image; write 1 or 2"
)

_OTHER_SIZE = 0.01  # share by which voxel sizes that a header gives twice may differ


def placed(
    raw: Any, header: Any, affine: NDArray[Any], shape: tuple[int, int, int]
) -> tuple[Geometry, tuple[str, ...]]:
    """The grid of a file in mm, and what is odd about the header's fields that place it.

    Args:
        raw: The header as stored.
        header: The header as nibabel mends it; kept with the grid, in mm.
        affine: What nibabel makes of it, in the file's own unit.
        shape: (I, J, K) of its voxels.
    """
    per_unit, _ = _UNITS.get(_unit(raw), (1.0, ""))
    if per_unit != 1:
        affine = np.diag([per_unit, per_unit, per_unit, 1.0]) @ affine
        header = _in_mm(header, per_unit)
    sizes = np.abs(np.asarray(raw["pixdim"][1:4], dtype=float)) * per_unit
    grid = Geometry(shape, affine, header)
    grid = replace(
        grid, assumed=(*_assumed(raw, header, sizes), *_contradicted(header, grid, sizes))
    ).leaning()
    return grid, (*grid.assumed, *_odd(raw, header, grid, sizes))


def with_known_codes(raw: Any) -> Any:
    """A header whose place has a code that nibabel knows: of others it takes no place, and makes one up.

    A negative code is left: as in the NIfTI library, it is none.
    """
    known = raw.copy()
    for name in _CODES:
        if int(raw[name]) > _KNOWN[-1]:
            known[name] = _ALIGNED
    return known


def _in_mm(header: Any, per_unit: float) -> Any:
    """A header that says the same place in mm, so that what is written with it does."""
    header = header.copy()
    header["pixdim"][1:4] *= per_unit
    for name in ("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"):
        header[name] = header[name] * per_unit
    header["xyzt_units"] = (int(header["xyzt_units"]) & ~7) | 2
    return header


def _unit(raw: Any) -> int:
    return int(raw["xyzt_units"]) & 7


def _places(header: Any) -> tuple[int, int]:
    """The codes of sform and qform that count."""
    return int(header["sform_code"]), int(header["qform_code"])


def _assumed(raw: Any, header: Any, sizes: NDArray[Any]) -> Iterator[str]:
    """What a measure in mm, or a side of the patient, rests on though the file does not give it."""
    sform, qform = _places(header)
    if (unit := _unit(raw)) not in (*_UNITS, *_MILLIMETRES):
        yield f"its header names a unit of length that NIfTI does not know (xyzt_units {unit}); mm are assumed"
    if not sform and not qform:
        yield (
            "its header gives no place and no directions (sform_code and qform_code are 0); voxel sizes are those of "
            "pixdim, and the first axis is assumed to run to the patient's left, the others to anterior and superior"
        )
    if not sizes.all() and not sform:
        axes = ", ".join(name for name, size in zip("IJK", sizes, strict=True) if not size)
        yield f"its header gives no voxel size along {axes} (pixdim is 0); 1 is assumed: mm and mL are no measures"


def _of_two_sizes(header: Any, grid: Geometry, sizes: NDArray[Any]) -> bool:
    return bool(_places(header)[0]) and not np.allclose(sizes, grid.spacing, rtol=_OTHER_SIZE)


def _contradicted(header: Any, grid: Geometry, sizes: NDArray[Any]) -> Iterator[str]:
    """That the header gives voxels two sizes: every measure in mm rests on which is taken."""
    if _of_two_sizes(header, grid, sizes):
        yield "its pixdim gives other voxel sizes than its sform; those of the sform are taken"


def _odd(raw: Any, header: Any, grid: Geometry, sizes: NDArray[Any]) -> Iterator[str]:
    sform, qform = _places(header)
    if (unit := _unit(raw)) in _UNITS:
        yield f"its header gives lengths in {_UNITS[unit][1]} (xyzt_units); they are turned into mm"
    for name in _CODES:
        if (code := int(raw[name])) not in _KNOWN:
            taken = _TAKEN if code > 0 else "it is taken for 0, which is none"
            yield f"its header has a {name} that NIfTI does not know ({code}); {taken}"
    if (negative := np.asarray(raw["pixdim"][1:4], dtype=float) < 0).any():
        axes = ", ".join(name for name, below in zip("IJK", negative, strict=True) if below)
        yield f"its header gives a negative voxel size along {axes} (pixdim); its amount is taken"
    if sform and qform and not _of_two_sizes(header, grid, sizes) and not _agree(header, grid):
        yield "its sform and its qform place it differently; the sform is taken"


def _agree(header: Any, grid: Geometry) -> bool:
    with suppress(HeaderDataError, ValueError):  # a quaternion that is none
        return grid.same_grid(Geometry(grid.shape, header.get_qform()))
    return False
