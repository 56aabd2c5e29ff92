"""An open file of pictures, which tells when it ends early, and of which no more is read than it can need.

Files say how much is to be read: a chunk or a tag of gigabytes, 100,000 strips that lie in one place, a header that
never ends. All of it is read through here, so that one rule bounds time and memory of every kind of file.
"""

from __future__ import annotations

import io
from typing import Any, NoReturn

from medseg.images.refusal import RefusedError

BESIDE = 1 << 25
"""Bytes that may be read beside pixels: text, colour profiles, tables, previews."""

CALL = 1 << 8
"""Bytes that a call counts for at least, since it takes time even if it reads none."""

AS_BOMBS = "as decompression bombs do"

_read = io.BufferedReader.read

_ANEW = "Save the picture alone anew, without what else the file holds, or leave the case out."


class Watched(io.BufferedReader):
    """An open file that remembers whether anybody read on past its end, and how much more of it may be read."""

    starved = False
    _left = BESIDE
    _found = f"more than {BESIDE} bytes stand before the pixels of the file, {AS_BOMBS}"

    def allow(self, pixels: int) -> None:
        """Allow to read what pixels can need, and as much beside them as any file may have.

        Args:
            pixels: Bytes that they can need at most, in all the times that they are read; 0 for a header.
        """
        self._left = pixels + BESIDE
        self._found = Watched._found
        if pixels:
            self._found = (
                f"reading the file would take more than {self._left} bytes, where its pixels can need {pixels}, "
                f"{AS_BOMBS}"
            )

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and remember if there was nothing left.

        Raises:
            RefusedError: More is asked for than may be read.
        """
        left = self._left
        if size is None or size < 0:
            at = self.tell()
            size = self.seek(0, io.SEEK_END) - at
            self.seek(at)
        if size > left:
            size = left + 1
        data = _read(self, size)
        if size and not data:
            self.starved = True
        read = len(data)
        self._left = left = left - (read if read > CALL else CALL)  # called for every byte of some headers
        if left < 0:
            self._refuse()
        return data

    def readinto(self, buffer: Any, /) -> int:
        """As `read`, into an array, which is as long as what is asked for."""
        self._left -= max(memoryview(buffer).nbytes, CALL)
        if self._left < 0:
            self._refuse()
        return super().readinto(buffer)

    def _refuse(self) -> NoReturn:
        self._left = -1
        raise RefusedError(self._found, _ANEW)
