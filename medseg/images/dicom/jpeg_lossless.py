"""Decoding lossless JPEG (process 14, all its predictors), 2 to 16 bits, in NumPy.

Of the packages of permissive licence that pydicom can use, GDCM alone decodes it, which ends the whole
program over some damaged files. Source of each rule: ITU-T T.81, annexes B, C, F.2.2 and H.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.images.dicom.codestream import segments

_SOF3, _DHT, _DRI, _SOS = 0xC3, 0xC4, 0xDD, 0xDA

#: So many bytes of a scan are looked at together: 8 times as many places where a code may begin.
_CHUNK = 1 << 16

_SHIFTS = np.arange(8, 0, -1, dtype=np.int32)
_WRAP = 0xFFFF  # samples are counted modulo 2**16


@dataclass
class _Header:
    bits: int = 0
    height: int = 0
    width: int = 0
    components: list[int] = field(default_factory=list)
    tables: dict[int, _Codes] = field(default_factory=dict)
    interval: int = 0


@dataclass(frozen=True)
class _Codes:
    """A table of Huffman codes, unrolled: what a code is that begins with given 16 bits.

    Attributes:
        length: (65536,) of the code, 0 where there is none.
        extra: (65536,) number of bits that follow it.
        step: (65536,) bits from here to the next code, 0 where there is none.
    """

    length: NDArray[np.uint8]
    extra: NDArray[np.uint8]
    step: NDArray[np.uint8]


def decode(data: bytes) -> NDArray[np.uint16]:
    """Decode one picture (H, W, C), its samples as stored, unsigned.

    Raises:
        ValueError: The data are damaged, end early, or are not of this kind.
    """
    try:
        return _decoded(data)
    except (LookupError, ArithmeticError, struct.error) as error:
        raise ValueError("it is damaged") from error


def _decoded(data: bytes) -> NDArray[np.uint16]:
    head = _Header()
    planes: dict[int, NDArray[np.uint16]] = {}
    rest = data
    while not head.components or len(planes) < len(head.components):
        rest, scan = _up_to_scan(rest, head)
        names = [scan[1 + 2 * n] for n in range(scan[0])]
        codes = [head.tables[scan[2 + 2 * n] >> 4] for n in range(scan[0])]
        predictor, shift = scan[1 + 2 * scan[0]], scan[3 + 2 * scan[0]] & 15
        pieces, rest = _pieces(rest)
        found = _scan(head, codes, pieces, predictor, shift)
        planes |= dict(zip(names, found, strict=True))
    return np.stack([planes[name] for name in head.components], axis=-1)


def _up_to_scan(data: bytes, head: _Header) -> tuple[bytes, bytes]:
    """Take in what stands before a scan; gives the data behind its header, and that header."""
    for marker, content, end in segments(data):
        if marker == _SOF3:
            head.bits, head.height, head.width, samples = struct.unpack_from(">BHHB", content)
            head.components = [content[6 + 3 * n] for n in range(samples)]
            if {content[7 + 3 * n] for n in range(samples)} != {0x11} and samples > 1:
                raise ValueError("its components are of several sizes")
        elif marker == _DHT:
            _add_tables(content, head.tables)
        elif marker == _DRI:
            head.interval = struct.unpack_from(">H", content)[0]
        elif marker == _SOS and head.components:
            return data[end:], content
    raise ValueError("it holds no scan of lossless JPEG")


def _add_tables(content: bytes, tables: dict[int, _Codes]) -> None:
    while content:
        counts = content[1:17]
        total = sum(counts)
        if len(content) < 17 + total:
            raise ValueError("its table of codes is damaged")
        lengths = np.repeat(np.arange(1, 17), list(counts))
        values = np.frombuffer(content[17 : 17 + total], dtype=np.uint8)
        length, extra = np.zeros(65536, np.uint8), np.zeros(65536, np.uint8)
        begin = 0
        for bits, value in zip(lengths.tolist(), values.tolist(), strict=True):  # codes count up: annex C.2
            end = begin + (1 << (16 - bits))
            if end > 65536 or value > 16:
                raise ValueError("its table of codes is damaged")
            length[begin:end], extra[begin:end] = bits, value
            begin = end
        step = length + np.where(extra == 16, 0, extra).astype(np.uint8)  # 16 stands for 32768, with no bits
        tables[content[0] & 15] = _Codes(length, extra, step)
        content = content[17 + total :]


def _pieces(data: bytes) -> tuple[list[NDArray[np.uint8]], bytes]:
    """Cut a scan at its restart markers, without the zeros stuffed in behind FF; and give what follows it."""
    array = np.frombuffer(data, dtype=np.uint8)
    marked = np.flatnonzero(array[:-1] == 0xFF)
    behind = array[marked + 1]
    closing = marked[(behind != 0) & (behind != 0xFF) & ((behind < 0xD0) | (behind > 0xD7))]
    if not closing.size:
        raise ValueError("it ends early")
    end = int(closing[0])
    inside = marked < end
    restarts = marked[inside & (behind >= 0xD0) & (behind <= 0xD7)]
    kept = np.ones(len(array), dtype=bool)
    kept[marked[inside & (behind == 0)] + 1] = False
    borders = [0, *(restarts + 2).tolist()]
    ends = [*restarts.tolist(), end]
    cut = [array[a:b][kept[a:b]] for a, b in zip(borders, ends, strict=True)]
    return cut, b"\xff\xd8" + data[end:]


def _scan(
    head: _Header,
    codes: Sequence[_Codes],
    pieces: Sequence[NDArray[np.uint8]],
    predictor: int,
    shift: int,
) -> list[NDArray[np.uint16]]:
    """One plane (H, W) of each component of a scan."""
    width, left = head.width, head.height
    if head.interval % width:
        raise ValueError("it restarts within a row")
    found: list[NDArray[Any]] = []
    for piece in pieces:
        rows = min(left, head.interval // width or left)
        differences = _differences(piece, codes, rows * width * len(codes))
        grid = differences.reshape(rows, width, len(codes))
        first = 1 << (head.bits - shift - 1)
        found.append(np.stack([_summed(grid[..., n], predictor, first) for n in range(len(codes))]))
        left -= rows
    if left:
        raise ValueError("it ends early")
    planes = np.concatenate(found, axis=1)
    return list((planes << shift & _WRAP).astype(np.uint16))


def _differences(data: NDArray[np.uint8], codes: Sequence[_Codes], count: int) -> NDArray[np.int64]:
    """(count,) differences to the predictions; components take turns."""
    padded = np.concatenate([data, np.zeros(8, np.uint8)]).astype(np.int32)
    three = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    turns = [*range(1, len(codes)), 0]
    at, turn, found = 0, 0, []
    wanted = count
    while wanted:
        begin = at >> 3
        if begin >= len(data):
            raise ValueError("it ends early")
        windows = three[begin : min(begin + _CHUNK, len(data)), None] >> _SHIFTS & _WRAP
        flat = windows.ravel()
        steps = [each.step[flat].tobytes() for each in codes]  # of which an index is a number
        base, end = begin << 3, (begin << 3) + len(flat)
        started = turn
        places: list[int] = []
        while at < end and len(places) < wanted:
            places.append(at)
            step = steps[turn][at - base]
            if not step:
                raise ValueError("it holds no code where one was wanted")
            at += step
            turn = turns[turn]
        here = np.array(places)
        extra, value = _told(here, flat[here - base], three, codes, started)
        found.append(np.where(value >> np.maximum(extra - 1, 0) & 1, value, value - (1 << extra) + 1))
        found[-1][extra == 0] = 0
        found[-1][extra == 16] = 1 << 15
        wanted -= len(places)
    if at > 8 * len(data):
        raise ValueError("it ends early")
    return np.concatenate(found)


def _told(
    places: NDArray[np.int64],
    windows: NDArray[np.int32],
    three: NDArray[np.int32],
    codes: Sequence[_Codes],
    turn: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many bits follow each code, and what they are."""
    length, extra = np.empty_like(places), np.empty_like(places)
    for n in range(len(codes)):
        own = slice(n, None, len(codes))
        table = codes[(turn + n) % len(codes)]
        length[own], extra[own] = table.length[windows[own]], table.extra[windows[own]]
    follow = places + length
    bits = np.where(extra == 16, 0, extra)
    value = three[np.minimum(follow >> 3, len(three) - 1)] >> (24 - (follow & 7) - bits) & ((1 << bits) - 1)
    return extra, value


