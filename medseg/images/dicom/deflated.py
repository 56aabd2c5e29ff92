"""Deflated data sets, which may unpack to far more than a picture, and be parsed element by element for minutes."""

from __future__ import annotations

import io
import math
import zlib
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from medseg.images.dicom.attributes import value_of
from medseg.images.refusal import RefusedError
from medseg.machine.memory import available_memory

_PIXELS = 0x7FE00008
"""Tag of the first of the elements that may hold pixels."""
_SLACK = 1 << 23
"""Bytes that may stand beside the pixels."""
_BEGIN = 1 << 20
"""Bytes in which the elements before the pixels are looked for."""
_MOST_ELEMENTS = 10_000
_META = 4096
_WIDE = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"})
"""Value representations whose length has four bytes. Source: DICOM PS3.5, 7.1.2."""
_SIZES = ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames")


def refuse_bomb(handle: BinaryIO, start: int, most: int) -> None:
    """Refuse a deflated data set that unpacks to more than its own header needs; leaves the file at its beginning.

    The meta information is walked as pydicom does that unpacks what follows: its stated length may be missing or
    wrong.

    Args:
        handle: The file.
        start: Where its meta information begins.
        most: Bytes of any data set.

    Raises:
        RefusedError: It does.
        zlib.error, ...: What pydicom would raise of a damaged file.
    """
    handle.seek(start)
    if _is_other(handle.read(_META)):
        handle.seek(0)
        return
    handle.seek(start)
    meta = read_dataset(
        handle, False, True, stop_when=lambda tag, *_: tag >> 16 != 2
    )  # explicit, little endian
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        unpacker, packed = zlib.decompressobj(-zlib.MAX_WBITS), handle.read()
        begin = unpacker.decompress(packed, _BEGIN)
        allowed = min(most, available_memory() // 3, _needed(begin) + _SLACK)
        total, packed = len(begin), unpacker.unconsumed_tail
        while packed and total <= allowed:
            total += len(unpacker.decompress(packed, 1 << 20))
            packed = unpacker.unconsumed_tail
        if total > allowed:
            raise RefusedError(
                f"the deflated DICOM file unpacks to more than the {allowed} bytes that its header asks for, as "
                "decompression bombs do",
                "Export it anew, or leave the case out.",
            )
    handle.seek(0)


def _is_other(begins: bytes) -> bool:
    """Whether the first bytes hold all of the meta information, and it names no deflated data.

    pydicom walks it as well, and takes thirty times as long; what is not plain is left to it.
    """
    place, named = 0, b""
    while begins[place : place + 2] == b"\x02\x00":
        wide = begins[place + 4 : place + 6] in _WIDE
        first, size = (8, 4) if wide else (6, 2)
        length = int.from_bytes(begins[place + first : place + first + size], "little")
        value = begins[place + first + size : place + first + size + length]
        if begins[place + 2 : place + 4] == b"\x10\x00":
            named = value
        place += first + size + length
    whole = 0 < place <= len(begins) - 2
    return whole and bool(named) and named.rstrip(b"\0 ") != DeflatedExplicitVRLittleEndian.encode()


def _needed(begin: bytes) -> int:
    """Bytes of the pixels that a data set says to have; 0 where it says nothing that can be read."""
    seen = 0

    def ends(tag: int, *_: object) -> bool:
        nonlocal seen
        seen += 1
        return tag >= _PIXELS or seen > _MOST_ELEMENTS

    try:
        data = Dataset(read_dataset(io.BytesIO(begin), False, True, stop_when=ends))
        sizes = [int(value_of(data, keyword) or 1) for keyword in _SIZES]
        return math.prod(sizes) * -(-int(value_of(data, "BitsAllocated") or 16) // 8)
    except Exception:  # noqa: BLE001 - whatever pydicom says of damage, which is told where the file is read
        return 0
