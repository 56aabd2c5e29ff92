"""TIFF files: what is refused before anything is decoded, and their samples as stored, by tifffile."""

from __future__ import annotations

import json
import logging
import math
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from medseg.images.made_up import is_made_up
from medseg.images.pictures.decoders import refuse_no_numbers, turned, within_limit
from medseg.images.pictures.stored import Kind, Stored, refuse_many
from medseg.images.pictures.tiff_colours import RULES, shown
from medseg.images.pictures.tiff_pieces import JPEG, JPEG_2000, WEBP, needed, refuse_incomplete
from medseg.images.pictures.watched import Watched
from medseg.images.refusal import FRAMES, RefusedError

_SAVE = "Save it uncompressed, or with LZW or Deflate, or leave the case out."

#: Compressions of bytes, which keep all numbers: none, CCITT, LZW, Deflate, PackBits, LZMA, Zstandard.
_EXACT = {1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000}

#: Compressions of images: JPEG 2000 and WebP, whose colours are none but RGB; they may have made values up.
_IMAGES = {JPEG_2000, WEBP}

#: Kinds of files of microscopes that are built on TIFF in ways of their own: they are read as plain TIFF.
_DIALECTS: dict[str, Any] = {
    f"is_{name}": False
    for name in (
        "ome",
        "lsm",
        "scanimage",
        "ndpi",
        "mmstack",
        "ndtiff",
        "philips",
        "eer",
        "bif",
        "scn",
        "stk",
    )
    if name in tifffile.TIFF.FILE_FLAGS
}

#: Tags without which a page would be read as another: all that say where its samples are, and what they mean.
_NEEDED = {
    *(256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320),
    *(322, 323, 324, 325, 338, 339, 347, 530, 32997),
}

#: Tags of one number: sizes, compression, kind of pixels, orientation, and so on.
_SINGLE = (256, 257, 259, 262, 266, 274, 277, 278, 284, 292, 317, 322, 323, 32997, 32998)

_AXES = 64  # that NumPy has at most

_reading: ContextVar[bool] = ContextVar("reading", default=False)
# What tifffile logs names what stands in a file; what is wrong with it is raised or found here.
logging.getLogger("tifffile").addFilter(lambda _: not _reading.get())


class _Tiff(Kind):
    name, suffixes = "TIFF", (".tif", ".tiff")
    starts = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

    def size(self, handle: Watched) -> tuple[int, int]:
        with _opened(handle) as (_, page):
            return _size(page)

    def read(self, handle: Watched) -> Stored:
        with _opened(handle) as (tiff, page):
            handle.allow(needed(page))
            return _decoded(tiff, page)

    def content(self, handle: Watched) -> bytes:
        with _first(handle) as (tiff, _):
            refuse_many(len(tiff.pages), "TIFF", "pages")
            needs = 0
            for page in tiff.pages:
                if not isinstance(page, TiffPage):
                    raise TypeError("a page refers to another")
                needs += needed(page)
                handle.allow(needs)
            handle.seek(0)
            return handle.read()

    def sizes(self, handle: Watched) -> tuple[int, int, int]:
        with _opened(handle, several=True) as (tiff, first):
            return (len(tiff.pages), *_size(first))

    def read_all(self, handle: Watched) -> list[Stored]:
        from medseg.images.limits import refuse_beyond  # noqa: PLC0415 - imports nibabel, and that pydicom

        with _opened(handle, several=True) as (tiff, first):
            shape = (len(tiff.pages), first.imagelength, first.imagewidth)
            refuse_beyond(shape, math.prod(shape) * first.samplesperpixel * 8, math.inf)
            handle.allow(len(tiff.pages) * needed(first))
            return [_decoded(tiff, page) for page in _pages(handle, tiff, first)]


TIFF = _Tiff()


def _size(page: TiffPage) -> tuple[int, int]:
    """Height and width as shown."""
    height, width = page.imagelength, page.imagewidth
    return (width, height) if _orientation(page) in {5, 6, 7, 8} else (height, width)