def _summed(grid: NDArray[np.int64], predictor: int, first: int) -> NDArray[np.int64]:
    """Samples (H, W) from differences: table H.1; the first row and column know one neighbour only."""
    if predictor not in range(1, 8):
        raise ValueError("it names no predictor that is known")
    grid = grid.copy()
    grid[0, 0] += first
    if predictor == 1:
        grid[:, 0] = np.cumsum(grid[:, 0])
        return np.cumsum(grid, axis=1) & _WRAP
    grid[0] = np.cumsum(grid[0]) & _WRAP
    if predictor == 2:
        return np.cumsum(grid, axis=0) & _WRAP
    for row in range(1, len(grid)):
        _row(grid[row], grid[row - 1], predictor)
    return grid


def _row(own: NDArray[np.int64], above: NDArray[np.int64], predictor: int) -> None:
    """Turn the differences of one row into its samples, in place."""
    own[0] = own[0] + above[0] & _WRAP
    if predictor == 3:
        own[1:] = own[1:] + above[:-1] & _WRAP
    elif predictor in {4, 5}:
        slope = np.diff(above) >> (predictor - 4)
        own[1:] += slope
        own[:] = np.cumsum(own) & _WRAP
    else:
        up, line = above.tolist(), own.tolist()
        for n in range(1, len(line)):
            left = line[n - 1]
            guess = up[n] + ((left - up[n - 1]) >> 1) if predictor == 6 else (left + up[n]) >> 1
            line[n] = line[n] + guess & _WRAP
        own[:] = line
