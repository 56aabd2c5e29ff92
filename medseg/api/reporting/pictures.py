"""Pictures of a run as part of a page: looked at, decoded and written anew, since anybody may have put them there."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from medseg.api.reporting.blocks import Picture
from medseg.errors import RunError
from medseg.figures.saving import png_of
from medseg.files.inside import own_place
from medseg.files.regular import open_regular

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BYTES = 20_000_000
"""A picture of more bytes is left out: those that medseg draws have less than one million."""

MOST_PIXELS = 40_000_000
"""A picture of more pixels is left out."""

MOST_TOGETHER = 60_000_000
"""Bytes that all pictures of a page may have: mail takes no more."""

MOST_PIXELS_TOGETHER = 100_000_000
"""Pixels that all pictures of a page may have: a second decodes about twelve million."""

MOST_PICTURES = 500
"""Files that are looked at for a page: a run has some twenty."""

MOST_READ = 4 * MOST_TOGETHER
"""Bytes of files that are read for a page: written anew, they may be smaller."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass
class Album:
    """The pictures of one page.

    Attributes:
        refused: What those show that are no pictures, or too large; never what they are called.
        taken: Bytes so far.
        looked: Files that were looked at, good or bad.
        read: Bytes of these.
        pixels: Of those that were decoded.
    """

    refused: list[str] = field(default_factory=list)
    taken: int = 0
    looked: int = 0
    read: int = 0
    pixels: int = 0

    def kept(self, folder: Path, place: str, words: str) -> Picture | None:
        """A PNG file of a run's folder, without any text that the file holds; None if it is not there or refused.

        Args:
            folder: Of the run.
            place: Of the file in it.
            words: What the picture shows.
        """
        try:
            if not (folder / place).is_file():
                return None
            return self._picture(anew(self._admitted(own_place(folder, place))), words)
        except (OSError, RunError, ValueError):
            self.refused.append(words)
            return None

    def cut(self, folder: Path, place: str, words: Sequence[str]) -> Sequence[Picture]:
        """A PNG file of equal pictures one below another, cut apart; none if it is not there or refused.

        Args:
            folder: Of the run.
            place: Of the file in it.
            words: What each picture shows, from above.
        """
        try:
            if not (folder / place).is_file():
                return []
            whole = decoded(self._admitted(own_place(folder, place)))
            height, rest = divmod(whole.height, len(words))
            if rest or not height:
                raise ValueError("the picture has other rows than it is said to have")
            boxes = [(0, row * height, whole.width, (row + 1) * height) for row in range(len(words))]
            return [
                self._picture(_written(whole.crop(box)), text) for box, text in zip(boxes, words, strict=True)
            ]
        except (OSError, RunError, ValueError):
            self.refused.append(words[0])
            return []

    def drawn(self, draw: Callable[[], Figure], words: str) -> Picture | None:
        """A figure that is drawn now; None if there is no room left for it.

        Args:
            draw: Draws it.
            words: What it shows.
        """
        try:
            return self._picture(png_of(draw()), words)
        except ValueError:
            self.refused.append(words)
            return None

    def _admitted(self, path: Path) -> bytes:
        """All bytes of a file, if there is room left for the work that it is.

        Raises:
            ValueError: There is none, or it is no PNG file.
            OSError: It cannot be read.
        """
        if self.looked >= MOST_PICTURES or self.read > MOST_READ:
            raise ValueError("the page has too many pictures")
        with open_regular(path) as file:
            raw = file.read(MOST_BYTES + 1)
        self.looked += 1
        self.read += len(raw)
        width, height = _size(raw)
        if self.pixels + width * height > MOST_PIXELS_TOGETHER:
            raise ValueError("the pictures of the page have too many pixels together")
        self.pixels += width * height
        return raw

    def _picture(self, png: bytes, words: str) -> Picture:
        if self.taken + len(png) > MOST_TOGETHER:
            raise ValueError("the pictures of the page have too many bytes together")
        self.taken += len(png)
        width, height = _size(png)
        address = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
        return Picture(address, width, height, words)


def anew(raw: bytes) -> bytes:
    """The pixels of a PNG file as a new file: texts, times and whatever else the file holds are gone.

    Args:
        raw: All bytes of the file.

    Raises:
        ValueError: It is no PNG file, damaged, or larger than any that medseg draws.
        OSError: Likewise.
    """
    return _written(decoded(raw))


def decoded(raw: bytes) -> Image.Image:
    """The pixels of a PNG file, on white; arguments and errors as of `anew`."""
    width, height = _size(raw)
    if len(raw) > MOST_BYTES or not 0 < width * height <= MOST_PIXELS:
        raise ValueError("the picture is larger than any that medseg draws")
    try:
        with Image.open(io.BytesIO(raw), formats=["PNG"]) as opened:
            opened.load()
            shown = opened.convert("RGBA")
    except SyntaxError as error:  # what Pillow raises for broken chunks
        raise ValueError("the picture is damaged") from error
    paper = Image.new("RGB", shown.size, "white")
    paper.paste(shown, mask=shown.getchannel("A"))
    return paper


def _written(picture: Image.Image) -> bytes:
    written = io.BytesIO()
    picture.save(written, format="PNG")
    return written.getvalue()


def _size(raw: bytes) -> tuple[int, int]:
    """Width and height, from the first chunk."""
    if len(raw) < 24 or not raw.startswith(_SIGNATURE) or raw[12:16] != b"IHDR":
        raise ValueError("the file is no PNG picture")
    width, height = struct.unpack(">II", raw[16:24])
    return width, height
