"""Reading NIfTI files: voxels as stored, with their geometry."""

from __future__ import annotations

import gzip
import io
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from medseg.errors import DataError
from medseg.files.regular import open_regular
from medseg.geometry.grid import FARTHEST_MM, Geometry, StoredImage, spans
from medseg.images.nifti.place import placed, with_known_codes
from medseg.images.refusal import NO_RIGHT, NOT_THERE, RefusedError
from medseg.machine.memory import available_memory

_FORMS = (nibabel.Nifti1Image, nibabel.Nifti2Image)
_HEAD = 544  # bytes of the longer of the two headers, with the flag of what may follow it

#: Deflate packs no byte to less than a 1032nd. Source: zlib, "Maximum compression factor".
_MOST_PACKED = 1032

_PIECE = 1 << 24  # bytes that are read at a time
_SLACK = 1 << 20  # bytes that may follow the voxels in a packed file
_NO_MATTER = 1 << 26  # bytes for which nobody asks how much memory is free

_SHORT = "the file is truncated: it holds fewer voxels than its header says"


def read_nifti(path: Path) -> StoredImage:
    """Read one `.nii` or `.nii.gz` file; a 2D image is a volume of one slice.

    Raises:
        DataError: The file is missing, not readable, truncated, not NIfTI, of no usable shape, or without a
            usable affine. The message holds no path.
    """
    (stored,) = read_stacked(path, 1)
    return stored


def read_stacked(path: Path, count: int) -> list[StoredImage]:
    """Read one file that holds `count` volumes on one grid, one behind another along its fourth axis.

    Raises:
        DataError: As `read_nifti`, and where it holds another number of volumes.
    """
    with _unpacked(path) as (stream, most):
        raw, head = _head(stream)
        declared = _parse(io.BytesIO(_bare(raw, head)))
        shape = _volume_shape(declared.shape, count)
        image = _parse(_held(stream, head, declared.dataobj, most))
    affine = np.asarray(image.affine, dtype=np.float64)
    _refuse_placeless(affine)
    try:
        data = np.asanyarray(image.dataobj).reshape((*shape, count), order="A")
    except (ValueError, OSError, EOFError) as error:
        raise DataError(_SHORT) from error
    if data.dtype.kind not in "iuf":
        colours = data.dtype.names is not None
        raise RefusedError(
            f"the file holds {'colours (RGB)' if colours else f'voxels of type {data.dtype}'}, expected integers or "
            "real numbers",
            "Save each colour, or the one quantity that they show, as a volume of its own, or leave the case out."
            if colours
            else "Save it as integers or real numbers, such as its magnitude, or leave the case out.",
        )
    if data.dtype.kind == "f" and data.dtype != np.float32:
        data = data.astype(np.float32)
    grid, notes = placed(raw, image.header, affine, shape)
    _refuse_far(grid)
    return [StoredImage(data[..., each], grid, notes) for each in range(count)]


_NO_PLACE = "Export it anew with its place in space (sform or qform), or leave the case out."


def _refuse_placeless(affine: NDArray[np.float64]) -> None:
    """Refuse an affine, in the units of the file, that gives no place: of axes that coincide, or almost."""
    if not np.isfinite(affine).all() or not spans(affine):
        raise RefusedError(
            "the file's affine is singular or not finite, so that its voxels have no place", _NO_PLACE
        )


def _refuse_far(grid: Geometry) -> None:
    if (longest := float(np.abs(grid.affine).max())) > FARTHEST_MM:
        raise RefusedError(
            f"the file's affine holds {longest:.3g} mm, which is beyond any image: its header is damaged",
            _NO_PLACE,
        )


def nifti_geometry(path: Path) -> Geometry:
    """Shape and affine of a file, from its header alone; (I, J, K) of what has more axes are its first three.

    Raises:
        DataError: It has no header that can be read.
    """
    with _unpacked(path) as (stream, _):
        raw, head = _head(stream)
        image = _parse(io.BytesIO(_bare(raw, head)))
    shape = (*image.shape, 1, 1)[:3]
    whole = int(shape[0]), int(shape[1]), int(shape[2])
    return placed(raw, image.header, image.affine, whole)[0]


def stored_shape(path: Path) -> tuple[int, ...]:
    """The shape of a file's array, with as many axes as it has, from its header alone.

    Raises:
        DataError: It has no header that can be read.
    """
    with _unpacked(path) as (stream, _):
        image = _parse(io.BytesIO(_bare(*_head(stream))))
    return tuple(int(size) for size in image.shape)


def _head(stream: Any) -> tuple[Any, bytes]:
    """The header as stored, None where there is none, and the first bytes of the file, with codes that nibabel knows.

    nibabel mends what it reads, and where nothing is given, that is no longer seen in what it gives.

    Raises:
        DataError: The header says that the voxels do not lie behind it.
    """
    head: bytes = stream.read(_HEAD)
    kinds = (each.header_class for each in _FORMS)
    raws = (kind(head[: kind.sizeof_hdr], check=False) for kind in kinds if len(head) >= kind.sizeof_hdr)
    raw = next((each for each in raws if each["magic"].item() in (each.single_magic, each.pair_magic)), None)
    if raw is None:
        return None, head
    _refuse_elsewhere(raw)
    return raw, with_known_codes(raw).binaryblock + head[raw.sizeof_hdr :]


