"""Bytes that are damaged without regard to what they mean: cut, flipped, lost, doubled, replaced."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import numpy as np

from medseg.testing.broken.form import Files

_HEAD = 400  # bytes in which most headers lie: half of all damage is there

_WORDS = (
    *(struct.pack(f"{order}i", n) for order in "<>" for n in (-1, 2**31 - 1, -(2**31), 65536)),
    *(struct.pack(f"{order}f", x) for order in "<>" for x in (float("nan"), float("inf"), -1e38, 1e-45)),
    *(struct.pack(f"{order}h", n) for order in "<>" for n in (-1, 32767, -32768, 256)),
    *(struct.pack(f"{order}q", n) for order in "<>" for n in (2**62, -(2**63), 2**32)),
    bytes(4),
    bytes(8),
    b"-1 ",
    b"999999999",
    b"1e999",
    b"nan ",
)
"""Numbers that few programs expect, as they stand in headers."""

_MAGIC = (
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    b"PK\x03\x04",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    b"II*\0\x08\0\0\0",
    b"MM\0+\0\x08\0\0",
    b"GIF89a",
    bytes(128) + b"DICM",
    b"NRRD0005\n",
    b"\x93NUMPY\x01\0",
    b"%PDF-1.7\n",
    b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
)

Damage = Callable[[bytes, np.random.Generator], bytes]


def _place(data: bytes | bytearray, draw: np.random.Generator) -> int:
    most = min(len(data), _HEAD) if draw.random() < 0.5 else len(data)
    return int(draw.integers(0, max(most, 1)))


def _cut(data: bytes, draw: np.random.Generator) -> bytes:
    return data[: _place(data, draw)]


def _short(data: bytes, draw: np.random.Generator) -> bytes:
    return data[: -int(draw.integers(1, 40))]


def _flipped(data: bytes, draw: np.random.Generator) -> bytes:
    found = bytearray(data or b"\0")
    for _ in range(int(draw.choice([1, 1, 2, 8, 40]))):
        found[_place(found, draw)] ^= int(draw.integers(1, 256))
    return bytes(found)


def _word(data: bytes, draw: np.random.Generator) -> bytes:
    word = _WORDS[int(draw.integers(len(_WORDS)))]
    place = _place(data, draw) // 2 * 2
    return data[:place] + word + data[place + len(word) :]


def _stretch(data: bytes, draw: np.random.Generator) -> bytes:
    place, size = _place(data, draw), int(draw.choice([4, 16, 64, 300]))
    return data[:place] + bytes([int(draw.choice([0, 255, 32]))]) * size + data[place + size :]


def _lost(data: bytes, draw: np.random.Generator) -> bytes:
    place = _place(data, draw)
    return data[:place] + data[place + int(draw.integers(1, 64)) :]


def _more(data: bytes, draw: np.random.Generator) -> bytes:
    place = _place(data, draw)
    return data[:place] + draw.bytes(int(draw.integers(1, 64))) + data[place:]


def _doubled(data: bytes, draw: np.random.Generator) -> bytes:
    place, size = _place(data, draw), int(draw.integers(8, 200))
    return data[:place] + data[place : place + size] * int(draw.choice([2, 3, 40])) + data[place + size :]


def _appended(data: bytes, draw: np.random.Generator) -> bytes:
    return data + draw.bytes(int(draw.choice([1, 7, 4096, 3_000_000])))


def _other(data: bytes, draw: np.random.Generator) -> bytes:
    magic = _MAGIC[int(draw.integers(len(_MAGIC)))]
    return magic + data[len(magic) :]


def _noise(data: bytes, draw: np.random.Generator) -> bytes:
    return draw.bytes(len(data))


def _nothing(data: bytes, draw: np.random.Generator) -> bytes:
    del data, draw
    return b""


WAYS: Mapping[str, tuple[Damage, float]] = {
    "cut off": (_cut, 4),
    "a few bytes short": (_short, 1),
    "flipped bytes": (_flipped, 5),
    "an extreme number in place of another": (_word, 5),
    "a stretch of one byte": (_stretch, 2),
    "bytes lost within": (_lost, 2),
    "bytes more within": (_more, 2),
    "a stretch repeated": (_doubled, 2),
    "bytes behind its end": (_appended, 1),
    "begins as another format": (_other, 1),
    "random bytes": (_noise, 0.3),
    "empty": (_nothing, 0.3),
}
"""Each way of damage, and how often it is taken."""


def damaged(files: Files, draw: np.random.Generator) -> tuple[str, Files]:
    """Damage one of the files of an input, or lose it where there are others.

    Returns:
        What was done, and the files.
    """
    names = list(files)
    chosen = names[0] if draw.random() < 0.6 else names[int(draw.integers(len(names)))]
    where = f" ({chosen})" if len(names) > 1 else ""
    if len(names) > 1 and draw.random() < 0.06:
        return f"a file is missing{where}", {name: files[name] for name in names if name != chosen}
    weights = np.array([weight for _, weight in WAYS.values()])
    why = list(WAYS)[int(draw.choice(len(WAYS), p=weights / weights.sum()))]
    return why + where, {**files, chosen: WAYS[why][0](files[chosen], draw)}
