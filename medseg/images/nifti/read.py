"""Reading NIfTI files: voxels as stored, with their geometry."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.imageglobals import logger
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from medseg.errors import DataError
from medseg.geometry.grid import Geometry, StoredImage
from medseg.images.limits import (
    MOST_PACKED,
    PIECE,
    SHORT,
    SLACK,
    bomb,
    refuse_beyond,
    refuse_far,
    refuse_placeless,
    volume_shape,
)
from medseg.images.made_up import is_made_up
from medseg.images.nifti.place import placed, with_known_codes
from medseg.images.opening import Unpacked, opened
from medseg.images.refusal import RefusedError

_FORMS = (nibabel.Nifti1Image, nibabel.Nifti2Image)
_OF_ITK = (b"NRRD000", b"ObjectType", b"NDims")  # how MetaImage and NRRD begin
_FARTHEST = 1 << 28  # where voxels may begin: what stands before them is read too, texts and such
_HEAD = 544  # bytes of the longer of the two headers, with the flag of what may follow it


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
    with unpacked(path) as (stream, most):
        return read_stream(stream, most, count)


def read_stream(stream: Any, most: float, count: int = 1) -> list[StoredImage]:
    """Read what a NIfTI file holds.

    Args:
        stream: Its bytes, unpacked.
        most: How many there can be.
        count: Of volumes that it must hold.

    Raises:
        DataError: As `read_stacked`.
    """
    raw, head = _head(stream)
    declared = _parse(io.BytesIO(_bare(raw, head)))
    shape = volume_shape(declared.shape, count)
    image = _parse(_held(stream, head, declared.dataobj, most))
    affine = np.asarray(image.affine, dtype=np.float64)
    refuse_placeless(affine)
    try:
        data = np.asanyarray(image.dataobj).reshape((*shape, count), order="A")
    except (ValueError, OSError, EOFError) as error:
        raise DataError(SHORT) from error
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
    refuse_far(grid)
    made_up = is_made_up(image.header["descrip"].item())
    return [StoredImage(data[..., each], grid, notes, made_up=made_up) for each in range(count)]


def nifti_geometry(path: Path) -> Geometry:
    """Shape and affine of a file, from its header alone; (I, J, K) of what has more axes are its first three.

    Raises:
        DataError: It has no header that can be read.
    """
    with unpacked(path) as (stream, _):
        return stream_geometry(stream)


def stream_geometry(stream: Any) -> Geometry:
    """As `nifti_geometry`, of the bytes of a file, unpacked."""
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
    with unpacked(path) as (stream, _):
        image = _parse(io.BytesIO(_bare(*_head(stream))))
    return tuple(int(size) for size in image.shape)


def _head(stream: Any) -> tuple[Any, bytes]:
    """The header as stored, None where there is none, and the first bytes of the file, with codes that nibabel knows.

    nibabel mends what it reads, and where nothing is given, that is no longer seen in what it gives. Extensions are
    said not to be there: nothing asks for them, and nibabel takes each of millions apart.

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
    behind = head[raw.sizeof_hdr :]
    return raw, with_known_codes(raw).binaryblock + bytes(len(behind[:4])) + behind[4:]


def _refuse_elsewhere(raw: Any) -> None:
    """Refuse a header whose voxels lie in another file, or would begin within the header itself."""
    if raw["magic"].item() == raw.pair_magic:
        raise RefusedError(
            f"the file has the header of a pair of files (.hdr and .img; its magic is {raw.pair_magic.decode()}), "
            "expected one file that holds header and voxels",
            "Convert the pair to one .nii or .nii.gz file, or leave the case out.",
        )
    begin = float(raw["vox_offset"])
    if not raw.single_vox_offset <= begin <= _FARTHEST:
        raise RefusedError(
            f"the file's header says that the voxels begin at byte {begin:g} (vox_offset), expected "
            f"{raw.single_vox_offset} or more, where the header has ended, and no more than {_FARTHEST}",
            "Export or convert the file anew, or leave the case out.",
        )


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[Any, float]]:
    """A file as a stream of what is within it, and how many bytes that can be at most."""
    with opened(path) as (file, size):
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if packed:
            with Unpacked(fileobj=file, mode="rb") as stream:
                yield stream, size * MOST_PACKED
        else:
            yield file, size


def _held(stream: Any, head: bytes, proxy: Any, most: float) -> io.BytesIO:
    """What the header asks for, in memory; the rest of the stream is not kept.

    Raises:
        DataError: The stream ends before, goes on long after it, or does not fit into memory.
    """
    expected = max(proxy.offset + math.prod(proxy.shape) * proxy.dtype.itemsize, len(head))
    refuse_beyond(proxy.shape, expected, most)
    held = io.BytesIO(head)
    held.seek(len(head))
    while held.tell() < expected:
        piece = stream.read(min(PIECE, expected - held.tell()))
        if not piece:
            raise DataError(SHORT)
        held.write(piece)
    # To the end of what is packed stands a check sum; what is not packed may go on as it likes.
    if isinstance(stream, Unpacked) and len(stream.read(SLACK + 1)) > SLACK:
        raise bomb(expected)
    held.seek(0)
    return held


def _bare(raw: Any, head: bytes) -> bytes:
    """The first bytes of a file as if nothing stood between its header and its voxels."""
    return head[: len(head) if raw is None else raw.sizeof_hdr] + bytes(4)


@contextmanager
def _unsaid() -> Iterator[None]:
    """Keep nibabel from printing what it mends in a header: what is wrong is said in our own words."""

    def no(_: object) -> bool:  # a filter of its own for each call, since others may read at the same time
        return False

    logger.addFilter(no)
    try:
        yield
    finally:
        logger.removeFilter(no)


def _parse(held: io.BytesIO) -> Any:
    """The image, whose voxels are read from `held` when they are asked for."""
    not_this_kind: tuple[type[Exception], ...] = (ImageFileError, HeaderDataError, WrapStructError)
    for kind in _FORMS:
        held.seek(0)
        try:
            with _unsaid():
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
        "Write `format: itk` in the manifest, if all its files are MetaImage or NRRD; else convert it to NIfTI, or "
        "leave the case out."
        if shown.startswith(_OF_ITK)
        else "Convert it to NIfTI, or leave the case out.",
    )
