"""Broken PNG, JPEG, TIFF, BMP and NumPy pictures, and JPEG 2000, which is refused."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from medseg.testing.broken.archives import npy
from medseg.testing.broken.form import Files, Kind, Make
from medseg.testing.broken.volumes import deflated_zeros

SIZE = (24, 32)
"""(H, W) of a sound picture."""


def pixels(draw: np.random.Generator) -> NDArray[np.uint8]:
    """Something bright on noise."""
    found = draw.normal(60, 10, SIZE)
    found[8:16, 10:20] += 120
    return np.rint(found).clip(0, 255).astype(np.uint8)


def encoded(array: NDArray[Any], form: str, **options: Any) -> bytes:
    """What Pillow writes."""
    made = io.BytesIO()
    Image.fromarray(array).save(made, form, **options)
    return made.getvalue()


def _chunk(name: bytes, data: bytes, *, length: int | None = None, broken: bool = False) -> bytes:
    check = zlib.crc32(name + data) ^ broken
    return struct.pack(">I", len(data) if length is None else length) + name + data + struct.pack(">I", check)


_PNG = b"\x89PNG\r\n\x1a\n"


def _png(
    draw: np.random.Generator,
    size: tuple[int, int] = (SIZE[1], SIZE[0]),
    kind: tuple[int, ...] = (8, 0, 0, 0, 0),
    more: bytes = b"",
    rows: bytes | None = None,
) -> bytes:
    raw = b"".join(b"\0" + row.tobytes() for row in pixels(draw)) if rows is None else rows
    head = _chunk(b"IHDR", struct.pack(">II", *size) + bytes(kind))
    return _PNG + head + more + _chunk(b"IDAT", zlib.compress(raw)) + _chunk(b"IEND", b"")


def _pngs(**how: Any) -> Make:
    return lambda draw: {".png": _png(draw, **how)}


def _png_bomb(size: tuple[int, int]) -> Make:
    def make(draw: np.random.Generator) -> Files:
        del draw
        head = _chunk(b"IHDR", struct.pack(">II", *size) + bytes((8, 0, 0, 0, 0)))
        return {
            ".png": _PNG + head + _chunk(b"IDAT", deflated_zeros(b"", 300 << 20, 15)) + _chunk(b"IEND", b"")
        }

    return make


_PNG_LIES: Mapping[str, Make] = {
    "huge size": _pngs(size=(2**31 - 1, 2**31 - 1)),
    "size beyond its format": _pngs(size=(2**32 - 1, 1)),
    "large size and few bytes": _pngs(size=(20_000, 20_000)),
    "a width of zero": _pngs(size=(0, 24)),
    "a height of zero": _pngs(size=(32, 0)),
    "more rows than there are": _pngs(size=(32, 240)),
    "fewer rows than there are": _pngs(size=(32, 2)),
    "another width": _pngs(size=(31, 24)),
    "17 bits": _pngs(kind=(17, 0, 0, 0, 0)),
    "16 bits of half the bytes": _pngs(kind=(16, 0, 0, 0, 0)),
    "colours of a third of the bytes": _pngs(kind=(8, 2, 0, 0, 0)),
    "a palette that is missing": _pngs(kind=(8, 3, 0, 0, 0)),
    "a palette too short": _pngs(kind=(8, 3, 0, 0, 0), more=_chunk(b"PLTE", bytes(3))),
    "a kind of colour that is none": _pngs(kind=(8, 5, 0, 0, 0)),
    "another way of packing": _pngs(kind=(8, 0, 9, 0, 0)),
    "another filter": _pngs(kind=(8, 0, 0, 9, 0)),
    "interlaced, it says": _pngs(kind=(8, 0, 0, 0, 1)),
    "a filter of rows that is none": _pngs(rows=b"\x09" * 33 * 24),
    "no rows": _pngs(rows=b""),
    "a chunk of 2 GB": _pngs(more=_chunk(b"tEXt", b"a", length=2**31 - 1)),
    "a chunk of 4 GB": _pngs(more=_chunk(b"tEXt", b"a", length=2**32 - 1)),
    "a chunk with a wrong check sum": _pngs(more=_chunk(b"gAMA", bytes(4), broken=True)),
    "a chunk that must be known and is not": _pngs(more=_chunk(b"ABCD", b"x")),
    "a text that unpacks to 300 MB": _pngs(
        more=_chunk(b"zTXt", b"a\0\0" + deflated_zeros(b"", 300 << 20, 15))
    ),
    "a profile that unpacks to 300 MB": _pngs(
        more=_chunk(b"iCCP", b"a\0\0" + deflated_zeros(b"", 300 << 20, 15))
    ),
    "a profile that is none": _pngs(more=_chunk(b"iCCP", b"a\0\0" + zlib.compress(b"x" * 200))),
    "EXIF that is none": _pngs(more=_chunk(b"eXIf", b"II*\0\xff\xff\xff\xff" + bytes(40))),
    "ten thousand chunks": _pngs(more=_chunk(b"tEXt", b"a\0b") * 10_000),
    "an animation": _pngs(more=_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))),
    "transparency of another length": _pngs(more=_chunk(b"tRNS", bytes(7))),
    "a second header": _pngs(more=_chunk(b"IHDR", struct.pack(">II", 9, 9) + bytes((8, 0, 0, 0, 0)))),
    "a bomb of few rows": _png_bomb((32, 24)),
    "a bomb of one column": _png_bomb((1, 2**31 - 1)),
    "one value throughout": lambda _: {".png": encoded(np.full(SIZE, 9, np.uint8), "PNG")},
    "one pixel": lambda draw: {".png": encoded(pixels(draw)[:1, :1], "PNG")},
    "a needle": lambda draw: {".png": encoded(np.resize(pixels(draw), (1, 30_000)), "PNG")},
}


def _jpeg(draw: np.random.Generator) -> bytes:
    return encoded(pixels(draw), "JPEG", quality=90)


def _jpegs(change: Callable[[bytes], bytes]) -> Make:
    return lambda draw: {".jpg": change(_jpeg(draw))}


def _frame(raw: bytes, at: int, new: bytes) -> bytes:
    """Change what stands so many bytes behind the mark of the frame."""
    place = raw.index(b"\xff\xc0") + at
    return raw[:place] + new + raw[place + len(new) :]


def _segment(mark: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, mark, len(data) + 2) + data


def _after_start(more: bytes) -> Callable[[bytes], bytes]:
    return lambda raw: raw[:2] + more + raw[2:]


_EXIF = b"Exif\0\0"
_JPEG_LIES: Mapping[str, Make] = {
    "huge size": _jpegs(lambda raw: _frame(raw, 5, b"\xff\xff\xff\xff")),
    "a height of zero": _jpegs(lambda raw: _frame(raw, 5, b"\0\0")),
    "a width of zero": _jpegs(lambda raw: _frame(raw, 7, b"\0\0")),
    "more rows than there are": _jpegs(lambda raw: _frame(raw, 5, b"\x04\0")),
    "12 bits": _jpegs(lambda raw: _frame(raw, 4, b"\x0c")),
    "255 components": _jpegs(lambda raw: _frame(raw, 9, b"\xff")),
    "no components": _jpegs(lambda raw: _frame(raw, 9, b"\0")),
    "sampling of 15 by 15": _jpegs(lambda raw: _frame(raw, 11, b"\xff")),
    "a table that is missing": _jpegs(lambda raw: _frame(raw, 12, b"\x03")),
    "progressive, it says": _jpegs(lambda raw: _frame(raw, 1, b"\xc2")),
    "lossless, it says": _jpegs(lambda raw: _frame(raw, 1, b"\xc3")),
    "arithmetic coding, it says": _jpegs(lambda raw: _frame(raw, 1, b"\xc9")),
    "EXIF that points behind its end": _jpegs(_after_start(_segment(0xE1, _EXIF + b"II*\0\xff\xff\xff\x7f"))),
    "EXIF that points to itself": _jpegs(
        _after_start(
            _segment(0xE1, _EXIF + b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0")
        )
    ),
    "EXIF that turns it by 99": _jpegs(
        _after_start(
            _segment(0xE1, _EXIF + b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0")
        )
    ),
    "a profile in pieces that are missing": _jpegs(
        _after_start(_segment(0xE2, b"ICC_PROFILE\0\x01\xff" + b"x" * 90))
    ),
    "a mark for Adobe that is short": _jpegs(_after_start(_segment(0xEE, b"Adobe"))),
    "ten thousand comments": _jpegs(_after_start(_segment(0xFE, b"x") * 10_000)),
    "a megabyte of filling": _jpegs(_after_start(b"\xff" * 1_000_000)),
    "no end": _jpegs(lambda raw: raw[:-2]),
    "two pictures": _jpegs(lambda raw: raw + raw),
    "a thousand scans": _jpegs(lambda raw: raw[:-2] + raw[raw.index(b"\xff\xda") : -2] * 1000 + raw[-2:]),
}


def _tiff(array: NDArray[Any], *, change: Mapping[int, tuple[int, int, bytes]] = {}, **options: Any) -> bytes:
    """What tifffile writes; entries of its directory are put in place of others: (type, count, value)."""
    made = io.BytesIO()
    tifffile.imwrite(made, array, byteorder="<", metadata=None, **options)
    raw = bytearray(made.getvalue())
    (place,) = struct.unpack_from("<I", raw, 4)
    (count,) = struct.unpack_from("<H", raw, place)
    for number in range(count):
        at = place + 2 + 12 * number
        (code,) = struct.unpack_from("<H", raw, at)
        if code in change:
            kind, many, value = change[code]
            raw[at + 2 : at + 12] = struct.pack("<HI", kind, many) + value.ljust(4, b"\0")[:4]
    return bytes(raw)


def _tiffs(change: Mapping[int, tuple[int, int, bytes]] | None = None, **options: Any) -> Make:
    return lambda draw: {".tif": _tiff(pixels(draw), change=change or {}, **options)}


def _long(number: int) -> tuple[int, int, bytes]:
    return (4, 1, struct.pack("<I", number))


def _looped(draw: np.random.Generator) -> Files:
    raw = bytearray(_tiff(pixels(draw)))
    (place,) = struct.unpack_from("<I", raw, 4)
    (count,) = struct.unpack_from("<H", raw, place)
    struct.pack_into("<I", raw, place + 2 + 12 * count, place)
    return {".tif": bytes(raw)}


def _directory_at(place: int) -> Make:
    def make(draw: np.random.Generator) -> Files:
        raw = _tiff(pixels(draw))
        return {".tif": raw[:4] + struct.pack("<I", place) + raw[8:]}

    return make


_TIFF_LIES: Mapping[str, Make] = {
    "huge size": _tiffs({256: _long(2**31), 257: _long(2**31)}),
    "large size and few bytes": _tiffs({256: _long(20_000), 257: _long(20_000)}),
    "a width of zero": _tiffs({256: _long(0)}),
    "a height of zero": _tiffs({257: _long(0)}),
    "another width": _tiffs({256: _long(33)}),
    "a width that is a text": _tiffs({256: (2, 4, b"abc\0")}),
    "no widths": _tiffs({256: (4, 0, b"")}),
    "a million widths": _tiffs({256: (4, 1_000_000, b"\x08\0\0\0")}),
    "three bits": _tiffs({258: (3, 1, b"\x03\0")}),
    "no bits": _tiffs({258: (3, 1, b"\0\0")}),
    "sixty thousand bits": _tiffs({258: (3, 1, b"\xff\xff")}),
    "64 bits of an eighth of the bytes": _tiffs({258: (3, 1, b"\x40\0")}),
    "packing that is none": _tiffs({259: (3, 1, b"\xff\x7f")}),
    "packed by LZW, it says": _tiffs({259: (3, 1, b"\x05\0")}),
    "packed by JPEG, it says": _tiffs({259: (3, 1, b"\x07\0")}),
    "packed by deflate, it says": _tiffs({259: (3, 1, b"\x08\0")}),
    "packed by CCITT, it says": _tiffs({259: (3, 1, b"\x04\0")}),
    "packed by LERC, it says": _tiffs({259: (3, 1, struct.pack("<H", 34887))}),
    "packed by Zstandard, it says": _tiffs({259: (3, 1, struct.pack("<H", 50000))}),
    "packed by JPEG 2000, it says": _tiffs({259: (3, 1, struct.pack("<H", 34712))}),
    "colours of a kind that is none": _tiffs({262: (3, 1, b"\xff\xff")}),
    "a palette that is missing": _tiffs({262: (3, 1, b"\x03\0")}),
    "strips that begin behind its end": _tiffs({273: _long(2**31)}),
    "strips of no bytes": _tiffs({279: _long(0)}),
    "strips of 4 GB": _tiffs({279: _long(2**32 - 1)}),
    "a million strips": _tiffs({273: (4, 1_000_000, b"\x08\0\0\0"), 279: (4, 1_000_000, b"\x08\0\0\0")}),
    "no rows in a strip": _tiffs({278: _long(0)}),
    "sixty thousand samples": _tiffs({277: (3, 1, b"\xff\xff")}),
    "no samples": _tiffs({277: (3, 1, b"\0\0")}),
    "numbers of a kind that is none": _tiffs({339: (3, 1, b"\x63\0")}, extrasamples=None),
    "a description of 4 GB": _tiffs({270: (2, 2**32 - 1, b"\x08\0\0\0")}, description="x" * 20),
    "a description of ImageJ": _tiffs(description="ImageJ=1.53\nimages=999999999\nslices=999999999\n"),
    "a description of OME": _tiffs(
        description="<?xml version='1.0'?><OME><Image><Pixels SizeX='999999999'/></Image></OME>"
    ),
    "a description in shapes": _tiffs(description='{"shape": [999999999, 999999999]}'),
    "a directory that leads to itself": _looped,
    "a directory behind its end": _directory_at(2**31),
    "a directory in its head": _directory_at(0),
    "tiles, packed": lambda draw: {".tif": _tiff(pixels(draw), tile=(16, 16), compression="zlib")},
    "tiles of no width": lambda draw: {".tif": _tiff(pixels(draw), tile=(16, 16), change={322: _long(0)})},
    "tiles of huge width": lambda draw: {
        ".tif": _tiff(pixels(draw), tile=(16, 16), change={322: _long(2**31)})
    },
    "a bomb": lambda _: {
        ".tif": _tiff(np.zeros((24, 32), np.uint8), compression="zlib") + deflated_zeros(b"", 300 << 20, 15)
    },
    "floating numbers that are none": lambda _: {".tif": _tiff(np.full(SIZE, np.nan, np.float32))},
    "complex numbers": lambda draw: {".tif": _tiff(pixels(draw).astype(np.complex64))},
    "a thousand pages": lambda draw: {
        ".tif": _tiff(np.stack([pixels(draw)] * 1000), photometric="minisblack")
    },
    "big TIFF": lambda draw: {".tif": _big(pixels(draw))},
}


def _big(array: NDArray[Any]) -> bytes:
    made = io.BytesIO()
    tifffile.imwrite(made, array, bigtiff=True, metadata=None)
    raw = bytearray(made.getvalue())
    struct.pack_into("<Q", raw, struct.unpack_from("<Q", raw, 8)[0], 2**60)
    return bytes(raw)


def _bmps(at: int, form: str, value: int) -> Make:
    def make(draw: np.random.Generator) -> Files:
        raw = bytearray(encoded(pixels(draw), "BMP"))
        struct.pack_into(form, raw, at, value)
        return {".bmp": bytes(raw)}

    return make


_BMP_LIES: Mapping[str, Make] = {
    "huge width": _bmps(18, "<i", 2**31 - 1),
    "negative width": _bmps(18, "<i", -32),
    "a width of zero": _bmps(18, "<i", 0),
    "negative height": _bmps(22, "<i", -24),
    "the most negative height": _bmps(22, "<i", -(2**31)),
    "large height": _bmps(22, "<i", 30_000),
    "pixels that begin behind its end": _bmps(10, "<I", 2**32 - 1),
    "pixels that begin in its head": _bmps(10, "<I", 0),
    "a header of huge size": _bmps(14, "<I", 2**32 - 1),
    "a header of no size": _bmps(14, "<I", 0),
    "no bits": _bmps(28, "<H", 0),
    "999 bits": _bmps(28, "<H", 999),
    "32 bits of a quarter of the bytes": _bmps(28, "<H", 32),
    "packed by runs, it says": _bmps(30, "<I", 1),
    "packed in a way that is none": _bmps(30, "<I", 99),
    "a palette of 4 billion": _bmps(46, "<I", 2**32 - 1),
}


def _npys(header: str) -> Make:
    return lambda draw: {".npy": npy(pixels(draw), header)}


_NPY_LIES: Mapping[str, Make] = {
    "huge size": _npys("{'descr': '|u1', 'fortran_order': False, 'shape': (999999999, 999999999), }\n"),
    "negative sizes": _npys("{'descr': '|u1', 'fortran_order': False, 'shape': (-24, -32), }\n"),
    "objects": _npys("{'descr': '|O', 'fortran_order': False, 'shape': (24, 4), }\n"),
    "a header of brackets": _npys("[" * 9000),
    "a header of signs": _npys("-" * 9000 + "1"),
    "a header of 4 GB": lambda draw: {".npy": b"\x93NUMPY\x02\0" + b"\xff" * 4 + pixels(draw).tobytes()},
    "ten axes": _npys("{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,24,32), }\n"),
    "complex numbers": lambda draw: {".npy": npy(pixels(draw).astype(np.complex64))},
    "no numbers": lambda _: {".npy": npy(np.full(SIZE, np.nan))},
    "a pickle": lambda _: {".npy": npy(np.array([{"a": 1}], dtype=object))},
}


def _jp2(draw: np.random.Generator) -> Files:
    return {".jp2": bytes(imagecodecs.jpeg2k_encode(pixels(draw), level=0, codecformat="jp2"))}


PNG = Kind(".png", lambda draw: {".png": _png(draw)}, _PNG_LIES)
JPEG = Kind(".jpg", lambda draw: {".jpg": _jpeg(draw)}, _JPEG_LIES)
TIFF = Kind(
    ".tif",
    lambda draw: {".tif": _tiff(pixels(draw), compression=[None, "zlib", "lzw"][int(draw.integers(3))])},
    _TIFF_LIES,
)
BMP = Kind(".bmp", lambda draw: {".bmp": encoded(pixels(draw), "BMP")}, _BMP_LIES)
NPY = Kind(".npy", lambda draw: {".npy": npy(pixels(draw))}, _NPY_LIES)
JPEG_2000 = Kind(".jp2", _jp2, {"sound, but of a kind that is not read": _jp2})
