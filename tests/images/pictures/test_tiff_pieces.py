"""TIFFs that ask for much more than their pictures: few bytes that stand for many strips, tiles, scans, samples."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from medseg.errors import DataError
from medseg.images.pictures import stored, watched
from medseg.images.pictures.read import picture_size, pictures_size, read_picture, read_pictures
from medseg.images.pictures.scans import MAX_SCANS
from medseg.images.pictures.watched import CALL
from medseg.images.refusal import RefusedError

DEFLATE, JPEG, JPEG_2000 = 8, 7, 34712
GREY = np.random.default_rng(8).integers(0, 256, (48, 64), dtype=np.uint8)


def directory(at: int, tags: dict[int, Any], following: int = 0) -> bytes:
    """The tags of a page that begin here, each a number, several, or type, how many and where; then their values."""
    entries, values, behind = b"", b"", at + 2 + 12 * len(tags) + 4
    for number, value in sorted(tags.items()):
        numbers = [value] if isinstance(value, int) else value
        if isinstance(value, tuple):
            entries += struct.pack("<HHII", number, *value)
        elif len(numbers) == 1:
            entries += struct.pack("<HHII", number, 4, 1, *numbers)
        else:
            entries += struct.pack("<HHII", number, 4, len(numbers), behind + len(values))
            values += struct.pack(f"<{len(numbers)}I", *numbers)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + values


def tiff(path: Path, code: bytes, size: tuple[int, int], packed: int, pieces: int = 1, **laid: Any) -> Path:
    """A TIFF of greys, all pieces of which are the same bytes; `laid` are tags by their names."""
    names = {"rows": 278, "columns": 322, "length": 323, "samples": 277, "kind": 262}
    code += b"\0" * (len(code) % 2)
    tags: dict[int, Any] = {256: size[1], 257: size[0], 258: 8, 259: packed, 262: 1, 277: 1}
    tags |= {names[name]: value for name, value in laid.items()}
    tags |= dict(
        zip((324, 325) if 322 in tags else (273, 279), ([8] * pieces, [len(code)] * pieces), strict=True)
    )
    at = 8 + len(code)
    path.write_bytes(b"II*\0" + struct.pack("<I", at) + code + directory(at, tags))
    return path


def boxed(*boxes: tuple[bytes, bytes]) -> bytes:
    return b"".join(struct.pack(">I4s", 8 + len(held), name) + held for name, held in boxes)


def jp2(code: bytes, *more: tuple[bytes, bytes], before: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """A JP2 file of greys by hand, with more boxes in its header, and before its codestream."""
    head = struct.pack(">IIHBBBB", *GREY.shape, 1, 7, 7, 0, 0), b"\1\0\0" + struct.pack(">I", 17)
    return boxed(
        (b"jP  ", b"\r\n\x87\n"),
        (b"ftyp", b"jp2 \0\0\0\0jp2 "),
        (b"jp2h", boxed((b"ihdr", head[0]), (b"colr", head[1]), *more)),
        *before,
        (b"jp2c", code),
    )


def wavelets(pixels: Any = GREY) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k"))


@pytest.mark.parametrize("how", ["bare", "in boxes", "by another writer"])
def test_jpeg_2000_is_read_bare_and_in_its_boxes(tmp_path: Path, how: str) -> None:
    other = imagecodecs.jpeg2k_encode(GREY, level=0, codecformat="jp2", reversible=True)
    exact = bytes(imagecodecs.jpeg2k_encode(GREY, level=0, codecformat="j2k", reversible=True))
    code = {
        "bare": exact,
        "in boxes": jp2(exact, before=[(b"free", b"x" * 99)]),
        "by another writer": bytes(other),
    }[how]

    np.testing.assert_array_equal(
        read_picture(tiff(tmp_path / "x.tif", code, GREY.shape, JPEG_2000), "grey").pixels[0], GREY
    )


def _palette(columns: int) -> list[tuple[bytes, bytes]]:
    table = struct.pack(">HB", 2, columns) + b"\7" * columns + bytes(2 * columns)
    return [(b"pclr", table), (b"cmap", b"".join(struct.pack(">HBB", 0, 1, n) for n in range(columns)))]


LARGE = wavelets(np.zeros((480, 640), np.uint8))
LARGER: dict[str, bytes] = {
    "a palette of many columns": jp2(wavelets(), *_palette(100)),
    "a palette outside its header": jp2(wavelets(), before=_palette(100)),
    "a small one in a box that is passed over": jp2(LARGE, before=[(b"free", wavelets())]),
    "a small one in a box of eight bytes of length": jp2(LARGE, before=[(b"free", wavelets())]).replace(
        struct.pack(">I4s", 8 + len(wavelets()), b"free"),
        struct.pack(">I4sQ", 1, b"free", 16 + len(wavelets())),
    ),
    "many samples": wavelets(np.zeros((*GREY.shape, 50), np.uint8)),
    "many samples in boxes": jp2(wavelets(np.zeros((*GREY.shape, 50), np.uint8))),
}


@pytest.mark.parametrize("how", LARGER)
def test_jpeg_2000_that_holds_more_than_the_tiff_says_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    path = tiff(tmp_path / "x.tif", LARGER[how], GREY.shape, JPEG_2000)
    decoded: list[bytes] = []
    monkeypatch.setattr(
        tifffile.tifffile.imagecodecs, "jpeg2k_decode", lambda code, **_: decoded.append(code)
    )

    with pytest.raises(DataError, match="a strip or tile of another size than the TIFF says"):
        read_picture(path, "grey")
    assert decoded == []


@pytest.mark.parametrize(
    ("packed", "code"),
    [
        (JPEG, b"\xff\xd8\0\0" + bytes(imagecodecs.jpeg8_encode(GREY))[2:]),
        (JPEG_2000, boxed((b"jP  ", b"\r\n\x87\n"), (b"jp2h", b"")) + b"\0\0\0\3jp2c" + wavelets()),
    ],
    ids=["JPEG", "JPEG 2000"],
)
def test_a_code_of_which_the_size_is_not_known_is_refused_before_it_is_decoded(
    tmp_path: Path, packed: int, code: bytes
) -> None:
    """Decoders pass over what stands before it, and so may come to another size than what was looked at."""
    with pytest.raises(DataError, match="does not say its size"):
        read_picture(tiff(tmp_path / "x.tif", code, GREY.shape, packed), "grey")


def test_scans_of_a_jpeg_within_are_counted(tmp_path: Path) -> None:
    code = bytes(imagecodecs.jpeg8_encode(GREY))
    scan = code[code.index(b"\xff\xda") : -2]
    assert read_picture(tiff(tmp_path / "x.tif", code, GREY.shape, JPEG), "grey").pixels.shape == (
        1,
        *GREY.shape,
    )

    path = tiff(tmp_path / "y.tif", code[:-2] + scan * MAX_SCANS + code[-2:], GREY.shape, JPEG)
    with pytest.raises(RefusedError, match=f"{MAX_SCANS + 1} scans of its picture, above the limit"):
        read_picture(path, "grey")


@pytest.mark.parametrize("packed", [DEFLATE, JPEG, JPEG_2000])
def test_bytes_that_all_strips_share_are_read_no_more_often_than_their_pixels_need(
    tmp_path: Path, packed: int
) -> None:
    one = np.zeros((1, 1), np.uint8)
    code = {
        DEFLATE: zlib.compress(one),
        JPEG: bytes(imagecodecs.jpeg8_encode(one)),
        JPEG_2000: wavelets(one),
    }[packed]
    few = tiff(tmp_path / "few.tif", code + bytes(1000), (1000, 1), packed, 1000, rows=1)
    assert read_picture(few, "grey").pixels.shape == (1, 1000, 1)

    many = tiff(tmp_path / "many.tif", code + bytes(100_000), (1000, 1), packed, 1000, rows=1)
    with pytest.raises(RefusedError, match=r"more than \d+ bytes, where its pixels can need \d+"):
        read_picture(many, "grey")


def test_tiles_that_reach_far_beyond_the_picture_are_refused(tmp_path: Path) -> None:
    square, stripe = zlib.compress(bytes(10**6)), zlib.compress(bytes(10**6), 1)
    wide = tiff(tmp_path / "x.tif", square, (1, 10**5), DEFLATE, 100, columns=1000, length=1000)
    high = tiff(tmp_path / "y.tif", stripe, (500, 500), DEFLATE, 500, columns=1, length=10**6)

    for path in (wide, high):
        with pytest.raises(
            RefusedError, match=r"tiles of the TIFF hold \d+ pixels together.* Save it anew, in strips"
        ):
            read_picture(path, "grey")
    narrow = tiff(
        tmp_path / "z.tif", zlib.compress(bytes(2**16)), (10, 20_000), DEFLATE, 79, columns=256, length=256
    )
    small = tiff(
        tmp_path / "s.tif", zlib.compress(bytes(2**20)), (5, 7), DEFLATE, 1, columns=1024, length=1024
    )
    assert read_picture(narrow, "grey").pixels.shape == (1, 10, 20_000)
    assert read_picture(small, "grey").pixels.shape == (1, 5, 7)


def chained(
    path: Path, count: int, code: bytes, size: tuple[int, int], *, back: int = 0, **laid: Any
) -> Path:
    """As many pages that all are the same, of which the last may lead back by so many."""
    tiff(path, code, size, DEFLATE, 1, **laid)
    data = path.read_bytes()
    (first,) = struct.unpack_from("<I", data, 4)
    page = data[first:-4]
    places = [first + n * (len(page) + 4) for n in range(count)]
    ends = [*places[1:], places[-back] if back else 0]
    path.write_bytes(data[:first] + b"".join(page + struct.pack("<I", following) for following in ends))
    return path


def test_tiles_of_all_pages_count_together(tmp_path: Path) -> None:
    tile, small = zlib.compress(bytes(10**6)), zlib.compress(bytes(16**2))
    with pytest.raises(RefusedError, match="tiles of the TIFF hold 1000000 pixels together"):
        read_pictures(chained(tmp_path / "x.tif", 60, tile, (1, 1), columns=1000, length=1000), "grey")
    assert (
        len(read_pictures(chained(tmp_path / "y.tif", 60, small, (1, 1), columns=16, length=16), "grey"))
        == 60
    )


def test_very_many_pages_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, most = zlib.compress(b"\0"), 60
    paths = [chained(tmp_path / f"{count}.tif", count, code, (1, 1)) for count in (most, most + 1)]
    monkeypatch.setattr(stored, "MOST_PICTURES", most)

    assert len(read_pictures(paths[0], "grey")) == most
    for read in (picture_size, pictures_size, lambda path: read_pictures(path, "grey")):
        with pytest.raises(RefusedError, match=r"the TIFF holds 61 pages, expected 60 at most\. Save those"):
            read(paths[1])


def test_pixels_of_all_pages_are_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "BESIDE", 1000 * CALL)
    pixels = np.random.default_rng(4).integers(0, 256, (200, 200), dtype=np.uint8)
    code = zlib.compress(pixels)

    assert len(read_pictures(chained(tmp_path / "x.tif", 9, code, pixels.shape), "grey")) == 9


def test_pages_that_lead_back_to_one_another_are_left_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "BESIDE", 2000 * CALL)
    path = chained(tmp_path / "x.tif", 200, zlib.compress(b"\0"), (1, 1), back=2)

    for read in (picture_size, lambda path: read_pictures(path, "grey")):
        with pytest.raises(RefusedError, match="bytes stand before the pixels"):
            read(path)


@pytest.mark.parametrize(
    ("tag", "kind"),
    [(258, 3), (270, 2), (273, 4), (279, 4), (305, 2), (330, 4), (338, 3), (339, 3), (347, 7), (50838, 4)],
)
def test_a_tag_is_not_read_however_long_it_is(tmp_path: Path, tag: int, kind: int) -> None:
    code, long = zlib.compress(GREY), 1 << 30
    path = tiff(tmp_path / "x.tif", code, GREY.shape, DEFLATE)
    with path.open("rb") as handle:
        data = handle.read()
    at = len(data) - len(data) % 2
    tags = {256: 64, 257: 48, 258: 8, 259: DEFLATE, 262: 1, 273: 8, 277: 1, 278: 48, 279: len(code)}
    tags[tag] = (kind, long // {2: 1, 3: 2, 4: 4, 7: 1}[kind], at + 1000)  # type: ignore[assignment]
    with path.open("wb") as handle:
        handle.write(b"II*\0" + struct.pack("<I", at) + data[8:at] + directory(at, tags))
        handle.truncate(at + 1000 + long)

    for read in (picture_size, lambda path: read_picture(path, "grey")):
        with pytest.raises(
            RefusedError, match=r"bytes stand before the pixels of the file, .*Save the picture alone"
        ):
            read(path)


def test_a_description_of_more_axes_than_an_array_may_have_is_refused(tmp_path: Path) -> None:
    """Their product would be a number of millions of digits."""
    shape = f'{{"shape": [{", ".join(["9" * 4000] * 100)}]}}'
    tifffile.imwrite(tmp_path / "x.tif", GREY, description=shape, metadata=None)

    with pytest.raises(DataError, match="more axes than an array may have"):
        read_picture(tmp_path / "x.tif", "grey")
