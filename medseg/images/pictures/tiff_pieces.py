"""Strips and tiles of a TIFF page: that all are there, and of their size, before any is decoded."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from tifffile import TiffPage

from medseg.images.codestream import header
from medseg.images.pictures.decoders import MAX_PIXELS, within_limit
from medseg.images.pictures.scans import refuse_many_scans
from medseg.images.pictures.watched import AS_BOMBS
from medseg.images.refusal import RefusedError

JPEG, JPEG_2000, WEBP = 7, 34712, 50001
_SIZED = {JPEG, JPEG_2000, WEBP}

#: How often bytes of pixels may be read: codes may be twice as long, and some are looked at before they are decoded.
_OFTEN = 4

#: Bytes that the tags of a page may need, as calls count.
_TAGS = 1 << 14

#: How many times the pixels of a picture its tiles may hold, and how many pixels more those of a whole file.
_WIDER, _PADDING = 4, MAX_PIXELS // 2

_ANEW = "Save it anew, in strips or in tiles that are no larger than the picture, or leave the case out."


def needed(page: TiffPage) -> int:
    """Bytes that have to be read for a page at most."""
    sample = np.dtype(page.dtype).itemsize if page.dtype is not None else 8
    return _TAGS + _OFTEN * _held(page) * page.samplesperpixel * sample


def refuse_incomplete(page: TiffPage, size: int, pages: int) -> None:
    """Refuse a page of which strips or tiles are missing, or are larger than a picture may be.

    Args:
        page: Of a file.
        size: Of the file, bytes.
        pages: How many the file has.

    Raises:
        EOFError: Some are missing, or lie beyond the end.
        RefusedError: They hold far more pixels together than the picture.
        ValueError: The code of one says that it is larger than its place: it would be decoded whole before anybody
            looks, and a few bytes may stand for gigabytes.
    """
    within_limit(page.tilelength or 1, page.tilewidth or 1)
    held = _held(page)
    if held > _WIDER * page.imagelength * page.imagewidth + _PADDING // pages:
        raise RefusedError(
            f"the tiles of the TIFF hold {held} pixels together, and its picture {page.imagelength} x "
            f"{page.imagewidth} (H x W), {AS_BOMBS}",
            _ANEW,
        )
    if page.is_contiguous:
        ends = [page.dataoffsets[0] + page.nbytes]
    else:
        ends = [at + count for at, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    down, across, rows, columns = _pieces(page)
    expected = down * across * (page.samplesperpixel if page.planarconfig == 2 else 1)
    if not page.is_contiguous and (len(ends) < expected or 0 in page.databytecounts[:expected]):
        raise EOFError("truncated: strips or tiles are missing")
    if max(ends[:expected]) > size:
        raise EOFError("truncated: strips or tiles lie beyond the end")
    if page.compression in _SIZED:
        samples = page.samplesperpixel if page.planarconfig == 1 else 1
        _refuse_larger(page, (rows, columns, samples))


def _pieces(page: TiffPage) -> tuple[int, int, int, int]:
    """How many strips or tiles there are from top to bottom, and from left to right; height and width of each."""
    rows = max(page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength), 1)
    columns = page.tilewidth if page.is_tiled else page.imagewidth
    return -(-page.imagelength // rows), -(-page.imagewidth // columns), rows, columns


def _held(page: TiffPage) -> int:
    """Pixels of all strips or tiles together."""
    down, across, rows, columns = _pieces(page)
    return down * across * rows * columns * (max(page.tiledepth, 1) if page.is_tiled else 1)


def _refuse_larger(page: TiffPage, most: tuple[int, int, int]) -> None:
    for code in _codes(page):
        if any(said > held for said, held in zip(_said(page.compression, code), most, strict=True)):
            raise ValueError("a strip or tile of another size than the TIFF says")
        if page.compression == JPEG:
            refuse_many_scans(code)


def _codes(page: TiffPage) -> Iterator[bytes]:
    handle = page.parent.filehandle
    for at, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        handle.seek(at)
        yield handle.read(count)


def _said(compression: int, code: bytes) -> tuple[int, int, int]:
    """Height, width and samples a pixel that a code says.

    Raises:
        ValueError: It does not say them, though a decoder might find them.
    """
    if compression == WEBP:
        return _said_by_webp(code)
    found = header(code)
    if found is None:
        raise ValueError("a strip or tile that does not say its size")
    return found.height, found.width, found.samples


def _said_by_webp(code: bytes) -> tuple[int, int, int]:
    """As above; zeros where its decoder refuses it. Of its samples there are never more than four."""
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - of few files

    try:
        with Image.open(io.BytesIO(code), formats=["WEBP"]) as image:  # which decodes nothing yet
            return image.height, image.width, 0
    except Image.DecompressionBombError as error:
        raise ValueError("a strip or tile of more pixels than any picture") from error
    except (UnidentifiedImageError, OSError, ValueError):
        return 0, 0, 0
