"""Writing NIfTI files on the grid of another file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import nibabel
from isal import igzip
from numpy.typing import NDArray

from medseg.geometry.grid import Geometry

#: Written into every file's description, at most 79 characters.
NOTICE = "medseg: research use only, not a medical device"

_LENGTHS = range(4)  # not given, m, mm, um
_MM = 2
_TIMES = range(0, 56, 8)  # not given, s, ms, us, Hz, ppm, rad/s


def to_nifti(data: NDArray[Any], geometry: Geometry) -> Any:
    """Make a NIfTI image on a given grid, with its affine and its qform and sform codes.

    Only the grid is taken from the header: free-text fields, which may name a patient, are left empty.
    """
    image = nibabel.Nifti1Image(data, geometry.affine)
    if geometry.header is not None:
        sform, qform = int(geometry.header["sform_code"]), int(geometry.header["qform_code"])
        image.header["xyzt_units"] = _units(int(geometry.header["xyzt_units"]))
        _place(image, geometry, sform, qform)
    image.header.set_slope_inter(1, 0)
    image.header["descrip"] = NOTICE
    return image


def _units(stored: int) -> int:
    """Units of length and time without what NIfTI does not know; of an unknown length, mm, as it was read."""
    length, time = stored & 0b111, stored & 0b111000
    return (length if length in _LENGTHS else _MM) | (time if time in _TIMES else 0)


def _place(image: Any, geometry: Geometry, sform: int, qform: int) -> None:
    source = geometry.header
    image.header["pixdim"][:4] = source["pixdim"][:4]
    for name in ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"):
        image.header[name] = source[name]
    for name in ("srow_x", "srow_y", "srow_z"):
        image.header[name] = source[name]
    image.header["sform_code"], image.header["qform_code"] = sform, qform


def write_nifti(data: NDArray[Any], geometry: Geometry, path: Path) -> None:
    """Write an (I, J, K) array on a given grid to a `.nii.gz` file, without time or name in its gzip header."""
    buffer = io.BytesIO()
    with igzip.IGzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=2, mtime=0) as packed:
        packed.write(to_nifti(data, geometry).to_bytes())
    path.write_bytes(buffer.getvalue())
