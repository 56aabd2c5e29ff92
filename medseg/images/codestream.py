"""What the header of a JPEG, JPEG-LS or JPEG 2000 codestream says, before anything is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

#: Start of frame of JPEG (SOF0 to SOF15 without DHT, JPG, DAC) and of JPEG-LS (SOF55).
#: Source: ITU-T T.81, table B.1; ITU-T T.87, table C.1.
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}

_START_OF_SCAN, _APP0, _APP14 = 0xDA, 0xE0, 0xEE

_ADOBE = 12  # bytes of Adobe's segment, of which the last tells the colours

#: How JPEG 2000 begins: bare, and as a file. Source: ITU-T T.800, A.4.1, A.5.1, I.5.1.
_WAVELETS, _BOXED = b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "


@dataclass(frozen=True)
class Coded:
    """What a codestream says that it holds.

    Attributes:
        height: Rows.
        width: Columns.
        samples: Of each pixel.
        bits: Of a sample.
        wavelets: Whether it is JPEG 2000.
    """

    height: int
    width: int
    samples: int
    bits: int
    wavelets: bool = False


def header(data: bytes) -> Coded | None:
    """Read the size out of a codestream, or a JP2 file around one; None if it holds none."""
    try:
        if data.startswith(_BOXED):
            return _of_jp2(data)
        return _of_jpeg_2000(data) if data.startswith(_WAVELETS) else _of_jpeg(data)
    except (struct.error, ValueError):
        return None


def bare(data: bytes) -> bytes:
    """A codestream out of the JP2 file around it, which DICOM does not allow; others as they are."""
    begin = data.find(_WAVELETS)
    return data[begin:] if data.startswith(_BOXED) and begin > 0 else data


def complete(data: bytes) -> bool:
    """Whether a codestream ends with its end marker, FF D9 in all three kinds; padding may follow."""
    return data.rstrip(b"\0\xff").endswith(b"\xff\xd9") or data.rstrip(b"\0").endswith(b"\xff\xd9")


def named_colours(data: bytes) -> str:
    """The colour space that a JPEG or JPEG-LS of three samples names, `RGB` or `YBR`; empty if none.

    Its components may be called R, G and B; a JFIF header stands for YBR; Adobe's says which of the two. Source:
    ITU-T T.871 and T.872.
    """
    named = ""
    for marker, content, _ in segments(data):
        if marker in _FRAMES:
            names = bytes(content[6 + 3 * n] for n in range(min(content[5], (len(content) - 6) // 3)))
            return "RGB" if names.upper() == b"RGB" else named
        if marker == _APP0 and content.startswith(b"JFIF"):
            named = "YBR"
        elif marker == _APP14 and content.startswith(b"Adobe") and len(content) >= _ADOBE and not named:
            named = "YBR" if content[_ADOBE - 1] else "RGB"
    return named


def segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Each marker segment of a JPEG up to its first scan: marker, content, and where the next begins.

    Raises:
        ValueError: No marker stands where one has to.
    """
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise ValueError("no marker")
        if data[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        end = at + 2 + max(2, length)
        yield marker, data[at + 4 : end], end
        if marker == _START_OF_SCAN:
            return
        at = end


def _of_jpeg(data: bytes) -> Coded | None:
    if not data.startswith(b"\xff\xd8"):
        return None
    for marker, content, _ in segments(data):
        if marker in _FRAMES:
            bits, height, width, samples = struct.unpack_from(">BHHB", content)
            return Coded(height, width, samples, bits)
    return None


def _of_jp2(data: bytes) -> Coded | None:
    """Of the codestream that a JP2 file holds, with as many samples as its palette, if any, makes of each pixel.

    Boxes are walked, as decoders do: any other may hold bytes that look like a codestream. Source: ITU-T T.800,
    I.5.3.4, I.5.3.5.
    """
    made = 0
    for name, begin, end in _boxes(data, 0, len(data)):
        if name == b"jp2c":
            found = _of_jpeg_2000(data, begin)
            return replace(found, samples=max(found.samples, made))
        if name == b"pclr":
            made = max(made, struct.unpack_from(">HB", data, begin)[1])
        elif name == b"cmap":
            made = max(made, (end - begin) // 4)
    return None


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Each box of a JP2 file, and within its header: name, begin and end of what it holds. Source: ITU-T T.800, I.4.

    Raises:
        ValueError: One is shorter than its own header, or longer than what it is in.
    """
    while at < end:
        length, name = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        last = at + length if length else end
        if not begin <= last <= end:
            raise ValueError("a box of another length")
        yield name, begin, last
        if name == b"jp2h":
            yield from _boxes(data, begin, last)
        at = last


def _of_jpeg_2000(data: bytes, at: int = 0) -> Coded:
    """Read its segment SIZ. Source: ITU-T T.800, A.5.1."""
    if not data.startswith(_WAVELETS, at):
        raise ValueError("no codestream")
    right, down, left, above = struct.unpack_from(">4I", data, at + 8)
    samples, bits = struct.unpack_from(">HB", data, at + 40)
    return Coded(down - above, right - left, samples, (bits & 0x7F) + 1, wavelets=True)
