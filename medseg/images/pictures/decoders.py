"""What pictures hold, kind of file by kind of file: PNG, JPEG, BMP."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from tokenize import TokenError
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.MpoImagePlugin import MpoImageFile
from PIL.PngImagePlugin import PngImageFile

from medseg.images.jpeg import END, lacks_end, whole
from medseg.images.made_up import is_made_up
from medseg.images.pictures.scans import refuse_many_scans
from medseg.images.pictures.stored import Kind, Stored
from medseg.images.pictures.watched import AS_BOMBS, CALL, Watched
from medseg.images.refusal import RefusedError

_MOST_CHUNKS = 4096
"""Before the pixels of a PNG: each is taken apart. There are about twenty kinds, most of which may come once."""

MAX_PIXELS = 100_000_000
"""More in one picture are refused before anything is decoded."""

TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda planes: np.rot90(planes, 2),
    4: np.flipud,
    5: lambda planes: planes.swapaxes(0, 1),
    6: lambda planes: np.rot90(planes, -1),
    7: lambda planes: np.rot90(planes, 2).swapaxes(0, 1),
    8: np.rot90,
}
"""What each EXIF orientation but 1 does to an array (H, W, C). Source: EXIF 2.32 (CIPA DC-008), tag 0x0112."""

DAMAGE: tuple[type[Exception], ...] = (
    *(OSError, EOFError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(ArithmeticError, RuntimeError, BufferError, struct.error, zlib.error, TokenError, Warning),
)
"""What Pillow and NumPy raise over damaged files (warnings only where the user made them errors)."""


class _Pillow(Kind):
    """A kind of file that Pillow decodes; its plugin is called directly.

    `Image.open` would try others, and warn or fail by a limit that the whole process shares.
    """

    plugin: ClassVar[type[ImageFile.ImageFile]]

    most: ClassVar[int] = 4
    """Bytes that a sample can need: two of PNG; two of a JPEG of noise, which is read twice."""

    def size(self, handle: Watched) -> tuple[int, int]:
        image = self._opened(handle)
        width, height = image.size
        turned = self.orientation_early(image)[0] in {5, 6, 7, 8}
        return (width, height) if turned else (height, width)

    def read(self, handle: Watched) -> Stored:
        return self._loaded(self._opened(handle), handle)

    def _loaded(self, image: Any, handle: Watched) -> Stored:
        if self.reduced(image):
            raise RefusedError(
                "16-bit colour (or grey with alpha), of which Pillow would keep 8 bits",
                "Save it as 8-bit colour, as 16-bit grey, or as a .npy array (H, W, 3).",
            )
        image.load()
        if ImageFile.LOAD_TRUNCATED_IMAGES and handle.starved:  # set by some program, it hides this
            raise EOFError
        orientation, notes = self.orientation(image)
        stored = decoded(image)
        stored = turned(stored, orientation)
        return replace(stored, notes=(*notes, *stored.notes), lossy=self.lossy(image))

    def content(self, handle: Watched) -> bytes:
        self._header(handle)
        handle.seek(0)
        return handle.read()

    def _header(self, handle: Watched) -> Any:
        handle.allow(0)
        image = self.plugin(handle)
        within_limit(image.height, image.width)
        handle.allow(image.height * image.width * len(image.getbands()) * self.most)
        return image

    def _opened(self, handle: Watched) -> Any:
        image = self._header(handle)
        if (frames := self.frames(image, handle)) > 1:
            raise RefusedError(
                f"{frames} pictures in one file, expected one", "Save each in a file of its own."
            )
        return image

    def frames(self, image: Any, handle: Watched) -> int:  # noqa: ARG002  # MPO needs it
        return getattr(image, "n_frames", 1)

    def orientation(self, image: Any) -> tuple[int, tuple[str, ...]]:
        try:
            return int(Image.Image.getexif(image).get(0x0112, 1)), ()  # the plugin's own would decode PNG
        except DAMAGE:
            return 1, ("its EXIF block is damaged and was passed over",)

    def orientation_early(self, image: Any) -> tuple[int, tuple[str, ...]]:
        """As `orientation`, of a picture that is not loaded."""
        return self.orientation(image)

    def reduced(self, image: Any) -> bool:  # noqa: ARG002
        """Whether Pillow would keep fewer bits than there are."""
        return False

    def lossy(self, image: Any) -> bool:  # noqa: ARG002
        return False


class _Png(_Pillow):
    name, starts, suffixes = "PNG", (b"\x89PNG\r\n\x1a\n",), (".png",)
    plugin = PngImageFile

    def _header(self, handle: Watched) -> Any:
        _refuse_many_chunks(handle)
        return super()._header(handle)

    def read(self, handle: Watched) -> Stored:
        self._opened(handle)  # what is too large is not even read through
        handle.seek(0)
        PngImageFile(handle).verify()  # check sums, which Pillow passes over as it decodes
        handle.seek(0)
        return super().read(handle)

    def orientation_early(self, image: Any) -> tuple[int, tuple[str, ...]]:
        handle = image.fp
        handle.seek(image.tile[0].offset - 8)
        while len(head := handle.read(8)) == 8 and not head.endswith(b"IEND"):
            length, name = struct.unpack(">I4s", head)
            start = name + handle.read(min(length, 21))
            if start.startswith(
                (b"eXIf", b"tEXtRaw profile type exif", b"zTXtRaw profile type exif", b"iTXtXML:com")
            ):
                image.load()  # what stands behind the pixels, Pillow reads only after them
                break
            handle.seek(length - min(length, 21) + 4, io.SEEK_CUR)
        return self.orientation(image)

    def reduced(self, image: Any) -> bool:
        return image.mode in {"RGB", "RGBA"} and image.tile[0].args.endswith(";16B")


class _Jpeg(_Pillow):
    name, starts, suffixes = "JPEG", (b"\xff\xd8\xff",), (".jpg", ".jpeg", ".jpe", ".jfif")
    plugin = JpegImageFile

    def read(self, handle: Watched) -> Stored:
        image = self._opened(handle)
        handle.seek(0)
        data = handle.read()
        refuse_many_scans(data)
        if lacks_end(data):
            if image.info.get("progressive"):
                raise RefusedError(
                    "the JPEG file ends early: it is progressive and lacks its end marker, so that whether its last "
                    "scan is whole is not known",
                    "Copy or save it anew, or leave the case out.",
                )
            whole(data, self._pixels)  # raises if more is missing than the end marker
            return super().read(Watched(io.BytesIO(data + END)))
        return self._loaded(image, handle)

    @staticmethod
    def _pixels(data: bytes) -> NDArray[Any]:
        return np.asarray(JpegImageFile(io.BytesIO(data)))

    def frames(self, image: Any, handle: Watched) -> int:
        if "mp" not in image.info:
            return 1
        try:
            handle.seek(0)
            return MpoImageFile(handle).n_frames
        except DAMAGE:  # a plain JPEG with a broken index
            return 1

    def lossy(self, image: Any) -> bool:  # noqa: ARG002
        return True


class _Bmp(_Pillow):
    name, starts, suffixes = "BMP", (b"BM",), (".bmp",)
    plugin = BmpImageFile
    most = 2 * CALL  # runs of one pixel, of which Pillow reads each byte by itself

    def surely(self, head: bytes) -> bool:
        # Behind the 14 bytes of the file's own header stands the length of the next, of which there are a few.
        length = int.from_bytes(head[14:18], "little")
        return super().surely(head) and length in {12, 16, 40, 52, 56, 64, 108, 124}


PILLOW = (_Png(), _Jpeg(), _Bmp())
ALPHA_DROPPED = "its alpha channel was dropped"


def _refuse_many_chunks(handle: Watched) -> None:
    """Refuse a PNG of more chunks before its pixels than any program writes."""
    at = handle.tell()
    handle.seek(8, io.SEEK_CUR)  # what a PNG begins with
    for _ in range(_MOST_CHUNKS):
        head = handle.read(8)
        if len(head) < 8 or head.endswith((b"IDAT", b"IEND")):
            handle.seek(at)
            handle.starved = False
            return
        handle.seek(int.from_bytes(head[:4]) + 4, io.SEEK_CUR)
    raise RefusedError(
        f"more than {_MOST_CHUNKS} chunks stand before the pixels of the PNG, {AS_BOMBS}",
        "Save it anew, or leave the case out.",
    )


def turned(stored: Stored, orientation: int) -> Stored:
    """As it is meant to be seen, with a note, by its orientation; one that is unknown counts for none."""
    if orientation not in TURNS:
        return stored
    note = f"EXIF rotation {orientation} was applied"
    planes = TURNS[orientation](stored.planes)
    return replace(stored, planes=planes, notes=(note, *stored.notes), turned=orientation)


def within_limit(height: int, width: int) -> None:
    """Refuse a picture of too many pixels."""
    if height * width > MAX_PIXELS:
        raise RefusedError(
            f"the header says {height} x {width} pixels (H x W), above the limit of {MAX_PIXELS}, as decompression "
            "bombs do",
            "If it is a real picture, cut it into tiles, else leave the case out.",
        )


def kept_type(array: NDArray[Any], name: str) -> NDArray[Any]:
    """A copy as uint8, uint16, int32 or float32, whichever holds the numbers; bool becomes 0 and 1.

    What float32 cannot hold becomes infinite, for the caller to find.

    Raises:
        RefusedError: They are no numbers, or integers beyond 32 bits; it calls the file by this name.
    """
    refuse_no_numbers(array.dtype, name)
    kinds = {"b": np.uint8, "u": np.int32, "i": np.int32, "f": np.float32}
    kept = array.dtype.newbyteorder("=")
    kept = kept if kept in (np.uint8, np.uint16) else np.dtype(kinds[array.dtype.kind])
    if kept == np.int32 and not -(2**31) <= int(array.min()) <= int(array.max()) < 2**31:
        raise RefusedError(
            f"the {name} holds integers beyond 32 bits (above 2147483647, or below -2147483648)",
            "Number the labels of a label map from 1; of an image, store 32-bit floating point numbers.",
        )
    with np.errstate(over="ignore"):
        return np.array(array, dtype=kept, order="C")


def refuse_no_numbers(dtype: np.dtype[Any], name: str) -> None:
    """Refuse what holds neither integers nor real numbers."""
    if dtype.kind not in "buif":
        raise RefusedError(
            f"the {name} is of type {dtype}, expected integers or real numbers",
            "Save it as such, or leave the case out.",
        )


def opaque(kept: np.dtype[Any]) -> float:
    """What stands for no transparency at all in an array of this type."""
    return 1.0 if kept == np.float32 else float(np.iinfo(kept).max)


def decoded(image: Image.Image) -> Stored:
    """What Pillow has loaded, as planes."""
    mode = image.mode
    if mode not in {"1", "L", "LA", "I", "F", "P", "PA", "RGB", "RGBA", "RGBX"} and mode[:4] != "I;16":
        image = image.convert("LA" if mode == "La" else "RGB")
    planes = np.array(image)
    planes = planes.astype(planes.dtype.newbyteorder("="), copy=False)
    planes = planes * np.uint8(255) if planes.dtype == np.bool_ else planes
    planes = planes[..., None] if planes.ndim == 2 else planes
    clear = _transparent(image, planes)
    colours = planes[..., : 3 if mode.startswith("RGB") or planes.shape[2] == 3 else 1]
    palette = None
    if mode in {"P", "PA"}:
        flat = np.array(image.getpalette("RGB") or [], dtype=np.uint8)[:768]
        palette = np.zeros((256, 3), dtype=np.uint8)
        palette.reshape(-1)[: flat.size] = flat
    notes = (ALPHA_DROPPED,) if clear else ()
    return Stored(colours, palette, notes, made_up=is_made_up(image.info.get("Comment")))


def _transparent(image: Image.Image, planes: NDArray[Any]) -> bool:
    """Whether some pixel is not opaque."""
    if image.mode in {"LA", "PA", "RGBA"}:
        return bool((planes[..., -1] != 255).any())
    key = image.info.get("transparency")
    if isinstance(key, bytes):
        opacity = np.full(256, 255)
        opacity[: len(key)] = np.frombuffer(key, dtype=np.uint8)[:256]
        return bool((opacity[planes] != 255).any())
    return key is not None and bool((planes == np.array(key)).all(axis=-1).any())
