"""Reading NIfTI files: voxels as stored, with their geometry."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from medseg.errors import DataError
from medseg.geometry.grid import Geometry, StoredImage


def read_nifti(path: Path) -> StoredImage:
    """Read one `.nii` or `.nii.gz` file; a 2D image is a volume of one slice.

    Raises:
        DataError: The file is missing, not readable, truncated, not NIfTI, of no usable shape, or without a
            usable affine. The message holds no path.
    """
    raw = _bytes_of(path)
    image = _parse(raw)
    shape = tuple(int(n) for n in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or 0 in shape:
        raise DataError(f"the file holds an array of shape {tuple(image.shape)}, wanted a volume (I, J, K)")
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise DataError("the file's affine is singular or not finite, so that its voxels have no place")
    proxy = image.dataobj
    if proxy.offset + math.prod(image.shape) * proxy.dtype.itemsize > len(raw):
        raise DataError("the file is truncated: it holds fewer voxels than its header says")
    try:
        data = np.asanyarray(proxy).reshape(shape, order="A")
    except (ValueError, OSError, EOFError) as error:
        raise DataError("the file is truncated: it holds fewer voxels than its header says") from error
    if data.dtype.kind not in "iuf":
        raise DataError(f"the file holds voxels of type {data.dtype}, wanted integers or real numbers")
    if data.dtype.kind == "f" and data.dtype != np.float32:
        data = data.astype(np.float32)
    return StoredImage(data, Geometry((shape[0], shape[1], shape[2]), affine, image.header))


def _bytes_of(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError("the file is not there") from None
    except PermissionError:
        raise DataError("the file may not be read by this user") from None
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}") from error
    if not raw:
        raise DataError("the file is empty (0 bytes)")
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return igzip.decompress(raw)
    except EOFError:
        raise DataError("the file is truncated: its compressed data end early") from None
    except (OSError, zlib.error, isal_zlib.error, ValueError):  # type: ignore[misc]  # its stubs call it a value
        raise DataError("the file is damaged: its compressed data cannot be unpacked") from None


def _parse(raw: bytes) -> Any:
    not_this_kind: tuple[type[Exception], ...] = (ImageFileError, HeaderDataError, WrapStructError)
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        try:
            return kind.from_bytes(raw)
        except not_this_kind:
            continue
        except (ValueError, OSError, EOFError, OverflowError, MemoryError) as error:
            raise DataError("the file is truncated or damaged behind its NIfTI header") from error
    shown = raw[:16]
    looks = "text" if all(32 <= byte < 127 or byte in b"\r\n\t" for byte in shown) else "other data"
    raise DataError(f"the file is not NIfTI: it holds {looks} where a NIfTI header was wanted")
