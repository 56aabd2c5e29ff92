"""Frames of DICOM's RLE: what their pixels do not need is left out. Source: DICOM PS3.5, Annex G."""

from __future__ import annotations

import struct

_HEAD = 64
_MOST = 15  # segments


def bare_rle(data: bytes, pixels: int) -> tuple[bytes, int]:
    """A frame without what stands between its segments, and behind the runs of each.

    Args:
        data: The frame.
        pixels: Rows times columns: each segment holds one byte of each.

    Returns:
        The frame, and of how many segments something was left out.

    Raises:
        ValueError: It is damaged: a segment does not begin where it should.
    """
    count, *begins = struct.unpack_from("<16L", data)
    begins = begins[:count]
    if not 1 <= count <= _MOST or min(begins) < _HEAD or max(begins) > len(data):
        raise ValueError("a segment of the RLE does not begin where it should")
    ends = sorted({*begins, len(data)})
    parts, left_out = [], int(any(data[_HEAD : ends[0]]))
    taken, starts = _HEAD, []
    for begin in begins:
        end = next((each for each in ends if each > begin), begin)
        runs, rest = _needed(data[begin:end], pixels)
        runs += bytes(len(runs) % 2)
        left_out += any(rest)
        starts.append(taken)
        taken += len(runs)
        parts.append(runs)
    head = struct.pack("<16L", count, *starts, *[0] * (_MOST - count))
    return b"".join([head, *parts]), left_out


def _needed(segment: bytes, pixels: int) -> tuple[bytes, bytes]:
    """The runs of a segment that come to so many bytes, the last one cut; and what is left."""
    place = total = 0
    while place < len(segment) and total < pixels:
        said = segment[place]
        if said == 128:  # says nothing, and stands alone
            place += 1
            continue
        length = said + 1 if said < 128 else 257 - said
        taken = said + 2 if said < 128 else 2
        if total + length > pixels:
            kept = pixels - total
            literal = said < 128 or kept == 1  # a value that is there once is no run
            last = bytes([kept - 1 if literal else 257 - kept])
            last += segment[place + 1 : place + 1 + (kept if said < 128 else 1)]
            return segment[:place] + last, segment[place + len(last) :]
        place, total = place + taken, total + length
    return segment[:place], segment[place:]