def _decoded(tiff: TiffFile, page: TiffPage) -> Stored:
    _refuse_unread(page)
    refuse_incomplete(page, tiff.filehandle.size, len(tiff.pages))
    stored = replace(shown(page, _planes(page)), made_up=is_made_up(page.description))
    return turned(stored, _orientation(page))


def _pages(handle: Watched, tiff: TiffFile, first: TiffPage) -> Iterator[TiffPage]:
    """The pages of a file, which are alike."""
    for page in tiff.pages:
        if not isinstance(page, TiffPage):
            raise TypeError("a page refers to another")
        _refuse_damaged_tags(handle, tiff, page)
        if _likeness(page) != _likeness(first):
            raise RefusedError(
                "its pages differ in size or in the kind of their pixels, as with thumbnails, and slices of one case "
                "do not",
                "Save those of one size and kind alone, or leave the case out.",
            )
        yield page


def _likeness(page: TiffPage) -> tuple[Any, ...]:
    sizes = page.imagelength, page.imagewidth, _orientation(page)
    return *sizes, page.samplesperpixel, page.dtype, page.photometric


@contextmanager
def _first(handle: Watched) -> Iterator[tuple[TiffFile, TiffPage]]:
    """A file and its first page, of whatever size."""
    token = _reading.set(True)
    try:
        handle.allow(0)
        tiff = TiffFile(handle, name="picture.tif", **_DIALECTS)
        page = tiff.pages.first
        if not isinstance(page, TiffPage):
            raise TypeError("its first page refers to another")
        yield tiff, page
    finally:
        _reading.reset(token)


@contextmanager
def _opened(handle: Watched, *, several: bool = False) -> Iterator[tuple[TiffFile, TiffPage]]:
    """The only page of a file, or the first of several, of a size that is read."""
    with _first(handle) as (tiff, page):
        _refuse_damaged_tags(handle, tiff, page)
        if 0 in (page.imagelength, page.imagewidth):
            raise RefusedError("the TIFF says a picture of no rows or no columns", "Leave the case out.")
        within_limit(page.imagelength, page.imagewidth)
        pictures = _pictures(tiff, page)
        refuse_many(len(tiff.pages), "TIFF", "pages")
        if pictures > 1 and not (several and pictures == len(tiff.pages)):
            remedy = (
                "Save each in a file of its own, or each as a page."
                if several
                else f"Save each in a file of its own; or, where pages are slices of one case, {FRAMES}."
            )
            raise RefusedError(f"{pictures} pictures in one file, expected one", remedy)
        yield tiff, page


def _refuse_damaged_tags(handle: Watched, tiff: TiffFile, page: TiffPage) -> None:
    """Refuse a page with a tag that tifffile could not read and passed over, or of several numbers for one."""
    handle.seek(page.offset)
    kind = tiff.tiff
    (count,) = struct.unpack(kind.tagnoformat, handle.read(kind.tagnosize))
    raw = handle.read(count * kind.tagsize)
    there = {struct.unpack_from(f"{kind.byteorder}H", raw, n * kind.tagsize)[0] for n in range(count)}
    if any(tag not in page.tags for tag in there & _NEEDED):
        raise EOFError("truncated: a tag lies beyond the end")
    if any(not isinstance(page.tags.valueof(tag, 1), int) for tag in _SINGLE):
        raise ValueError("a tag of several numbers, expected one")


def _pictures(tiff: TiffFile, page: TiffPage) -> int:
    """How many pictures a file holds: its pages; or more behind one, as some programs write."""
    if len(tiff.pages) > 1:
        return len(tiff.pages)
    text = page.description
    if counted := re.match(r"ImageJ=.*?^images=(\d+)", text, re.DOTALL | re.MULTILINE):
        return int(counted[1])
    if text.startswith('{"shape":'):  # as tifffile itself writes
        shape = json.loads(text)["shape"]
        if len(shape) > _AXES:
            raise ValueError("a description of more axes than an array may have")
        return math.prod(shape) // math.prod(page.shaped)
    planes = page.tags.get(33629)  # of MetaMorph
    return max(page.imagedepth, planes.count if planes is not None else 1)


