"""Reading MetaImage and NRRD: SimpleITK reads the header, and no more bytes are taken than it accounts for.

SimpleITK's own reading of voxels is not used: of a packed MetaImage whose data end early, or whose header does not
say how long they are, it gives whatever the memory held before.
"""

from __future__ import annotations

import locale
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from medseg.errors import DataError
from medseg.geometry.grid import Geometry, StoredImage
from medseg.images.beside import beside
from medseg.images.itk import gipl, metaimage, nrrd, vtk
from medseg.images.itk.declared import Declared, refused
from medseg.images.itk.names import METAIMAGE, NRRD
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
from medseg.images.opening import opened
from medseg.images.refusal import RefusedError

HEADERS: Mapping[str, Callable[[BinaryIO], Declared]] = {
    **dict.fromkeys(METAIMAGE, metaimage.declared),
    **dict.fromkeys(NRRD, nrrd.declared),
    ".gipl": gipl.declared,
    ".vtk": vtk.declared,
}
"""What reads a header, by the ending of the file's name."""

_LONGEST_PATH = 500
_FIRST = 1 << 12  # bytes of a packed member that are looked at first: what stands behind its end is copied

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From the world of SimpleITK to ours, RAS, and back."""

_SLICE = "its header gives no thickness of the slice; 1 mm is assumed: mL are no measures"


def read_itk(path: Path) -> StoredImage:
    """Read one MetaImage or NRRD file, with the voxels in it or beside it; a 2D image is a volume of one slice.

    Raises:
        DataError: A file is missing, not readable, truncated, not of its kind, of no usable shape, or without a
            usable place; it holds several values in each voxel; or SimpleITK is not installed. No path is named.
    """
    (stored,) = read_several(path, 1)
    return stored


def read_several(path: Path, count: int) -> list[StoredImage]:
    """Read a file of so many channels: several values in each voxel, or volumes one behind another.

    Raises:
        DataError: As `read_itk`, and where it holds another number of channels.
    """
    said = header_of(path)
    grid = _grid(path, said, count)
    data = _voxels(path, said).reshape(said.sizes, order="F")
    if said.several:
        data = np.moveaxis(data, said.along, -1)
    data = data.reshape((*grid.shape, count), order="F")
    if data.dtype.kind == "f" and data.dtype != np.float32:
        data = data.astype(np.float32)
    return [StoredImage(data[..., each], grid, grid.assumed) for each in range(count)]


def itk_geometry(path: Path, count: int = 1) -> Geometry:
    """Shape and affine of a file of so many channels, from its header alone.

    Raises:
        DataError: As `read_itk`, for what the header tells.
    """
    return _grid(path, header_of(path), count)


def stored_channels(path: Path) -> int:
    """How many channels a file seems to hold, by its header alone.

    Raises:
        DataError: It has no header that can be read.
    """
    said = header_of(path)
    if said.several:
        return said.sizes[said.along]
    return said.sizes[3] if len(said.sizes) == 4 else 1


def header_of(path: Path) -> Declared:
    """What the header of a file says of its voxels.

    Raises:
        DataError: It is none, or says that they lie elsewhere than in a file beside it.
    """
    read = HEADERS.get(path.suffix.lower())
    if read is None:
        raise RefusedError(
            f"the file's name ends in {path.suffix or 'nothing'}, which is no header of a volume: expected one of "
            f"{', '.join(HEADERS)}",
            "Add the header that belongs to these voxels, or leave the case out.",
        )
    with opened(path) as (file, _):
        return read(file)


def simpleitk() -> Any:
    """The library.

    Raises:
        RefusedError: It is not installed; says how to install it.
    """
    try:
        return import_module("SimpleITK")
    except ImportError as error:
        raise RefusedError(
            f"SimpleITK, which reads MetaImage and NRRD, cannot be imported: {error}",
            "Install it with `pip install 'medseg[itk]'`, or convert the files to NIfTI.",
        ) from error


def itk_name(path: Path) -> str:
    """A path as SimpleITK takes it: of others it ends the program.

    Raises:
        RefusedError: It is not text, or so long that no complaint about the file would fit beside it.
    """
    name = os.fspath(path)
    if len(os.fsencode(name)) > _LONGEST_PATH:
        raise RefusedError(
            f"the path of the file is longer than the {_LONGEST_PATH} bytes with which SimpleITK can be relied on",
            "Move the files to folders with shorter names, or convert the file to NIfTI.",
        )
    try:
        name.encode()
    except UnicodeEncodeError:
        raise RefusedError(
            "the name of the file, or of a folder above it, is no UTF-8, which SimpleITK cannot open",
            "Rename it, or convert the file to NIfTI.",
        ) from None
    return name


def _grid(path: Path, said: Declared, count: int = 1) -> Geometry:
    """Shape and affine as SimpleITK reads them, where both agree on what the file holds."""
    if said.several and count == 1:
        raise RefusedError(
            f"the file holds {said.several}, expected one number in each voxel",
            "Save each colour, or the one quantity that they show, as a volume of its own, or leave the case out.",
        )
    sizes, values = said.sizes, 1
    if said.several:
        values = sizes[said.along]
        sizes = (*sizes[: said.along], *sizes[said.along + 1 :])
        if values != count:
            raise RefusedError(
                f"the file holds {values} values in each voxel, expected the {count} channels of the manifest",
                "Name as many channels in the manifest as the file holds, in their order, or leave the case out.",
            )
    shape = volume_shape(sizes, 1 if said.several else count)
    with opened(beside(path, said.data)):  # SimpleITK opens it too, and would wait for a pipe
        reader = _read_by_itk(path)
    if reader.GetSize() != sizes or reader.GetNumberOfComponents() != values:
        raise refused("the file's header says in two ways what the file holds, and they differ")
    affine, axes = np.eye(4), min(reader.GetDimension(), 3)
    turned = np.reshape(reader.GetDirection(), (reader.GetDimension(),) * 2) * reader.GetSpacing()
    affine[:axes, :axes] = turned[:axes, :axes]
    affine[:axes, 3] = reader.GetOrigin()[:axes]
    refuse_placeless(affine)
    assumed = (*said.assumed, _SLICE) if axes == 2 else said.assumed
    grid = Geometry(shape, LPS @ affine, assumed=assumed)
    refuse_far(grid)
    return grid.leaning()


def _read_by_itk(path: Path) -> Any:
    """SimpleITK's reader once it has read the header. Its warnings, which name paths, are kept back.

    Of a VTK file it leaves the whole process with the locale C, in which Python reads texts as ASCII.
    """
    itk, before = simpleitk(), locale.setlocale(locale.LC_ALL)
    reader, shown = itk.ImageFileReader(), itk.ProcessObject.GetGlobalWarningDisplay()
    reader.SetFileName(itk_name(path))
    itk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        reader.ReadImageInformation()
    except RuntimeError:  # whose message names the path
        raise refused(
            "SimpleITK cannot read the file's header: it is damaged, or says the place oddly"
        ) from None
    finally:
        itk.ProcessObject.SetGlobalWarningDisplay(shown)
        locale.setlocale(locale.LC_ALL, before)
    return reader


def _voxels(path: Path, said: Declared) -> NDArray[Any]:
    """All values in their order, once the file is known to hold them and they fit into memory."""
    with opened(beside(path, said.data)) as (file, size):
        begin = size - said.expected if said.begin is None else said.begin
        left = size - begin
        if left < 0:
            raise refused(
                f"the file's header says that the voxels begin at byte {begin}, and the file ends at {size}"
            )
        refuse_beyond(said.sizes, said.expected, left if said.packed is None else left * MOST_PACKED)
        if begin < 0 or (said.packed or 0) > left:
            raise DataError(SHORT)
        file.seek(begin)
        if said.packed is None:
            held = bytearray(said.expected)  # which torch may write to, unlike bytes
            del held[file.readinto(held) :]  # type: ignore[attr-defined]  # a buffered file has it
        else:
            held = _unpacked(file, said.packed or left, said.expected)
    if len(held) != said.expected:
        raise DataError(SHORT)
    return np.frombuffer(held, said.dtype)


def _unpacked(file: BinaryIO, packed: int, expected: int) -> bytearray:
    """What is packed in so many bytes by zlib or gzip; little more than expected is unpacked.

    Raises:
        DataError: It is damaged, or much more.
    """
    held, waiting, begin, size = bytearray(), memoryview(b""), 0, _FIRST
    unpacker = isal_zlib.decompressobj(wbits=47)  # zlib and gzip
    while begin < len(waiting) or packed:
        if unpacker.eof:
            unpacker, size = isal_zlib.decompressobj(wbits=47), _FIRST
        if begin == len(waiting):
            waiting, begin = memoryview(file.read(min(PIECE, packed))), 0
            packed -= len(waiting)
            if not waiting:
                break
        given = waiting[begin : begin + size]
        held += unpacker.decompress(given, PIECE)
        begin += len(given) - len(unpacker.unused_data or unpacker.unconsumed_tail)
        size = min(2 * size, PIECE)
        if len(held) > expected + SLACK:
            raise bomb(expected)
        if len(held) >= expected and unpacker.eof:
            break
    if not unpacker.eof:
        raise DataError("the file is truncated: its compressed data end early")
    del held[expected:]
    return held
