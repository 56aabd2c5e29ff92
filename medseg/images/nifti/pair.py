"""Volumes in two files, `.hdr` and `.img`: NIfTI pairs, and Analyze 7.5, from which NIfTI came.

Both are read as the one NIfTI file that they would make. Analyze gives voxel sizes alone, as NIfTI does without sform
and qform, and what is assumed of its sides is the same: the first axis runs to the patient's left, the others to
anterior and superior. So do nibabel and SPM by default; SimpleITK lets the second run to posterior. A place that SPM
left in the header, or in a `.mat` beside it, is not taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from nibabel import AnalyzeHeader, Nifti1Header

from medseg.geometry.grid import Geometry, StoredImage
from medseg.images.beside import beside
from medseg.images.nifti.read import read_stream, stream_geometry
from medseg.images.opening import opened
from medseg.images.refusal import RefusedError

_SIZE = 348  # bytes of both headers
_BEGIN = 352  # where voxels begin in one file


def read_pair(path: Path) -> StoredImage:
    """Read the volume of a `.hdr` file and the `.img` file beside it.

    Raises:
        DataError: As `read_nifti`; or there is no `.img` beside it.
    """
    (stored,) = read_stacked_pair(path, 1)
    return stored


def read_stacked_pair(path: Path, count: int) -> list[StoredImage]:
    """As `read_pair`, of so many volumes one behind another along the fourth axis.

    Raises:
        DataError: As `read_pair`, and where it holds another number of volumes.
    """
    with _joined(path) as (stream, most):
        return read_stream(stream, most, count)


def pair_geometry(path: Path) -> Geometry:
    """Shape and affine, from the header alone.

    Raises:
        DataError: It cannot be read; or there is no `.img` beside it.
    """
    with _joined(path) as (stream, _):
        return stream_geometry(stream)


def voxels_of(path: Path) -> Path:
    """The `.img` file beside a `.hdr` file, in capitals where that is.

    Raises:
        DataError: There is none, or it is a link.
    """
    image = ".IMG" if path.suffix.isupper() else ".img"
    return beside(path, f"{path.stem}{image}")


class _Joined:
    """A header, and what follows it in another file, as one stream."""

    def __init__(self, header: bytes, rest: BinaryIO) -> None:
        self._header, self._rest = header, rest

    def read(self, count: int) -> bytes:
        begun, self._header = self._header[:count], self._header[count:]
        return begun + self._rest.read(count - len(begun))


@contextmanager
def _joined(path: Path) -> Iterator[tuple[_Joined, int]]:
    with opened(path) as (file, _):
        header, begin = _as_nifti(file.read(_SIZE))
    with opened(voxels_of(path)) as (file, size):
        file.seek(min(begin, size))
        yield _Joined(header.binaryblock + bytes(_BEGIN - _SIZE), file), _BEGIN + max(size - begin, 0)


def _as_nifti(raw: bytes) -> tuple[Nifti1Header, int]:
    """The header of one NIfTI file that says the same, and the byte at which the voxels begin."""
    if len(raw) < _SIZE or _SIZE.to_bytes(4, "little") != raw[:4] != _SIZE.to_bytes(4, "big"):
        raise RefusedError(
            "the file is no header of Analyze or of a NIfTI pair: it does not begin with its size, 348",
            "Convert the volume to NIfTI, or leave the case out.",
        )
    header = Nifti1Header(raw, check=False)
    if header["magic"].item() != header.pair_magic:
        header = _of_analyze(AnalyzeHeader(raw, check=False))
    begin = float(header["vox_offset"])
    if not 0 <= begin < 2**31:
        raise RefusedError(
            f"the file's header says that the voxels begin at byte {begin:g} (vox_offset), expected 0 or more",
            "Export or convert the file anew, or leave the case out.",
        )
    header["magic"], header["vox_offset"] = header.single_magic, _BEGIN
    return header, int(begin)


def _of_analyze(given: AnalyzeHeader) -> Nifti1Header:
    """Shape, type, voxel sizes and offset, and SPM's scale. Texts, which may name a patient, are left behind.

    Raises:
        RefusedError: It names another order of axes than everybody assumes.
    """
    header = Nifti1Header(endianness=given.endianness)
    for name in ("dim", "datatype", "bitpix", "pixdim", "vox_offset"):
        header[name] = given[name]
    if given["orient"].item() not in (b"", b"\0"):
        raise RefusedError(
            "the header of Analyze names another order of its axes than transverse slices (orient), of which there "
            "are several readings",
            "Convert the volume to NIfTI with a program that knows where it came from, or leave the case out.",
        )
    scale = float(given["funused1"])
    header["scl_slope"] = scale if np.isfinite(scale) and scale else 1.0
    header["xyzt_units"] = 2
    return header