def _refuse_elsewhere(raw: Any) -> None:
    """Refuse a header whose voxels lie in another file, or would begin within the header itself."""
    if raw["magic"].item() == raw.pair_magic:
        raise RefusedError(
            f"the file has the header of a pair of files (.hdr and .img; its magic is {raw.pair_magic.decode()}), "
            "expected one file that holds header and voxels",
            "Convert the pair to one .nii or .nii.gz file, or leave the case out.",
        )
    begin = float(raw["vox_offset"])
    if not begin >= raw.single_vox_offset:
        raise RefusedError(
            f"the file's header says that the voxels begin at byte {begin:g} (vox_offset), expected "
            f"{raw.single_vox_offset} or more, where the header has ended",
            "Export or convert the file anew, or leave the case out.",
        )


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[Any, float]]:
    """A file as a stream of what is within it, and how many bytes that can be at most."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise DataError("the file is empty (0 bytes)")
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if packed:
                with igzip.IGzipFile(fileobj=file, mode="rb") as stream:
                    yield stream, size * _MOST_PACKED
            else:
                yield file, size
    except FileNotFoundError:
        raise RefusedError("the file is not there", NOT_THERE) from None
    except PermissionError:
        raise RefusedError("the file may not be read by this user", NO_RIGHT) from None
    except EOFError:
        raise DataError("the file is truncated: its compressed data end early") from None
    except (isal_zlib.error, zlib.error, gzip.BadGzipFile):  # type: ignore[misc]  # its stubs call it a value
        raise DataError("the file is damaged: its compressed data cannot be unpacked") from None
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror or 'it is damaged'}") from error


def _volume_shape(stored: Sequence[int], count: int) -> tuple[int, int, int]:
    """(I, J, K) of a file that must hold so many volumes."""
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
        several = len(shape) > 3
        raise RefusedError(
            f"the file holds an array of shape {tuple(int(n) for n in stored)}, expected a volume (I, J, K)",
            "Save each volume of the series (such as a time or a sequence) as a file of its own, and name it as a "
            "channel, or leave the case out."
            if several
            else "Save it as a volume of at least one voxel along each axis, or leave the case out.",
        )
    return shape[0], shape[1], shape[2]


def _held(stream: Any, head: bytes, proxy: Any, most: float) -> io.BytesIO:
    """What the header asks for, in memory; the rest of the stream is not kept.

    Raises:
        DataError: The stream ends before, goes on long after it, or does not fit into memory.
    """
    voxels = math.prod(proxy.shape)
    expected = max(proxy.offset + voxels * proxy.dtype.itemsize, len(head))
    if expected > most:
        raise DataError(_SHORT)
    if expected > _NO_MATTER and (free := available_memory()) < expected + 8 * voxels:
        raise RefusedError(
            f"the volume does not fit into memory: its header says {' x '.join(map(str, proxy.shape))} voxels, which "
            f"take about {(expected + 8 * voxels) / 2**30:.1f} GiB to read, and {free / 2**30:.1f} GiB are free",
            "Store it smaller or cut, use a machine with more memory or fewer jobs, or leave the case out.",
        )
    held = io.BytesIO(head)
    held.seek(len(head))
    while held.tell() < expected:
        piece = stream.read(min(_PIECE, expected - held.tell()))
        if not piece:
            raise DataError(_SHORT)
        held.write(piece)
    # To the end of what is packed stands a check sum; what is not packed may go on as it likes.
    if isinstance(stream, igzip.IGzipFile) and len(stream.read(_SLACK + 1)) > _SLACK:
        raise RefusedError(
            f"the file unpacks to more than the {expected} bytes that its header asks for, as decompression bombs do",
            "Save it anew with a NIfTI library, or leave the case out.",
        )
    held.seek(0)
    return held


def _bare(raw: Any, head: bytes) -> bytes:
    """The first bytes of a file as if nothing stood between its header and its voxels."""
    return head[: len(head) if raw is None else raw.sizeof_hdr] + bytes(4)


def _parse(held: io.BytesIO) -> Any:
    """The image, whose voxels are read from `held` when they are asked for."""
    not_this_kind: tuple[type[Exception], ...] = (ImageFileError, HeaderDataError, WrapStructError)
    for kind in _FORMS:
        held.seek(0)
        try:
            return kind.from_stream(held)
        except not_this_kind:
            continue
        except (ValueError, OSError, EOFError, OverflowError, MemoryError) as error:
            raise DataError("the file is truncated or damaged behind its NIfTI header") from error
    shown = held.getvalue()[:15]  # shorter ones have zeros behind them
    shown = shown.rstrip(b"\0") or shown
    looks = "text" if all(32 <= byte < 127 or byte in b"\r\n\t" for byte in shown) else "other data"
    raise RefusedError(
        f"the file is not NIfTI: it holds {looks} where a NIfTI header was expected",
        "Convert it to NIfTI, or leave the case out.",
    )
