"""Pictures without metadata: PNG and JPEG keep their coded pixels byte for byte."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

from PIL import Image

from medseg.datasets.deidentification.choice import Cleaned
from medseg.datasets.deidentification.markers import bare_jpeg
from medseg.images.made_up import MADE_UP
from medseg.images.refusal import RefusedError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 0x0112


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


#: Chunks that say what pixels are, and how large they may be; all others hold text, or what may be one.
_CHUNKS = {
    b"IHDR": 13,
    b"PLTE": 768,
    b"IEND": 0,
    b"tRNS": 256,
    b"gAMA": 4,
    b"cHRM": 32,
    b"sRGB": 1,
    b"sBIT": 4,
    b"pHYs": 9,
    b"cICP": 4,
    b"IDAT": 1 << 31,
}

#: The text by which a generated picture says that it is one.
_MARK = _chunk(b"tEXt", b"Comment\0" + MADE_UP.encode("ascii"))

_ANEW = "Save the picture anew with a program that you trust, or leave it out."


def clean_png(data: bytes) -> Cleaned:
    """A PNG without text, EXIF, times, colour profiles, and what follows its end; how it is turned stays.

    The mark of a generated picture stays, too.

    Raises:
        RefusedError: It is damaged.
    """
    parts, at, left_out, last = [_SIGNATURE], len(_SIGNATURE), 0, b""
    if turned := _turned(data):
        exif = _exif(turned)
    while last != b"IEND":
        if at + 12 > len(data):
            raise RefusedError("the PNG is damaged or ends early", _ANEW)
        (size,), last = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        chunk = data[at : at + 12 + size]
        if len(chunk) < 12 + size or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
            raise RefusedError("the PNG is damaged: a chunk has another checksum than it says", _ANEW)
        if size <= _CHUNKS.get(last, -1) or chunk == _MARK:
            parts.append(chunk)
        else:
            left_out += 1
        if last == b"IHDR" and turned:
            parts.append(_chunk(b"eXIf", exif))
        at += len(chunk)
    return Cleaned(b"".join(parts), changes=_removed(left_out + (at < len(data))))


def clean_jpeg(data: bytes) -> Cleaned:
    """A JPEG without EXIF, XMP, comments, previews, colour profiles; it is not coded anew; how it is turned stays.

    Raises:
        RefusedError: It is damaged.
    """
    turned = _turned(data)
    try:
        content, left_out = bare_jpeg(data, _exif(turned) if turned else b"")
    except ValueError as error:
        raise RefusedError(f"the JPEG is damaged: {error}", _ANEW) from error
    return Cleaned(content, changes=_removed(left_out))


def _removed(count: int) -> dict[str, int]:
    return {"removed": count} if count else {}


def _turned(data: bytes) -> int:
    """The EXIF orientation of a picture, which decides how it is read; 0 where it is as stored."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sizes of pixels do not matter here
            found = Image.open(io.BytesIO(data)).getexif().get(_ORIENTATION, 1)
    except Exception as error:  # whatever Pillow meets in a damaged file
        raise RefusedError("the picture cannot be read", _ANEW) from error
    return found if isinstance(found, int) and 2 <= found <= 8 else 0


def _exif(orientation: int) -> bytes:
    """EXIF of one tag, the orientation. Source: EXIF 2.32, 4.6.2."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)
