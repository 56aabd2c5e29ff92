"""Strips and tiles of a TIFF page: that all are there, and of their size, before any is decoded."""

from __future__ import annotations

import io
from collections.abc import Iterator

from tifffile import TiffPage

from medseg.images.codestream import bare, header
from medseg.images.pictures.decoders import within_limit

JPEG, JPEG_2000, WEBP = 7, 34712, 50001
_SIZED = {JPEG, JPEG_2000, WEBP}


def refuse_incomplete(page: TiffPage, size: int) -> None:
    """Refuse a page of which strips or tiles are missing, or are larger than a picture may be.

    Args:
        page: Of a file.
        size: Of the file, bytes.

    Raises:
        EOFError: Some are missing, or lie beyond the end.
        ValueError: The code of one says that it is larger than its place: it would be decoded whole before anybody
            looks, and a few bytes may stand for gigabytes.
    """
    within_limit(page.tilelength or 1, page.tilewidth or 1)
    if page.is_contiguous:
        ends = [page.dataoffsets[0] + page.nbytes]
    else:
        ends = [at + count for at, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
    rows = page.tilelength if page.is_tiled else page.rowsperstrip
    expected = across * -(-page.imagelength // rows) * (page.samplesperpixel if page.planarconfig == 2 else 1)
    if not page.is_contiguous and (len(ends) < expected or 0 in page.databytecounts[:expected]):
        raise EOFError("truncated: strips or tiles are missing")
    if max(ends[:expected]) > size:
        raise EOFError("truncated: strips or tiles lie beyond the end")
    if page.compression in _SIZED:
        width = page.tilewidth if page.is_tiled else page.imagewidth
        _refuse_larger(page, (min(rows, page.imagelength) if not page.is_tiled else rows, width))


def _refuse_larger(page: TiffPage, most: tuple[int, int]) -> None:
    for code in _codes(page):
        height, width = _said(page.compression, code)
        if height > most[0] or width > most[1]:
            raise ValueError("a strip or tile of another size than the TIFF says")


def _codes(page: TiffPage) -> Iterator[bytes]:
    handle = page.parent.filehandle
    for at, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        handle.seek(at)
        yield handle.read(count)


def _said(compression: int, code: bytes) -> tuple[int, int]:
    """Height and width that a code says; (0, 0) where it says none, and its decoder refuses it."""
    if compression == WEBP:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - of few files

        try:
            with Image.open(io.BytesIO(code), formats=["WEBP"]) as image:  # which decodes nothing yet
                return image.height, image.width
        except Image.DecompressionBombError as error:
            raise ValueError("a strip or tile of more pixels than any picture") from error
        except (UnidentifiedImageError, OSError, ValueError):
            return 0, 0
    found = header(bare(code))
    return (0, 0) if found is None else (found.height, found.width)
