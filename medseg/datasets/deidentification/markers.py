"""Metadata of JPEG, JPEG-LS and JPEG 2000: what no decoder needs is left out, coded data stay."""

from __future__ import annotations

import re
import struct

#: The next marker within coded data, but for restarts; FF before anything below C0 is data.
_NEXT = re.compile(rb"\xff+[\xc0-\xcf\xd8-\xfe]")

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_TABLES = {*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, *range(0xF7, 0xFA)}

#: Applications' segments that say what colours are: by their marker, how they begin, and how many bytes count.
_COLOURS = {0xE0: (b"JFIF\0", 14), 0xE8: (b"mrfx", 5), 0xEE: (b"Adobe", 12)}

_COMMENT_2000, _TILE_2000 = 0xFF64, 0xFF90


def bare_jpeg(data: bytes, exif: bytes = b"") -> tuple[bytes, int]:
    """A JPEG without comments, EXIF, XMP, previews, and what follows its end.

    Args:
        data: The codestream.
        exif: Put in as its only EXIF block; none if empty.

    Returns:
        The codestream, and how many segments were left out.

    Raises:
        ValueError: It is damaged: a segment does not begin where it should.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("it does not begin as a JPEG does")
    parts, at, left_out = [data[:2]], 2, 0
    if exif:
        parts.append(_segment(0xE1, b"Exif\0\0" + exif))
    while at < len(data):
        while data[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if at + 2 > len(data) or data[at] != 0xFF:
            raise ValueError("a segment of the JPEG does not begin where it should")
        marker = data[at + 1]
        if marker == _END:
            parts.append(data[at : at + 2])
            return b"".join(parts), left_out + (at + 2 < len(data.rstrip(b"\0")))
        body = _body(data, at)
        at += 4 + len(body)
        kept = body if marker in _TABLES else _needed(marker, body)
        left_out += kept is None or len(kept) < len(body)
        if kept is not None:
            parts.append(_segment(marker, kept))
        if marker == _SCAN:
            found = _NEXT.search(data, at)
            end = found.start() if found else len(data)
            parts.append(data[at:end])
            at = end
    return b"".join(parts), left_out


def bare_jpeg2000(data: bytes) -> tuple[bytes, int]:
    """A codestream of JPEG 2000 without comments in its main header, and what follows its end; as `bare_jpeg`."""
    if data[:2] != b"\xff\x4f":
        raise ValueError("it does not begin as a JPEG 2000 codestream does")
    parts, at, left_out = [data[:2]], 2, 0
    while (marker := int.from_bytes(data[at : at + 2])) != _TILE_2000:
        body = _body(data, at)
        if marker == _COMMENT_2000:
            left_out += 1
        else:
            parts.append(data[at : at + 4 + len(body)])
        at += 4 + len(body)
    end = data.rfind(b"\xff\xd9", at) + 2
    return b"".join([*parts, data[at:end] if end > 1 else data[at:]]), left_out


def _body(data: bytes, at: int) -> bytes:
    (length,) = struct.unpack_from(">H", data, at + 2) if at + 4 <= len(data) else (0,)
    if length < 2 or at + 2 + length > len(data):
        raise ValueError("a segment of the JPEG ends beyond the file")
    return data[at + 4 : at + 2 + length]


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _needed(marker: int, body: bytes) -> bytes | None:
    """What of an application's segment says what colours are; None of others."""
    begin, size = _COLOURS.get(marker, (b"", 0))
    if not begin or not body.startswith(begin):
        return None
    return body[:12] + b"\0\0" if marker == 0xE0 else body[:size]  # without the preview
