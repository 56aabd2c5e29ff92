"""Of no file is more read than its pixels can need, whatever it asks for; sparse files stand for long ones."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageFile, PngImagePlugin

from medseg.images.pictures import watched
from medseg.images.pictures.read import picture_size, read_picture
from medseg.images.pictures.watched import BESIDE, CALL, Watched
from medseg.images.refusal import RefusedError

GREY = np.random.default_rng(5).integers(0, 256, (48, 64), dtype=np.uint8)
NOISE = np.random.default_rng(6).integers(0, 256, (320, 400, 3), dtype=np.uint8)
LONG = 1 << 30
BEFORE, TOO_MUCH = "stand before the pixels of the file", "where its pixels can need"


def encoded(form: str, pixels: NDArray[Any] = GREY, **options: Any) -> bytes:
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, form, **options)
    return made.getvalue()


def sparse(path: Path, begin: bytes, end: bytes = b"", length: int = LONG) -> Path:
    """A file of which nothing between its begin and its end takes room on the disk."""
    with path.open("wb") as handle:
        handle.write(begin)
        handle.truncate(len(begin) + length)
        handle.seek(0, io.SEEK_END)
        handle.write(end)
    return path


def refused(
    path: Path, words: str, read: Callable[[Path], Any] = lambda path: read_picture(path, "grey")
) -> None:
    with pytest.raises(RefusedError, match=rf"more than \d+ bytes.*{words}.*Save the picture alone anew"):
        read(path)


def test_very_many_chunks_before_the_pixels_of_a_png_are_refused(tmp_path: Path) -> None:
    whole, empty = encoded("PNG"), struct.pack(">I4sI", 0, b"prIV", zlib.crc32(b"prIV"))
    for count, path in ((4000, tmp_path / "some.png"), (4096, tmp_path / "many.png")):
        path.write_bytes(whole[:33] + count * empty + whole[33:])

    np.testing.assert_array_equal(read_picture(tmp_path / "some.png", "grey").pixels[0], GREY)
    for read in (picture_size, lambda path: read_picture(path, "grey")):
        with pytest.raises(RefusedError, match="more than 4096 chunks stand before the pixels of the PNG"):
            read(tmp_path / "many.png")


@pytest.mark.parametrize("name", ["tEXt", "zTXt", "iTXt", "iCCP", "eXIf", "PLTE", "tRNS", "prIV"])
def test_a_chunk_of_a_png_is_not_read_however_long_it_is(tmp_path: Path, name: str) -> None:
    whole = encoded("PNG")
    chunk = struct.pack(">I", LONG) + name.encode()
    before = sparse(tmp_path / "before.png", whole[:33] + chunk, bytes(4) + whole[33:])
    behind = sparse(tmp_path / "behind.png", whole[:-12] + chunk, bytes(4) + whole[-12:])

    refused(before, BEFORE)
    refused(before, BEFORE, picture_size)
    refused(behind, TOO_MUCH)


def test_nor_are_pixels_of_a_png_beyond_those_of_its_size(tmp_path: Path) -> None:
    whole = encoded("PNG")

    refused(sparse(tmp_path / "x.png", whole[:33] + struct.pack(">I", LONG) + b"IDAT", whole[33:]), TOO_MUCH)


@pytest.mark.parametrize("cut", [0, 2], ids=["ended", "without its end"])
def test_a_jpeg_is_not_read_whole_however_much_follows_it(tmp_path: Path, cut: int) -> None:
    whole = encoded("JPEG")

    refused(sparse(tmp_path / "x.jpg", whole[: len(whole) - cut]), TOO_MUCH)


@pytest.mark.parametrize(
    "begin",
    [b"\xff\xd8\xff\0", encoded("JPEG")[:20], b"\xff\xd8" + b"\xff\xfe\0\2" * 2000],
    ids=["zeros", "cut", "texts"],
)
def test_a_header_that_never_ends_is_left_soon(
    tmp_path: Path, begin: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read byte by byte, so that calls count, too."""
    monkeypatch.setattr(watched, "BESIDE", 1000 * CALL)
    path = sparse(tmp_path / "x.jpg", begin)

    refused(path, BEFORE)
    refused(path, BEFORE, picture_size)


