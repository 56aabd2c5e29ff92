"""Cases in one NumPy archive: `data` of shape (X, Y, Z, C), and `seg` of shape (X, Y, Z) where there is a truth.

They are the preprocessed cases of the original notebook on BraTS. An archive says nothing of voxel sizes or sides,
unless it holds `affine`, which medseg writes: (4, 4), from voxel indices to world coordinates in mm, RAS+. Other
members are passed over. Nothing is unpickled, and the size of an array is checked before memory is taken for it.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from medseg.errors import DataError
from medseg.files.regular import open_regular
from medseg.geometry.grid import Geometry, StoredImage, spans, unlike_any
from medseg.images.made_up import MADE_UP, is_made_up
from medseg.images.npy_header import read_header
from medseg.images.refusal import NO_RIGHT, NOT_THERE, RefusedError
from medseg.machine.memory import available_memory
from medseg.places import written_whole
from medseg.text import many

SUFFIXES = (".npz",)
_ANEW = "Write the archive anew (numpy.savez_compressed), or leave the case out."
_NO_MATTER = 1 << 26  # bytes for which nobody asks how much memory is free
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PIECE = 1 << 24  # bytes that are read at a time

#: As BraTS stores its volumes.
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_LAST_ROW = (0.0, 0.0, 0.0, 1.0)
_ASSUMED = (
    "the archive gives no voxel size and no sides; 1 mm is assumed, and axes that run to the patient's left, back "
    "and top, as those of BraTS"
)


@dataclass(frozen=True)
class NpzFiles:
    """`.npz`: all channels of a case in one file, with its truth.

    Attributes:
        planes: Names of the C channels, in their order.
    """

    planes: tuple[str, ...]
    noun: str = "NumPy archives"
    measured: bool = True
    flat: bool = False
    suffixes: tuple[str, ...] = SUFFIXES

    def read(self, path: Path, channels: Sequence[str]) -> list[StoredImage]:
        """The channels that were asked for."""
        with _opened(path) as archive:
            data = _array(archive, "data", (None, None, None, len(self.planes)))
            grid, made_up = _grid(archive, data.shape), is_made_up(archive.comment)
        if data.dtype.kind == "f" and data.dtype != np.float32:
            data = data.astype(np.float32)
        places = [self.planes.index(channel) for channel in channels]
        return [StoredImage(data[..., each], grid, grid.assumed, made_up=made_up) for each in places]

    def read_mask(self, path: Path) -> StoredImage:
        """The label map."""
        with _opened(path) as archive:
            seg = _array(archive, "seg", (None, None, None))
            grid = _grid(archive, seg.shape)
        return StoredImage(seg, grid, grid.assumed)

    def geometry(self, path: Path) -> Geometry:
        """Shape, from the header of `data`, and affine."""
        with _opened(path) as archive, _member(archive, "data") as (stream, _):
            shape, *_ = _header(stream, "data", (None, None, None, len(self.planes)))
        with _opened(path) as archive:
            return _grid(archive, shape)

    def tag(self, path: Path, keyword: str) -> str:  # noqa: ARG002 - as the other kinds
        """Nothing."""
        return ""

    def meaning(self) -> Mapping[str, Any]:
        """Its kind, and which channel is where."""
        return {"kind": "npz", "planes": list(self.planes)}


def write_npz(
    path: Path,
    image: NDArray[np.float32],
    label: NDArray[np.uint8] | None,
    grid: Geometry,
    *,
    made_up: bool = False,
) -> None:
    """Write a case, with its affine.

    Args:
        path: The file; it is never half there.
        image: (C, I, J, K), in the order of the grid's file.
        label: (I, J, K) likewise; None without a truth.
        grid: Where they lie.
        made_up: Whether the case was generated: the comment of the archive then says so.
    """
    parts: dict[str, Any] = {"data": np.moveaxis(image, 0, -1), "affine": grid.affine}
    parts |= {} if label is None else {"seg": label}
    with written_whole(path) as target, target.open("w+b") as file:
        np.savez_compressed(file, allow_pickle=False, **parts)
        if made_up:
            with zipfile.ZipFile(file, "a") as archive:
                archive.comment = MADE_UP.encode("ascii")


_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    UnicodeDecodeError,  # a name that is said to be UTF-8 and is not
)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            yield archive
    except FileNotFoundError:
        raise RefusedError("the file is not there", NOT_THERE) from None
    except PermissionError:
        raise RefusedError("the file may not be read by this user", NO_RIGHT) from None
    except _DAMAGED as error:
        raise RefusedError("the file is no whole NumPy archive (a zip file of .npy files)", _ANEW) from error
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror or 'it is damaged'}") from error


_USUAL = frozenset(
    f"{name}.npy" for name in ("data", "seg", "affine", "image", "images", "label", "mask", "arr_0")
)


def _named(names: Sequence[str]) -> str:
    """What an archive holds: how much, and of names those that are usual, for others may be a patient's."""
    usual = sorted(_USUAL.intersection(names))
    return f"{many(len(names), 'other')}{f', {usual} among them' if usual else ''}"


@contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[IO[bytes], int]]:
    """One array as a stream, and how many bytes it should have, header and all."""
    try:
        told = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise RefusedError(
            f"the archive holds no array '{name}': it has {_named(archive.namelist())}",
            "Write the case with `data` (X, Y, Z, channels) and `seg` (X, Y, Z), or leave it out.",
        ) from None
    if told.compress_type not in _METHODS:  # zipfile unpacks those of others whole, whatever they come to
        raise RefusedError(
            f"its array '{name}' is packed in another way than NumPy packs, expected deflated or stored",
            _ANEW,
        )
    with archive.open(told) as stream:
        yield stream, told.file_size


def _header(
    stream: IO[bytes], name: str, expected: Sequence[int | None]
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the first axis is the fastest, and type of an array.

    Raises:
        DataError: It has another shape, or holds no numbers.
    """
    try:
        shape, first_fastest, dtype = read_header(stream)
    except (ValueError, EOFError) as error:
        raise RefusedError(f"its array '{name}' has no header that can be read", _ANEW) from error
    if dtype.kind not in "biuf":
        kind = "of several fields" if dtype.names else f"of type {dtype}"  # fields have names
        held = "Python objects, which are never unpickled" if dtype.hasobject else f"values {kind}"
        raise RefusedError(f"its array '{name}' holds {held}; expected integers or real numbers", _ANEW)
    fits = len(shape) == len(expected) and min(shape) >= 1
    if not fits or any(size not in (None, mine) for size, mine in zip(expected, shape, strict=True)):
        axes = ", ".join(
            letter if size is None else str(size) for letter, size in zip("XYZ?", expected, strict=False)
        )
        raise RefusedError(f"its array '{name}' is of shape {tuple(shape)}; expected ({axes})", _ANEW)
    return shape, first_fastest, dtype


def _array(archive: zipfile.ZipFile, name: str, expected: Sequence[int | None]) -> NDArray[Any]:
    """One array, once what it says of its size is true and fits into memory."""
    with _member(archive, name) as (stream, size):
        shape, first_fastest, dtype = _header(stream, name, expected)
        needed = math.prod(shape) * dtype.itemsize
        if stream.tell() + needed != size:
            raise RefusedError(
                f"its array '{name}' should take {needed} bytes by its header, and takes {size - stream.tell()}",
                _ANEW,
            )
        if needed > _NO_MATTER and (free := available_memory()) < 2 * needed:
            raise RefusedError(
                f"its array '{name}' does not fit into memory: it takes {2 * needed / 2**30:.1f} GiB to read, and "
                f"{free / 2**30:.1f} GiB are free",
                "Use a machine with more memory or fewer jobs, or leave the case out.",
            )
        held = bytearray(needed)  # which torch may write to, unlike bytes
        done = 0
        while piece := stream.read(min(_PIECE, needed - done)):
            held[done : done + len(piece)] = piece
            done += len(piece)
        if done != needed or stream.read(1):  # the end is where the check sum is compared
            raise RefusedError(f"its array '{name}' is truncated, or goes on behind its end", _ANEW)
    return np.frombuffer(held, dtype).reshape(shape, order="F" if first_fastest else "C")


def _grid(archive: zipfile.ZipFile, shape: Sequence[int]) -> Geometry:
    whole = int(shape[0]), int(shape[1]), int(shape[2])
    if "affine.npy" not in archive.namelist():
        return Geometry(whole, _LPS, assumed=(_ASSUMED,))
    affine = _array(archive, "affine", (4, 4)).astype(np.float64)
    if not np.isfinite(affine).all() or not spans(affine):
        raise RefusedError("its affine is singular or not finite, so that its voxels have no place", _ANEW)
    if not np.allclose(affine[3], _LAST_ROW, rtol=0, atol=1e-9):
        row = ", ".join(f"{value:g}" for value in affine[3])
        raise RefusedError(
            f"the last row of its affine is ({row}); expected (0, 0, 0, 1), and the origin in the last column",
            "Write it for columns of voxel indices, in mm: transpose it, if it was written for rows.",
        )
    if problem := unlike_any(affine):
        raise RefusedError(f"its affine {problem}", _ANEW)
    return Geometry(whole, affine).leaning()
