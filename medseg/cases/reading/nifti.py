"""Reading NIfTI files: voxels as stored, and the geometry that leads to RAS and back."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import aff2axcodes, apply_orientation, inv_ornt_aff, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from medseg.errors import DataError

#: How far two affines may differ and still be called one grid, in mm (and mm per voxel).
AFFINE_TOLERANCE_MM = 1e-3


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a volume lie.

    Attributes:
        shape: (I, J, K) as stored in the file.
        affine: 4x4, from stored voxel indices to world coordinates in mm, RAS+ (nibabel's world).
        header: The file's header; written back so that a label map keeps codes, units and data grid.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64] = field(compare=False)
    header: Any = field(compare=False, repr=False, default=None)

    @property
    def orientation(self) -> str:
        """Directions in which the stored axes run, such as `LPS`."""
        return "".join(aff2axcodes(self.affine))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along the stored axes, mm."""
        sizes = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return (float(sizes[0]), float(sizes[1]), float(sizes[2]))

    @property
    def ras_affine(self) -> NDArray[np.float64]:
        """The affine of the volume after `to_ras`."""
        return self.affine @ inv_ornt_aff(io_orientation(self.affine), self.shape)

    def to_ras(self, array: NDArray[Any]) -> NDArray[Any]:
        """Flip and permute a stored (I, J, K) array to the closest RAS+ order; no resampling."""
        return apply_orientation(array, io_orientation(self.affine))

    def from_ras(self, array: NDArray[Any]) -> NDArray[Any]:
        """Undo `to_ras`: bring an (I, J, K) RAS+ array back to the order of the file."""
        ras = np.array([[0, 1], [1, 1], [2, 1]])
        return apply_orientation(array, ornt_transform(ras, io_orientation(self.affine)))

    def same_grid(self, other: Geometry) -> bool:
        """Whether two volumes share shape and affine, within `AFFINE_TOLERANCE_MM`."""
        return self.shape == other.shape and bool(
            np.allclose(self.affine, other.affine, rtol=0, atol=AFFINE_TOLERANCE_MM)
        )


@dataclass(frozen=True)
class StoredImage:
    """One file.

    Attributes:
        data: (I, J, K) as stored; integers stay integers unless the header scales them (then float32).
        geometry: Where the voxels lie.
    """

    data: NDArray[Any]
    geometry: Geometry


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
