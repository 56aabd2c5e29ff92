"""Broken DICOM pictures, made element by element, so that each may say what it likes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from medseg.testing.broken.elements import (
    END,
    END_ITEM,
    ENDLESS,
    HEADERS,
    Element,
    coded,
    element,
    item,
)
from medseg.testing.broken.form import Files, Kind, Make
from medseg.testing.broken.pictures import encoded, pixels
from medseg.testing.broken.volumes import deflated_zeros

LITTLE, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED, RLE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"
JPEG, JPEG_LS, JPEG_2000 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"
LOSSLESS, HTJ2K = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.201"


def uid(draw: np.random.Generator) -> str:
    """A UID of its own."""
    return f"2.25.{int(draw.integers(10**17, 10**18))}"


def described(draw: np.random.Generator, shape: tuple[int, int], bits: int = 8) -> dict[int, Element]:
    """Elements of a sound picture, by their tags."""
    return {
        0x00080016: ("UI", "1.2.840.10008.5.1.4.1.1.7"),
        0x00080018: ("UI", uid(draw)),
        0x00080060: ("CS", "OT"),
        0x00100010: ("PN", "Test^Invented"),
        0x00100020: ("LO", f"p{int(draw.integers(10**9))}"),
        0x0020000D: ("UI", uid(draw)),
        0x0020000E: ("UI", uid(draw)),
        0x00280002: ("US", 1),
        0x00280004: ("CS", "MONOCHROME2"),
        0x00280010: ("US", shape[0]),
        0x00280011: ("US", shape[1]),
        0x00280100: ("US", bits),
        0x00280101: ("US", bits),
        0x00280102: ("US", bits - 1),
        0x00280103: ("US", 0),
    }


def written(
    elements: Mapping[int, Element],
    last: bytes,
    syntax: str = LITTLE,
    *,
    meta: bytes | None = None,
    head: bool = True,
) -> bytes:
    """A file of these elements, and whatever comes last."""
    body = b"".join(element(tag, vr, coded(value)) for tag, (vr, value) in sorted(elements.items())) + last
    if syntax == DEFLATED:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        body = packer.compress(body) + packer.flush()
    group = element(0x00020001, "OB", b"\0\x01")
    group += element(0x00020002, "UI", coded("1.2.840.10008.5.1.4.1.1.7"))
    group += element(0x00020003, "UI", coded("2.25.1")) + element(0x00020010, "UI", coded(syntax))
    group = element(0x00020000, "UL", struct.pack("<I", len(group))) + group if meta is None else meta
    return (bytes(128) + b"DICM" + group if head else b"") + body


def plain(array: NDArray[Any]) -> bytes:
    """Pixel data as they are."""
    return element(0x7FE00010, "OW" if array.itemsize > 1 else "OB", array.tobytes())


def fragments(*parts: bytes, end: bytes = END, offsets: bytes = b"") -> bytes:
    """Pixel data in fragments."""
    whole = b"".join(item(part + b"\0" * (len(part) % 2)) for part in parts)
    return element(0x7FE00010, "OB", item(offsets) + whole + end, ENDLESS)


def _changed(changes: Mapping[int, Element | None]) -> Make:
    """A picture with other elements, or without some."""

    def make(draw: np.random.Generator) -> Files:
        array = pixels(draw)
        found = {**described(draw, array.shape), **changes}
        return {".dcm": written({tag: each for tag, each in found.items() if each is not None}, plain(array))}

    return make


def _last(change: Callable[[NDArray[np.uint8]], bytes], syntax: str = LITTLE) -> Make:
    """A picture with other pixel data."""

    def make(draw: np.random.Generator) -> Files:
        array = pixels(draw)
        return {".dcm": written(described(draw, array.shape), change(array), syntax)}

    return make


def _before(more: bytes) -> Make:
    """A picture with something between its elements and its pixel data."""
    return _last(lambda array: more + plain(array))


def _deep(levels: int, *, defined: bool = False) -> bytes:
    if not defined:
        opened = element(0x00081140, "SQ", b"", ENDLESS) + item(b"", ENDLESS)
        return opened * levels + (END_ITEM + END) * levels
    found = b""
    for _ in range(levels):
        found = element(0x00081140, "SQ", item(found))
    return found


_BODY: Mapping[str, Make] = {
    "no pixel data": _last(lambda _: b""),
    "pixel data of no bytes": _last(lambda _: element(0x7FE00010, "OB", b"")),
    "pixel data longer than the file": _last(lambda a: element(0x7FE00010, "OB", a.tobytes(), 2**31)),
    "pixel data of odd length": _last(lambda a: element(0x7FE00010, "OB", a.tobytes()[:-1], a.size - 1)),
    "pixel data a byte short": _last(lambda a: element(0x7FE00010, "OB", a.tobytes()[:-2])),
    "pixel data a megabyte longer": _last(lambda a: element(0x7FE00010, "OB", a.tobytes() + bytes(1 << 20))),
    "pixel data of endless length": _last(lambda a: element(0x7FE00010, "OB", a.tobytes(), ENDLESS)),
    "floating pixel data": _last(lambda a: element(0x7FE00008, "OF", a.astype("<f4").tobytes())),
    "pixel data twice": _last(lambda a: plain(a) + plain(a)),
    "pixel data as text": _last(lambda a: element(0x7FE00010, "UT", a.tobytes())),
    "a sequence of 50 levels": _before(_deep(50)),
    "a sequence of 900 levels": _before(_deep(900)),
    "a sequence of 5,000 levels": _before(_deep(5000)),
    "a sequence of 100,000 levels": _before(_deep(100_000)),
    "a sequence of 900 levels of known length": _before(_deep(900, defined=True)),
    "a sequence that never ends": _before(element(0x00081140, "SQ", item(b"", ENDLESS) * 100, ENDLESS)),
    "a sequence longer than the file": _before(element(0x00081140, "SQ", b"", 2**31 - 2)),
    "an item longer than its sequence": _before(element(0x00081140, "SQ", item(b"", 2**30))),
    "a sequence of no items": _before(element(0x00081140, "SQ", b"no item!")),
    "ten thousand items": _before(element(0x00081140, "SQ", item(b"") * 10_000)),
    "an element longer than the file": _before(element(0x00204000, "UT", b"x", 2**31)),
    "an element of odd length": _before(element(0x00204000, "LT", b"xyz", 3)),
    "a VR that is none": _before(element(0x00204000, "ZZ", b"xy")),
    "a VR that is no text": _before(element(0x00204000, "\xff\x00", b"xy")),
    "ends that close nothing": _before(END_ITEM + END + END_ITEM),
    "elements in the wrong order": _before(element(0x00080060, "CS", b"MR")),
    "an element twice": _before(element(0x00280010, "US", b"\1\0") * 2),
    "ten thousand elements": _before(b"".join(element(0x00290000 + n, "LO", b"ab") for n in range(10_000))),
}


def _fragmented(
    syntax: str, code: Callable[[NDArray[np.uint8]], bytes], change: Callable[[bytes], bytes]
) -> Make:
    return _last(lambda array: change(code(array)), syntax)


def _rle(array: NDArray[np.uint8]) -> bytes:
    runs = b"".join(b"\x1f" + row.tobytes() for row in array)  # 32 bytes as they are
    return struct.pack("<16I", 1, 64, *[0] * 14) + runs


_CODES: Mapping[str, tuple[str, Callable[[NDArray[np.uint8]], bytes]]] = {
    "RLE": (RLE, _rle),
    "JPEG": (JPEG, lambda a: encoded(a, "JPEG", quality=95)),
    "JPEG-LS": (JPEG_LS, lambda a: bytes(imagecodecs.jpegls_encode(a))),
    "JPEG 2000": (JPEG_2000, lambda a: bytes(imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k"))),
    "lossless JPEG": (LOSSLESS, lambda a: bytes(imagecodecs.jpeg8_encode(a, lossless=True))),
}

_IN_FRAGMENTS: Mapping[str, Callable[[bytes], bytes]] = {
    "fragments that never end": lambda raw: fragments(raw, end=b""),
    "a hundred thousand empty fragments": lambda raw: fragments(*[b""] * 100_000, raw),
    "no fragments": lambda _: fragments(),
    "an empty fragment": lambda _: fragments(b""),
    "a fragment longer than the file": lambda raw: element(
        0x7FE00010, "OB", item(b"") + item(raw, 2**31 - 2) + END, ENDLESS
    ),
    "a fragment of endless length": lambda raw: element(
        0x7FE00010, "OB", item(b"") + item(raw, ENDLESS) + END, ENDLESS
    ),
    "no table of offsets": lambda raw: element(
        0x7FE00010, "OB", item(raw + b"\0" * (len(raw) % 2)) + END, ENDLESS
    ),
    "offsets behind its end": lambda raw: fragments(raw, offsets=struct.pack("<II", 2**31, 2**32 - 1)),
    "offsets of an odd length": lambda raw: fragments(raw, offsets=b"\1\2\3"),
    "two frames in fragments": lambda raw: fragments(raw, raw),
    "half a code": lambda raw: fragments(raw[: len(raw) // 2]),
    "a code of noise": lambda raw: fragments(raw[:20] + bytes(range(256)) * 4),
    "a code without fragments": lambda raw: element(0x7FE00010, "OB", raw),
    "a code of a hundred pieces": lambda raw: fragments(*(raw[n : n + 8] for n in range(0, len(raw), 8))),
}


def _code_of_other_size(name: str, size: tuple[int, int]) -> Make:
    syntax, code = _CODES[name]
    return _last(lambda array: fragments(code(np.resize(array, size))), syntax)


def _huge_code(name: str) -> Make:
    """A code whose own header says a size that is huge."""
    syntax, code = _CODES[name]

    def changed(raw: bytes) -> bytes:
        found = bytearray(raw)
        if name == "RLE":
            found[:64] = struct.pack("<16I", 2**32 - 1, *[2**31] * 15)
        elif name == "JPEG 2000":
            place = raw.index(b"\xff\x51") + 6
            found[place : place + 8] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
        else:
            mark = next(mark for mark in (b"\xff\xc0", b"\xff\xc3", b"\xff\xf7", b"\xff\xc1") if mark in raw)
            place = raw.index(mark) + 5
            found[place : place + 4] = b"\xff\xff\xff\xff"
        return bytes(found)

    return _last(lambda array: fragments(changed(code(array))), syntax)


def _syntax(syntax: str, *, meta: bytes | None = None, head: bool = True) -> Make:
    def make(draw: np.random.Generator) -> Files:
        array = pixels(draw)
        return {".dcm": written(described(draw, array.shape), plain(array), syntax, meta=meta, head=head)}

    return make


def _deflated_bomb(draw: np.random.Generator) -> Files:
    array = pixels(draw)
    whole = written(described(draw, array.shape), plain(array), head=False)
    return {".dcm": written({}, b"", DEFLATED)[:-2] + deflated_zeros(whole, 300 << 20, -15)}


_FILE: Mapping[str, Make] = {
    "a transfer syntax that is none": _syntax("1.2.3.4"),
    "no transfer syntax": _syntax("", meta=b""),
    "implicit, it says": _syntax(IMPLICIT),
    "big endian, it says": _syntax(BIG),
    "RLE, it says": _syntax(RLE),
    "JPEG, it says": _syntax(JPEG),
    "HTJ2K, it says": _syntax(HTJ2K),
    "MPEG, it says": _syntax("1.2.840.10008.1.2.4.100"),
    "a group of meta information of huge length": _syntax(
        LITTLE, meta=element(0x00020000, "UL", struct.pack("<I", 2**32 - 1))
    ),
    "a head alone": lambda _: {".dcm": bytes(128) + b"DICM"},
    "no head": _syntax(LITTLE, head=False),
    "a preamble cut short": lambda _: {".dcm": bytes(60) + b"DICM"},
    "deflated": _syntax(DEFLATED),
    "a deflated picture with a bomb behind it": _deflated_bomb,
}


def _sound(draw: np.random.Generator) -> Files:
    chosen = [None, *_CODES][int(draw.integers(len(_CODES) + 1))]
    array = pixels(draw)
    found = {**described(draw, array.shape), 0x00281050: ("DS", "128"), 0x00281051: ("DS", "256")}
    if chosen is None:
        return {".dcm": written(found, plain(array))}
    syntax, code = _CODES[chosen]
    return {".dcm": written(found, fragments(code(array)), syntax)}


_LIES: Mapping[str, Make] = {
    **{why: _changed(changes) for why, changes in HEADERS.items()},
    **_BODY,
    **_FILE,
    **{
        f"{why} ({name})": _fragmented(syntax, code, change)
        for name, (syntax, code) in _CODES.items()
        for why, change in _IN_FRAGMENTS.items()
    },
    **{f"a code of fewer rows ({name})": _code_of_other_size(name, (8, 32)) for name in _CODES},
    **{
        f"a code of more rows ({name})": _code_of_other_size(name, (96, 32))
        for name in _CODES
        if name != "RLE"
    },
    **{f"a code of huge size ({name})": _huge_code(name) for name in _CODES},
}

DICOM = Kind(".dcm", _sound, _LIES)
