"""Elements of DICOM as bytes, each of which may say what it likes, and what is wrong with those of a header."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

_LONG = {"OB", "OW", "OF", "OD", "OL", "OV", "SQ", "UC", "UN", "UR", "UT", "SV", "UV"}
ENDLESS = 0xFFFFFFFF

Element = tuple[str, Any]
"""VR and value: bytes, text, or whole numbers of US."""


def element(tag: int, vr: str, data: bytes, length: int | None = None) -> bytes:
    """One element in explicit VR, little endian, of a length that may be a lie."""
    data += b"\0" * (len(data) % 2) if length is None else b""
    size = len(data) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode("latin-1").ljust(2, b" ")[:2]
    if vr in _LONG:
        return head + struct.pack("<HI", 0, size) + data
    return head + struct.pack("<H", size & 0xFFFF) + data


def item(data: bytes, length: int | None = None) -> bytes:
    """One item of a sequence, or one fragment of pixel data."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(data) if length is None else length) + data


END_ITEM = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def coded(value: Any) -> bytes:
    """The bytes of a value."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("latin-1") + b" " * (len(value) % 2)
    numbers = value if isinstance(value, tuple | list) else (value,)
    return b"".join(struct.pack("<H", int(number) & 0xFFFF) for number in numbers)


HEADERS: Mapping[str, Mapping[int, Element | None]] = {
    "no rows": {0x00280010: None},
    "no columns": {0x00280011: None},
    "rows of zero": {0x00280010: ("US", 0)},
    "huge size": {0x00280010: ("US", 65535), 0x00280011: ("US", 65535)},
    "more rows than there are": {0x00280010: ("US", 48)},
    "fewer rows than there are": {0x00280010: ("US", 3)},
    "rows as two numbers": {0x00280010: ("US", (24, 24))},
    "rows as a text": {0x00280010: ("LO", "many")},
    "rows of no bytes": {0x00280010: ("US", b"")},
    "rows as a signed number": {0x00280010: ("SS", 0xFFFF)},
    "rows as a floating number": {0x00280010: ("FD", struct.pack("<d", float("nan")))},
    "rows as a sequence": {0x00280010: ("SQ", b"")},
    "no bits": {0x00280100: None},
    "zero bits": {0x00280100: ("US", 0), 0x00280101: ("US", 0), 0x00280102: ("US", 0)},
    "sixty thousand bits": {0x00280100: ("US", 65535)},
    "16 bits of half the bytes": {0x00280100: ("US", 16), 0x00280101: ("US", 16), 0x00280102: ("US", 15)},
    "one bit": {0x00280100: ("US", 1), 0x00280101: ("US", 1), 0x00280102: ("US", 0)},
    "12 bits in 8": {0x00280101: ("US", 12)},
    "a high bit that is none": {0x00280102: ("US", 99)},
    "no bits stored": {0x00280101: ("US", 0)},
    "a sign of 7": {0x00280103: ("US", 7)},
    "no sign": {0x00280103: None},
    "no samples": {0x00280002: ("US", 0)},
    "three samples of a third of the bytes": {0x00280002: ("US", 3), 0x00280004: ("CS", "RGB")},
    "sixty thousand samples": {0x00280002: ("US", 65535)},
    "no photometric interpretation": {0x00280004: None},
    "a photometric interpretation that is none": {0x00280004: ("CS", "NONSENSE")},
    "a palette that is missing": {0x00280004: ("CS", "PALETTE COLOR")},
    "a palette too short": {
        0x00280004: ("CS", "PALETTE COLOR"),
        **{0x00281101 + n: ("US", (256, 0, 16)) for n in range(3)},
        **{0x00281201 + n: ("OW", bytes(6)) for n in range(3)},
    },
    "colours of a video, it says": {0x00280004: ("CS", "YBR_PARTIAL_420"), 0x00280002: ("US", 3)},
    "minus five frames": {0x00280008: ("IS", "-5")},
    "no frames": {0x00280008: ("IS", "0")},
    "two billion frames": {0x00280008: ("IS", "2147483647")},
    "frames of a thousand digits": {0x00280008: ("IS", "9" * 1000)},
    "frames that are no number": {0x00280008: ("IS", "many")},
    "two frames of one": {0x00280008: ("IS", "2")},
    "a slope that is no number": {0x00281053: ("DS", "nan"), 0x00281052: ("DS", "0")},
    "an infinite slope": {0x00281053: ("DS", "inf"), 0x00281052: ("DS", "0")},
    "a slope of zero": {0x00281053: ("DS", "0"), 0x00281052: ("DS", "0")},
    "a huge slope": {0x00281053: ("DS", "1e308"), 0x00281052: ("DS", "1e308")},
    "a slope of nonsense": {0x00281053: ("DS", "1,5"), 0x00281052: ("DS", "0")},
    "a slope of several numbers": {0x00281053: ("DS", "1\\2\\3"), 0x00281052: ("DS", "0")},
    "a slope over-long": {0x00281053: ("DS", "1." + "0" * 5000), 0x00281052: ("DS", "0")},
    "a slope without intercept": {0x00281053: ("DS", "2")},
    "a window of no width": {0x00281050: ("DS", "40"), 0x00281051: ("DS", "0")},
    "a window of negative width": {0x00281050: ("DS", "40"), 0x00281051: ("DS", "-80")},
    "a window that is no number": {0x00281050: ("DS", "nan"), 0x00281051: ("DS", "nan")},
    "a window of several centres": {0x00281050: ("DS", "40\\50"), 0x00281051: ("DS", "80")},
    "a window of huge width": {0x00281050: ("DS", "1e300"), 0x00281051: ("DS", "1e300")},
    "a window of a shape that is none": {
        0x00281050: ("DS", "40"),
        0x00281051: ("DS", "80"),
        0x00281056: ("CS", "WAVY"),
    },
    "a table of values without its numbers": {
        0x00283000: ("SQ", item(element(0x00283002, "US", coded((256, 0, 16))))),
    },
    "a table of values that is short": {
        0x00283000: (
            "SQ",
            item(element(0x00283002, "US", coded((0, 0, 16))) + element(0x00283006, "OW", bytes(10))),
        ),
    },
    "a table of values of no bits": {
        0x00283000: (
            "SQ",
            item(
                element(0x00283002, "US", coded((4, 0, 0))) + element(0x00283006, "US", coded((1, 2, 3, 4)))
            ),
        ),
    },
    "a shape of presentation that is none": {0x20500020: ("CS", "UPSIDE")},
    "a filling value that is no number": {0x00280120: ("LO", "none")},
    "a patient's id of 60,000 characters": {0x00100020: ("LO", "x" * 60_000)},
    "a patient's id of commands for a terminal": {0x00100020: ("LO", "\x1b[31m\x07\r\n../../x")},
    "a patient's id that leads elsewhere": {0x00100020: ("LO", "../../../../tmp/out")},
    "no patient's id": {0x00100020: None},
    "a class that is none": {0x00080016: ("UI", "nonsense")},
    "a class of no image": {0x00080016: ("UI", "1.2.840.10008.5.1.4.1.1.11.1")},
    "a UID over-long": {0x00080018: ("UI", "1." * 3000)},
    "no UIDs": {0x00080018: None, 0x0020000D: None, 0x0020000E: None},
    "a character set that is none": {0x00080005: ("CS", "ISO_IR 999")},
    "character sets without end": {0x00080005: ("CS", "\\".join(["ISO 2022 IR 87"] * 3000))},
    "names that are no text": {0x00100010: ("PN", b"\xff\xfe\x1b$B" * 100)},
    "a date that is none": {0x00080020: ("DA", "20269999")},
    "private elements without a creator": {0x00091001: ("UN", b"x" * 50)},
    "an aspect of zero": {0x00280034: ("IS", "0\\0")},
    "spacing of zero": {0x00280030: ("DS", "0\\0")},
    "spacing that is no number": {0x00280030: ("DS", "nan\\nan")},
    "overlays beyond the picture": {
        0x60000010: ("US", 65535),
        0x60000011: ("US", 65535),
        0x60000100: ("US", 1),
        0x60000102: ("US", 0),
        0x60003000: ("OW", bytes(8)),
    },
    "planes in a way that is none": {0x00280006: ("US", 99)},
}
"""Elements of a picture that are others, or missing (None), by what is wrong with them."""