def test_runs_of_no_pixels_in_a_bmp_are_left_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "BESIDE", 1000 * CALL)
    whole = bytearray(encoded("BMP"))
    whole[30] = 1  # packed in runs, of which zeros are ends of rows

    refused(sparse(tmp_path / "x.bmp", whole[: -GREY.size]), TOO_MUCH)


@pytest.mark.parametrize(
    "pixels",
    [NOISE[..., 0], NOISE, NOISE[..., 0].astype(np.uint16) * 257],
    ids=["grey", "colours", "16 bits"],
)
def test_pixels_of_noise_are_read_with_nothing_to_spare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: NDArray[Any]
) -> None:
    """What pixels can need is no less than what any of these takes for pixels that cannot be packed."""
    monkeypatch.setattr(watched, "BESIDE", 160 * CALL)
    monkeypatch.setattr(ImageFile, "MAXBLOCK", 1 << 22)
    paths = [tmp_path / "x.png"]
    Image.fromarray(pixels).save(paths[0], compress_level=0)
    if pixels.dtype == np.uint8:
        paths += [tmp_path / "x.bmp", tmp_path / "x.jpg", tmp_path / "y.jpg"]
        Image.fromarray(pixels).save(paths[1])
        for path, progressive in zip(paths[2:], (False, True), strict=True):
            Image.fromarray(pixels).save(path, quality=100, subsampling=0, progressive=progressive)
    for packed in ("lzw", "packbits", "jpeg2000", *(["jpeg"] if pixels.dtype == np.uint8 else [])):
        paths.append(tmp_path / f"{packed}.tif")
        colours = "rgb" if pixels.ndim == 3 else "minisblack"
        tifffile.imwrite(paths[-1], pixels, compression=packed, photometric=colours, tile=(64, 64))

    for path in paths:
        assert read_picture(path, "rgb").pixels.shape == (3, *pixels.shape[:2])


def test_text_and_what_else_files_hold_beside_their_pixels_is_no_matter(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    for number in range(100):
        text.add_text(f"Note {number}", "x" * 10_000)
    png = encoded("PNG", pnginfo=text)
    jpeg = encoded("JPEG", comment=b"x" * 60_000, icc_profile=bytes(1 << 20), quality=100)
    tiff = tmp_path / "x.tif"
    tifffile.imwrite(
        tiff, GREY, description="x" * (1 << 20), extratags=[(65000, 1, 1 << 20, bytes(1 << 20), True)]
    )

    (tmp_path / "x.png").write_bytes(png + bytes(1 << 20))
    (tmp_path / "x.jpg").write_bytes(jpeg + bytes(1 << 20))
    for path in (tmp_path / "x.png", tmp_path / "x.jpg", tiff):
        assert read_picture(path, "grey").pixels.shape == (1, *GREY.shape)
        assert picture_size(path) == GREY.shape


def test_all_ways_of_reading_count(tmp_path: Path) -> None:
    path = sparse(tmp_path / "x", b"", length=4 * BESIDE)
    ways: tuple[Callable[[Watched], Any], ...] = (
        lambda handle: handle.read(),
        lambda handle: handle.read(-1),
        lambda handle: handle.read(None),
        lambda handle: handle.read(4 * BESIDE),
        lambda handle: handle.readinto(np.empty(2 * BESIDE, np.uint8)),
        lambda handle: [handle.read(BESIDE // 4) for _ in range(5)],
        lambda handle: [handle.read(0) for _ in range(BESIDE // CALL // 64 + 1)],
    )
    for way in ways:
        with Watched(io.FileIO(path)) as handle:
            handle.allow(0)
            if way is ways[-1]:
                handle.read(BESIDE - BESIDE // 64)
            with pytest.raises(RefusedError):
                way(handle)
            assert handle.tell() <= BESIDE + 1  # it is refused before it is read
            with pytest.raises(RefusedError):  # nor is it read by somebody who passes that over
                handle.read(1)


def test_what_is_allowed_can_be_read(tmp_path: Path) -> None:
    path = sparse(tmp_path / "x", b"", length=BESIDE + 1000)
    with Watched(io.FileIO(path)) as handle:
        handle.allow(1000)
        assert len(handle.read()) == BESIDE + 1000
        assert not handle.starved
