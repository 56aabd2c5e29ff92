"""Whether a JPEG holds its whole picture, which its decoder does not tell: it draws on without a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

END = b"\xff\xd9"
"""The end marker of JPEG, JPEG-LS and JPEG 2000."""

_SCAN = b"\xff\xda"


def _tail(number: int) -> bytes:
    """Chance bytes to stand behind the last one, with restart markers, for where one of these is awaited."""
    chance = np.random.default_rng(number)
    parts = (
        chance.integers(1, 255, 64, dtype=np.uint8).tobytes() + bytes([0xFF, 0xD0 + n]) for n in range(8)
    )
    return b"".join(parts) + END


_TAILS = tuple(_tail(number) for number in range(4))


def whole(data: bytes, decode: Callable[[bytes], NDArray[Any]]) -> NDArray[Any]:
    """Decode a JPEG (not a progressive one), with or without its end marker, if nothing of its picture is missing.

    Where data end early, a decoder takes what follows for more of them. So a picture is whole if it stays the
    same whatever stands behind its last byte. An end marker is trusted more than none: one try instead of four.

    Args:
        data: The codestream; what stands behind its end marker does not count.
        decode: Gives the pixels of a codestream.

    Raises:
        EOFError: Some of it is missing.
    """
    begin = max(data.rfind(_SCAN), 0)
    end = data.find(END, begin)
    body = _unpadded(data) if end < 0 else data[:end].rstrip(b"\xff")  # fill bytes belong to the marker
    pixels = decode(body + END)
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    tails = _TAILS if end < 0 else _TAILS[:1]
    if _scanned(body) < samples or any(not np.array_equal(pixels, decode(body + tail)) for tail in tails):
        raise EOFError("the JPEG is truncated")
    return pixels


def lacks_end(data: bytes) -> bool:
    """Whether no end marker follows the last scan."""
    return data.find(END, max(data.rfind(_SCAN), 0)) < 0


def _unpadded(data: bytes) -> bytes:
    """Without what fills a file up to a length; FF 00 stands for a byte FF of the picture."""
    kept = len(data.rstrip(b"\0\xff"))
    while data.startswith(b"\xff\0", kept):
        kept += 2
    return data[:kept]


def _scanned(data: bytes) -> int:
    """How many components the scans hold; within coded data FF never stands before DA."""
    found, at = 0, data.find(_SCAN)
    while 0 <= at < len(data) - 4:
        found += data[at + 4]
        at = data.find(_SCAN, at + 2)
    return found
