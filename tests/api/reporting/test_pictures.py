"""Pictures of a run's folder are decoded and written anew: nothing but pixels comes through."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from medseg.api.reporting import pictures
from medseg.api.reporting.pictures import Album, anew


def png(size=(6, 4), mode="RGB", **options) -> bytes:
    written = io.BytesIO()
    Image.new(mode, size, 128).save(written, format="PNG", **options)
    return written.getvalue()


def test_the_pixels_stay_and_texts_go() -> None:
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", "a patient")
    told.add_itxt("XML:com.adobe.xmp", "a patient")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, format="PNG", pnginfo=told)
    raw = written.getvalue() + b"a patient behind the end"
    assert b"a patient" in raw
    found = anew(raw)
    assert b"a patient" not in found
    with Image.open(io.BytesIO(found)) as picture:
        assert np.array_equal(np.asarray(picture), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "I;16"])
def test_every_kind_of_png_becomes_one_of_colours(mode: str) -> None:
    with Image.open(io.BytesIO(anew(png(mode=mode)))) as picture:
        assert (picture.mode, picture.size) == ("RGB", (6, 4))


def test_what_is_transparent_is_white_as_paper() -> None:
    written = io.BytesIO()
    Image.new("RGBA", (1, 1), (0, 0, 0, 0)).save(written, format="PNG")
    with Image.open(io.BytesIO(anew(written.getvalue()))) as picture:
        assert picture.getpixel((0, 0)) == (255, 255, 255)


def bomb() -> bytes:
    """A header of 50,000 x 50,000 pixels, and next to none of them."""
    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a" + bytes(40),
        png()[:50],
        png()[:-30],
        bomb(),
        bytes(pictures.MOST_BYTES + 1),
    ],
    ids=["empty", "signature", "gif", "cut", "no end", "bomb", "too large"],
)
def test_what_is_no_whole_picture_is_refused(raw: bytes) -> None:
    with pytest.raises((ValueError, OSError)):
        anew(raw)


def test_a_page_holds_no_more_bytes_than_can_be_passed_on(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(png())
    monkeypatch.setattr(pictures, "MOST_TOGETHER", len(anew(png())) + 10)
    album = Album()
    assert album.kept(tmp_path, "a.png", "one") is not None
    assert album.kept(tmp_path, "a.png", "another") is None
    assert album.kept(tmp_path, "../a.png", "elsewhere") is None
    assert album.refused == ["another"]


@pytest.mark.parametrize(
    ("bound", "most", "fit"), [("MOST_PIXELS_TOGETHER", 60, 2), ("MOST_PICTURES", 3, 3), ("MOST_READ", 60, 1)]
)
def test_pictures_that_are_too_many_together_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, most: int, fit: int
) -> None:
    monkeypatch.setattr(pictures, bound, most)
    decoded: list[bytes] = []
    monkeypatch.setattr(pictures, "anew", lambda raw: decoded.append(raw) or raw)
    album = Album()
    for n in range(8):
        (tmp_path / f"{n}.png").write_bytes(png())
        album.kept(tmp_path, f"{n}.png", f"picture {n}")

    assert len(decoded) == fit
    assert album.refused == [f"picture {n}" for n in range(fit, 8)]