def _orientation(page: TiffPage) -> int:
    return int(page.tags.valueof(274, 1))


def _refuse_unread(page: TiffPage) -> None:
    """Refuse kinds of samples and compressions that are not read, by their names."""
    if page.compression not in {*_EXACT, JPEG, *_IMAGES}:
        raise RefusedError(
            f"the TIFF is compressed as {_name(COMPRESSION, page.compression)}, which medseg does not decode",
            _SAVE,
        )
    bits: Any = page.bitspersample  # several numbers where they differ
    if isinstance(bits, tuple) or page.dtype is None:
        raise RefusedError(f"the TIFF holds samples of {bits} bits, which medseg does not read", _SAVE)
    if page.predictor != 1 and bits < 8:
        raise RefusedError(
            f"the TIFF holds samples of {bits} bits with a predictor, which medseg does not decode", _SAVE
        )
    refuse_no_numbers(np.dtype(page.dtype), "TIFF")
    rule = RULES.get(page.photometric)
    mixed = page.photometric == PHOTOMETRIC.YCBCR and page.compression in _IMAGES
    if rule is None or mixed:
        how = f" compressed as {_name(COMPRESSION, page.compression)}" if mixed else ""
        raise RefusedError(
            f"the TIFF holds pixels of the kind {_name(PHOTOMETRIC, page.photometric)}{how}, expected greys, RGB, a "
            "palette, CMYK, YCbCr or LAB",
            "Save it as one of these, or leave the case out.",
        )
    rule.refuse(page)
    if page.is_subsampled and page.compression != JPEG:
        raise RefusedError(
            "the TIFF holds colours at half the resolution that are no JPEG", "Save it as RGB."
        )


def _planes(page: TiffPage) -> NDArray[Any]:
    """Samples (H, W, C) as stored; YCbCr in JPEG as RGB."""
    found = _of_jpeg(page) if page.compression == JPEG else page.asarray(squeeze=False, maxworkers=1)
    return np.moveaxis(found[:, 0, ..., 0], 0, -1) if page.planarconfig == 2 else found[0, 0]


def _of_jpeg(page: TiffPage) -> NDArray[Any]:
    """By libjpeg-turbo alone: some damaged pictures end the program in what tifffile else falls back on."""
    import imagecodecs  # noqa: PLC0415 - its codecs take a while

    together = page.samplesperpixel if page.planarconfig == 1 else 1
    space: str | None = {3: "RGB", 4: "CMYK"}.get(together)  # the same twice leaves colours as they are
    given = "YCBCR" if page.photometric == PHOTOMETRIC.YCBCR and space == "RGB" else space
    found = np.zeros(page.shaped, page.dtype)
    handle = page.parent.filehandle
    for index, (at, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        handle.seek(at)
        piece = imagecodecs.jpeg8_decode(
            handle.read(count), tables=page.jpegtables, colorspace=given, outcolorspace=space
        )
        _, (plane, depth, top, left, _), (_, height, width, samples) = page.decode(None, index)
        piece = piece.reshape(*piece.shape[:2], samples)
        if piece.dtype != found.dtype or piece.shape[0] > height or piece.shape[1] > width:
            raise ValueError("a piece of JPEG of another size")
        room = found[plane, depth, top : top + height, left : left + width]
        if piece.shape[0] < room.shape[0] or piece.shape[1] < room.shape[1]:
            raise ValueError("a piece of JPEG of another size")
        room[:] = piece[: room.shape[0], : room.shape[1]]
    return found


def _name(names: Any, number: int) -> str:
    """What a number of a tag is called."""
    try:
        return str(names(number).name)
    except ValueError:
        return str(int(number))
