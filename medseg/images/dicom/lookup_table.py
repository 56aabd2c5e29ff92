"""Look-up tables of DICOM: of modality values, of what is shown, and of colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Table:
    """What each value becomes; what lies outside becomes the nearest.

    Attributes:
        first: The value that the first entry is for.
        entries: (N,) results.
        bits: Of a result.
    """

    first: int
    entries: NDArray[Any]
    bits: int

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """Results of values of any shape; real numbers are rounded."""
        whole = np.rint(values) if values.dtype.kind == "f" else values.astype(np.int64)
        return self.entries[np.clip(whole - self.first, 0, len(self.entries) - 1).astype(np.intp)]


def table(descriptor: Sequence[Any], data: Any, *, little: bool, signed: bool) -> Table:
    """Read a table by its descriptor: number of entries, first value, bits. Source: DICOM PS3.3 C.11.1.1.

    Args:
        descriptor: Its three numbers; 0 entries stand for 65536.
        data: Its entries: numbers, or bytes of 8 or 16 bits each.
        little: The order of such bytes.
        signed: Whether what goes in may be negative; the first value is then, however it was written.

    Raises:
        ValueError: There are fewer entries than the descriptor says, or of odd bits.
    """
    count, first, bits = (int(each) for each in descriptor)
    count = count or 65536
    first = first - 65536 if signed and first > 32767 else first
    first = first + 65536 if not signed and first < 0 else first
    if isinstance(data, bytes):
        wide = len(data) >= 2 * count
        entries = np.frombuffer(data, dtype=f"{'<' if little else '>'}u2" if wide else np.uint8)
    else:
        entries = np.atleast_1d(np.asarray(data, dtype=np.int64))
        entries = np.where(entries < 0, entries + 65536, entries)
    if not 8 <= bits <= 16 or len(entries) < count:
        raise ValueError("fewer entries than the descriptor says, or entries of odd bits")
    return Table(first, entries[:count].astype(np.uint16), bits)
