"""The header of a NumPy array: text of Python, which may be anything, and whose length is seen before it is read."""

from __future__ import annotations

from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

_MOST = 10_000
"""Bytes of a header."""

_HEADERS = {(1, 0): (npy.read_array_header_1_0, 2), (2, 0): (npy.read_array_header_2_0, 4)}
"""What reads each version, and the bytes that say how long a header is."""


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the first axis is the fastest, and type of the array that begins here.

    Args:
        stream: At the first byte of the array; may go back to where it was.

    Raises:
        ValueError: There is no header that can be read.
        OSError, EOFError, zlib.error: As reading the stream does.
    """
    version = npy.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"its version is {version}, expected (1, 0) or (2, 0)")
    read, digits = _HEADERS[version]
    begin = stream.tell()
    length = int.from_bytes(stream.read(digits), "little")
    if length > _MOST:
        raise ValueError(f"its header should take {length} bytes, and no header takes more than {_MOST}")
    stream.seek(begin)
    try:
        shape, first_fastest, dtype = read(stream, max_header_size=_MOST)
    except (SyntaxError, TypeError, RecursionError, MemoryError, TokenError) as error:
        # of a few thousand bytes, so that a lack of memory is a complaint of Python's parser
        raise ValueError("its header is no description of an array") from error
    return tuple(int(size) for size in shape), bool(first_fastest), dtype
