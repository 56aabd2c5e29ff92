from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps, PngImagePlugin, TiffImagePlugin

from medseg.errors import DataError
from medseg.images.pictures import decoders as picture_kinds
from medseg.images.pictures import open as picture_file
from medseg.images.pictures.decoders import MAX_PIXELS
from medseg.images.pictures.read import SUFFIXES, picture_size, read_mask, read_picture

RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 256, (60, 100), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (60, 100), dtype=np.uint16)
COLOUR = RNG.integers(0, 256, (60, 100, 3), dtype=np.uint8)
COLOURED = np.dstack([COLOUR, RNG.integers(0, 255, (60, 100), dtype=np.uint8)])


def l_shape(value: int = 255) -> NDArray[np.uint8]:
    """An L in a 60x100 picture, that no rotation, flip or swap of axes maps onto itself."""
    mask = np.zeros((60, 100), dtype=np.uint8)
    mask[8:40, 16:24] = value
    mask[32:40, 16:72] = value
    return mask


def saved(path: Path, pixels: NDArray[Any] | Image.Image, **options: Any) -> Path:
    if path.suffix == ".npy" and not isinstance(pixels, Image.Image):
        np.save(path, pixels)
    else:
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(path, **options)
    return path


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    size: tuple[int, int], depth: int, colour: int, rows: bytes, *before: bytes, after: bytes = b""
) -> bytes:
    """A PNG by hand; `rows` holds a filter byte before each row."""
    header = struct.pack(">IIBBBBB", size[1], size[0], depth, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows))
    end = chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(before) + data + after + end


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def tiff(path: Path, pixels: NDArray[Any], tags: dict[int, Any]) -> Path:
    """An uncompressed TIFF by hand, for what Pillow does not write."""
    height, width = pixels.shape[:2]
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    bands = pixels.shape[2] if pixels.ndim == 3 else 1
    bits = pixels.dtype.itemsize * 8
    found: dict[int, tuple[int, ...]] = {
        256: (width,),
        257: (height,),
        258: (bits,) * bands,
        259: (1,),
        262: (1,),
    }
    found |= {273: (8,), 277: (bands,), 278: (height,), 279: (len(data),), **tags}
    extra, entries = b"", b""
    start = 8 + len(data) + 2 + 12 * len(found) + 4
    for number, values in sorted(found.items()):
        body = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            body, extra = struct.pack("<I", start + len(extra)), extra + body
        entries += struct.pack("<HHI", number, 4, len(values)) + body
    directory = struct.pack("<H", len(found)) + entries + bytes(4)
    return put(path, b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + extra)


# Rows and columns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_stay_rows_in_every_format(tmp_path: Path, suffix: str) -> None:
    shape = l_shape()
    path = saved(tmp_path / f"ä mask{suffix}", shape)

    picture, mask = read_picture(path, "grey"), read_mask(path, above=127)

    assert picture_size(path) == (60, 100)
    assert picture.pixels.shape == mask.pixels.shape == (1, 60, 100)
    np.testing.assert_array_equal(picture.pixels[0] > 127, shape > 0)
    np.testing.assert_array_equal(mask.pixels[0], shape > 0)
    assert mask.pixels.dtype == np.uint8
    assert picture.notes == mask.notes == ()


ORIENTED: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, 3),
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", "lzw.tif"])
def test_exif_rotation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"compression": "tiff_lzw"} if "lzw" in suffix else {}
    path = saved(tmp_path / f"x{suffix}", l_shape(), exif=exif, **options)
    wanted = ORIENTED[orientation](l_shape())

    picture, mask = read_picture(path, "rgb"), read_mask(path, above=127)

    assert picture_size(path) == wanted.shape
    np.testing.assert_array_equal(picture.pixels > 127, np.stack([wanted > 0] * 3))
    np.testing.assert_array_equal(mask.pixels[0], wanted > 0)
    with Image.open(io.BytesIO(path.read_bytes())) as image:  # by path, Pillow 13.0 forgets to turn raw TIFF
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(image)) > 127, wanted > 0)
    told = () if orientation == 1 else (f"EXIF rotation {orientation} was applied",)
    assert picture.notes == mask.notes == told


@pytest.mark.parametrize("after", [False, True], ids=["before the pixels", "behind the pixels"])
def test_a_png_may_hold_its_exif_block_anywhere(tmp_path: Path, after: bool) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    block = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    rows = b"".join(b"\0" + row.tobytes() for row in GREY)
    data = png((60, 100), 8, 0, rows, after=block) if after else png((60, 100), 8, 0, rows, block)
    path = put(tmp_path / "x.png", data)

    assert picture_size(path) == (100, 60)
    np.testing.assert_array_equal(read_picture(path, "grey").pixels[0], np.rot90(GREY, 3))


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "lzw.tif", "x.bmp", "x.npy"])
def test_the_size_is_known_without_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    options = {"compression": "tiff_lzw"} if "lzw" in name else {}
    path = saved(tmp_path / name, GREY, **options)

    def decoded(*_: Any) -> None:
        pytest.fail("the picture was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", decoded)
    assert picture_size(path) == (60, 100)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_exif_block_is_passed_over(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", GREY, exif=b"Exif\0\0nonsense")

    picture = read_picture(path, "grey")

    np.testing.assert_array_equal(picture.pixels[0], GREY)
    assert picture.notes == ("its EXIF block is damaged and was passed over",)
    assert picture_size(path) == (60, 100)


# Kinds of pixels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_grey_from_colour_is_pillows_luma_and_rgb_is_as_stored(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"x{suffix}", COLOUR)

    np.testing.assert_array_equal(read_picture(path, "rgb").pixels, COLOUR.transpose(2, 0, 1))
    luma = read_picture(path, "grey").pixels
    np.testing.assert_array_equal(luma[0], np.asarray(Image.fromarray(COLOUR).convert("L")))
    assert luma.dtype == np.uint8


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32])
def test_luma_is_exact_where_the_planes_are_equal(tmp_path: Path, kind: type) -> None:
    grey = np.append(RNG.integers(0, 255, 5999), 255).reshape(60, 100).astype(kind)
    grey = grey / 7 if kind is np.float32 else grey * np.iinfo(kind).max // 255 if kind is np.uint16 else grey
    grey = grey.astype(kind)
    path = saved(tmp_path / "x.npy", np.dstack([grey] * 3))

    picture = read_picture(path, "grey")

    assert picture.pixels.dtype == kind
    np.testing.assert_array_equal(picture.pixels[0], grey)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_grey_is_repeated_for_rgb(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"x{suffix}", GREY)

    rgb = read_picture(path, "rgb").pixels

    assert rgb.shape == (3, 60, 100)
    np.testing.assert_array_equal(rgb, np.repeat(read_picture(path, "grey").pixels, 3, axis=0))
    with Image.open(path) as image:
        np.testing.assert_array_equal(rgb[0], np.asarray(image))


@pytest.mark.parametrize(
    ("suffix", "opaque"), [(".png", False), (".png", True), (".tif", False), (".npy", False)]
)
def test_alpha_is_dropped_not_blended_and_noted_where_it_matters(
    tmp_path: Path, suffix: str, opaque: bool
) -> None:
    pixels = COLOURED.copy()
    pixels[..., 3] = 255 if opaque else pixels[..., 3]
    path = saved(tmp_path / f"x{suffix}", pixels)

    picture = read_picture(path, "rgb")

    np.testing.assert_array_equal(picture.pixels, COLOUR.transpose(2, 0, 1))
    assert picture.notes == (() if opaque else ("its alpha channel was dropped",))


def test_grey_with_alpha_is_grey(tmp_path: Path) -> None:
    pair = np.dstack([GREY, COLOURED[..., 3]])
    path = saved(tmp_path / "x.png", Image.fromarray(pair))

    picture = read_picture(path, "grey")

    np.testing.assert_array_equal(picture.pixels[0], GREY)
    np.testing.assert_array_equal(read_mask(path).pixels[0], GREY)
    assert picture.notes == ("its alpha channel was dropped",)


@pytest.mark.parametrize("key", [3, b"\xff\xff\xff\x80"], ids=["one entry", "a table"])
def test_transparent_palette_entries_are_noted(tmp_path: Path, key: int | bytes) -> None:
    image = Image.fromarray(GREY % 5).convert("P")
    image.putpalette(list(range(15)))
    path = saved(tmp_path / "x.png", image, transparency=key)
    unused = saved(tmp_path / "y.png", image, transparency=200)

    assert read_picture(path, "rgb").notes == ("its alpha channel was dropped",)
    assert read_picture(unused, "rgb").notes == ()


def test_a_transparent_colour_is_drawn_as_any_other(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", COLOUR, transparency=tuple(int(n) for n in COLOUR[5, 5]))

    picture = read_picture(path, "rgb")

    np.testing.assert_array_equal(picture.pixels, COLOUR.transpose(2, 0, 1))
    assert picture.notes == ("its alpha channel was dropped",)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_a_palette_gives_colours_to_pictures_and_indices_to_masks(tmp_path: Path, suffix: str) -> None:
    colours = RNG.integers(0, 256, (256, 3), dtype=np.uint8)
    image = Image.fromarray(GREY).convert("P")
    image.putpalette(colours.tobytes())
    path = saved(tmp_path / f"x{suffix}", image)

    np.testing.assert_array_equal(read_picture(path, "rgb").pixels, colours[GREY].transpose(2, 0, 1))
    luma = np.asarray(Image.fromarray(colours[GREY]).convert("L"))
    np.testing.assert_array_equal(read_picture(path, "grey").pixels[0], luma)
    np.testing.assert_array_equal(read_mask(path).pixels[0], GREY)


def test_a_grey_palette_gives_its_greys_to_masks(tmp_path: Path) -> None:
    image = Image.fromarray(GREY % 2).convert("P")
    image.putpalette([0, 0, 0, 200, 200, 200])
    path = saved(tmp_path / "x.png", image)

    np.testing.assert_array_equal(read_mask(path).pixels[0], np.where(GREY % 2 == 0, 0, 200))


@pytest.mark.parametrize("above", [None, 127])
def test_a_mask_in_an_inverting_table_is_refused_and_a_picture_is_read_as_shown(
    tmp_path: Path, above: int | None
) -> None:
    black_on_white = Image.fromarray(l_shape()).convert("P")
    black_on_white.putpalette([each for n in range(256) for each in 3 * [255 - n]])
    few = Image.fromarray(l_shape(1)).convert("P")
    few.putpalette([255, 255, 255, 0, 0, 0])
    paths = [
        saved(tmp_path / "a.png", black_on_white),
        saved(tmp_path / "b.png", few, bits=1),
        saved(tmp_path / "c.bmp", black_on_white),
        tiff(tmp_path / "d.tif", l_shape(), {262: (0,)}),
        tiff(tmp_path / "e.tif", l_shape().astype(np.uint16) * 257, {262: (0,)}),
    ]
    for path in paths:
        shown = read_picture(path, "grey").pixels[0]
        np.testing.assert_array_equal(shown > 0, l_shape() == 0)
        with pytest.raises(DataError, match=r"inverting lookup table.*Save it with 0 as black"):
            read_mask(path, above=above)


RED, YELLOW, GREEN = (255, 0, 0), (255, 255, 0), (0, 128, 0)
PAINTS = {
    "red": [(0, 0, 0), RED],
    "yellow": [(0, 0, 0), YELLOW],
    "nearly white": [(0, 0, 0), (255, 255, 254)],
    "nearly black": [(0, 2, 1), RED],
    "two classes": [(0, 0, 0), RED, GREEN],
}


def painted(colours: list[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """The L on a background, its foot in the last colour."""
    number = np.minimum(l_shape(1), 1)
    number[32:40, 16:72] = len(colours) - 1
    return np.array(colours, dtype=np.uint8)[number]


@pytest.mark.parametrize("colours", PAINTS.values(), ids=list(PAINTS))
@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_a_colour_mask_that_a_program_has_put_into_a_palette_is_refused_as_one(
    tmp_path: Path, colours: list[tuple[int, int, int]], suffix: str
) -> None:
    image = Image.fromarray(painted(colours)).quantize(len(colours))
    assert np.asarray(image)[0, 0] != 0  # the background is not 0
    with pytest.raises(
        DataError, match=r"a colour mask where .* number \d in place of 0.*Save one number a pixel"
    ):
        read_mask(saved(tmp_path / f"x{suffix}", image))


@pytest.mark.parametrize("held", [0, 1])
def test_an_empty_or_full_mask_in_such_a_palette_is_refused_as_well(tmp_path: Path, held: int) -> None:
    image = Image.fromarray(np.full((4, 6), held, np.uint8)).convert("P")
    image.putpalette([*RED, 0, 0, 0])
    with pytest.raises(DataError, match="a colour mask"):
        read_mask(saved(tmp_path / "x.png", image))


@pytest.mark.parametrize(
    "table",
    [
        [(0, 0, 0), RED, GREEN],
        [(255, 255, 255), RED, GREEN],
        [(0, 0, 0), RED, (255, 255, 255)],
        [(9, 60, 200), RED, GREEN],
    ],
)
@pytest.mark.parametrize("shown", [(0, 1, 2), (0, 1), (1, 2), (0,), (2,)])
def test_a_palette_that_counts_from_the_background_gives_labels(
    tmp_path: Path, table: list[tuple[int, int, int]], shown: tuple[int, ...]
) -> None:
    labels = np.resize(np.array(shown, np.uint8), (4, 6))
    image = Image.fromarray(labels).convert("P")
    image.putpalette([each for colour in table for each in colour])
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "x.png", image)).pixels[0], labels)


@pytest.mark.parametrize(
    "colours", [[(0, 0, 0), YELLOW], [(0, 0, 0), (255, 255, 254)], [(60, 0, 0), (0, 255, 0)]]
)
def test_a_mask_of_what_is_brighter_goes_by_the_colours_of_a_palette(
    tmp_path: Path, colours: list[tuple[int, int, int]]
) -> None:
    picture = Image.fromarray(painted(colours))
    images = [picture.quantize(2), picture.convert("P"), picture.quantize(2).remap_palette([1, 0])]
    for number, image in enumerate(images):
        path = saved(tmp_path / f"{number}.png", image)
        np.testing.assert_array_equal(read_mask(path, above=127).pixels[0], l_shape(1))


@pytest.mark.parametrize("held", [0, 1])
def test_an_empty_or_full_mask_in_an_inverting_table_is_refused_as_well(tmp_path: Path, held: int) -> None:
    one = np.full((4, 6), held, np.uint8)
    palette = [each for n in range(256) for each in 3 * [255 - n]]
    many, few = Image.fromarray(one * 255).convert("P"), Image.fromarray(one).convert("P")
    many.putpalette(palette)
    few.putpalette([255, 255, 255, 0, 0, 0])
    table = np.repeat(np.arange(65535, -1, -257, dtype=np.uint16)[None], 3, axis=0)
    tifffile.imwrite(tmp_path / "d.tif", one * 255, photometric="palette", colormap=table)
    paths = [
        saved(tmp_path / "a.png", many),
        saved(tmp_path / "b.png", few, bits=1),
        saved(tmp_path / "c.bmp", many),
        tmp_path / "d.tif",
        tiff(tmp_path / "e.tif", one * 255, {262: (0,)}),
    ]
    for path in paths:
        for above in (None, 127):
            with pytest.raises(DataError, match="inverting lookup table"):
                read_mask(path, above=above)


@pytest.mark.parametrize("held", [0, 1])
def test_an_empty_or_full_mask_in_a_table_that_brightens_is_read(tmp_path: Path, held: int) -> None:
    image = Image.fromarray(np.full((4, 6), held, np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 200, 200, 200])
    for path in (saved(tmp_path / "x.png", image), saved(tmp_path / "x.bmp", image)):
        assert read_mask(path).pixels.tolist() == [[[200 * held] * 6] * 4]


@pytest.mark.parametrize("compression", [None, "zlib", "packbits", "lzw"])
def test_a_bool_mask_as_tifffile_stores_it_is_refused_and_a_picture_is_read_as_shown(
    tmp_path: Path, compression: str | None
) -> None:
    path, mask = tmp_path / "x.tif", l_shape() > 0
    tifffile.imwrite(path, mask, compression=compression)
    with Image.open(path) as image:  # the two libraries disagree
        np.testing.assert_array_equal(np.asarray(image), ~tifffile.imread(path))

    np.testing.assert_array_equal(read_picture(path, "grey").pixels[0] > 0, ~mask)
    for above in (None, 127):
        with pytest.raises(DataError, match=r"inverting lookup table.*photometric='minisblack'"):
            read_mask(path, above=above)

    tifffile.imwrite(path, mask, compression=compression, photometric="minisblack")  # the remedy
    np.testing.assert_array_equal(read_mask(path).pixels[0], l_shape())


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_a_fax_is_read_as_shown_and_as_a_mask_refused_where_it_counts_white_as_zero(
    tmp_path: Path, compression: str
) -> None:
    path = saved(tmp_path / "x.tif", Image.fromarray(l_shape() > 0), compression=compression)
    np.testing.assert_array_equal(read_mask(path).pixels[0], l_shape())
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags["PhotometricInterpretation"].overwrite(0)

    np.testing.assert_array_equal(read_picture(path, "grey").pixels[0], 255 - l_shape())
    with pytest.raises(DataError, match="inverting lookup table"):
        read_mask(path)


def test_a_mask_that_is_in_its_alpha_channel_alone_is_refused(tmp_path: Path) -> None:
    mask = np.dstack([np.full((60, 100, 3), 255, np.uint8), l_shape()])
    for name in ("x.png", "x.npy"):
        path = saved(tmp_path / name, mask)
        for above in (None, 127):
            with pytest.raises(DataError, match="in its alpha channel alone"):
                read_mask(path, above=above)
    both = saved(tmp_path / "both.png", np.dstack([*[l_shape()] * 3, l_shape()]))
    np.testing.assert_array_equal(read_mask(both).pixels[0], l_shape())


@pytest.mark.parametrize("above", [None, 127])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255)])
@pytest.mark.parametrize("clear", [{"transparency": b"\0\xff"}, {}], ids=["transparent", "opaque"])
def test_a_mask_whose_palette_shows_all_its_numbers_alike_is_refused(
    tmp_path: Path, above: int | None, colour: tuple[int, int, int], clear: dict[str, bytes]
) -> None:
    image = Image.fromarray(l_shape(1)).convert("P")
    image.putpalette([*colour, *colour])
    path = saved(tmp_path / "x.png", image, **clear)
    with pytest.raises(DataError, match=r"palette shows all its numbers in one colour.*Save it as a grey"):
        read_mask(path, above=above)


def test_an_empty_mask_in_a_palette_with_a_transparent_background_is_read(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((4, 6), np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 200, 0, 0])
    path = saved(tmp_path / "x.png", image, transparency=0)
    assert not read_mask(path).pixels.any()


def test_a_mask_that_is_in_a_further_channel_of_a_tiff_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    stored = np.dstack([np.zeros_like(l_shape()), l_shape()])
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig="contig", extrasamples=[0])
    with pytest.raises(DataError, match="in a further channel alone"):
        read_mask(path)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_one_bit_is_0_or_255(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"x{suffix}", Image.fromarray(GREY > 127))

    for pixels in (read_picture(path, "grey").pixels, read_mask(path).pixels):
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels[0], np.where(GREY > 127, 255, 0))


def test_16_bits_are_kept_as_numbers(tmp_path: Path) -> None:
    big = tiff(tmp_path / "signed.tif", DEEP.view(np.int16), {339: (2,)})
    paths = [
        saved(tmp_path / "x.png", DEEP),
        saved(tmp_path / "x.tif", DEEP),
        saved(tmp_path / "x.npy", DEEP),
    ]
    paths.append(saved(tmp_path / "y.npy", DEEP.astype(">u2")))
    paths.append(saved(tmp_path / "lzw.tif", DEEP, compression="tiff_lzw"))
    paths.append(saved(tmp_path / "big.tif", Image.fromarray(DEEP.astype(">u2"))))

    for path in paths:
        for pixels in (read_picture(path, "grey").pixels, read_mask(path).pixels):
            assert pixels.dtype == np.uint16
            assert pixels.dtype.isnative
            np.testing.assert_array_equal(pixels[0], DEEP)
        assert read_picture(path, "rgb").pixels.shape == (3, 60, 100)
    np.testing.assert_array_equal(read_picture(big, "grey").pixels[0], DEEP.view(np.int16))


def test_32_bit_and_signed_tiffs_are_int32(tmp_path: Path) -> None:
    wide = GREY.astype(np.int32) * 100_003 - 7
    path = saved(tmp_path / "x.tif", wide)
    small = tiff(tmp_path / "y.tif", GREY.view(np.int8), {339: (2,)})

    np.testing.assert_array_equal(read_mask(path).pixels[0], wide)
    np.testing.assert_array_equal(read_mask(small).pixels[0], GREY.view(np.int8))
    assert read_mask(path).pixels.dtype == read_mask(small).pixels.dtype == np.int32
    with pytest.raises(DataError, match="above 2147483647"):
        read_mask(tiff(tmp_path / "z.tif", np.full((4, 5), 2**31, dtype=np.uint32), {}))


def test_real_tiffs_keep_their_numbers_and_nan(tmp_path: Path) -> None:
    real = (GREY / 7).astype(np.float32)
    real[3, 4] = np.nan
    path = saved(tmp_path / "x.tif", real)

    np.testing.assert_array_equal(read_picture(path, "grey").pixels[0], real)
    with pytest.raises(DataError, match="whole labels were expected"):
        read_mask(path)


def test_white_is_zero_is_read_as_shown(tmp_path: Path) -> None:
    for pixels in (GREY, DEEP):
        path = tiff(tmp_path / "x.tif", pixels, {262: (0,)})
        np.testing.assert_array_equal(
            read_picture(path, "grey").pixels[0], np.iinfo(pixels.dtype).max - pixels
        )


@pytest.mark.parametrize(("colour", "bands"), [(2, 3), (4, 2), (6, 4)])
def test_16_bit_colour_is_refused_not_cut(tmp_path: Path, colour: int, bands: int) -> None:
    rows = b"".join(b"\0" + bytes(5 * bands * 2) for _ in range(4))
    path = put(tmp_path / "x.png", png((4, 5), 16, colour, rows))

    with pytest.raises(DataError, match=r"16-bit colour .* Save it"):
        read_picture(path, "rgb")
    assert picture_size(path) == (4, 5)


@pytest.mark.parametrize(
    ("mode", "suffix"), [("CMYK", ".tif"), ("CMYK", ".jpg"), ("YCbCr", ".tif"), ("LAB", ".tif")]
)
def test_other_colours_become_rgb_by_pillow(tmp_path: Path, mode: str, suffix: str) -> None:
    image = (
        Image.frombytes("LAB", (100, 60), COLOUR.tobytes())
        if mode == "LAB"
        else Image.fromarray(COLOUR).convert(mode)
    )
    path = saved(tmp_path / f"x{suffix}", image)

    rgb = read_picture(path, "rgb").pixels

    with Image.open(path) as stored:
        np.testing.assert_array_equal(rgb, np.asarray(stored.convert("RGB")).transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("?", np.uint8), ("i1", np.int32), ("<i8", np.int32), (">u4", np.int32), ("<f8", np.float32),
        ("f2", np.float32), (">f4", np.float32),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(6, 10), (6, 10, 1)])
def test_arrays_become_the_nearest_kept_type(
    tmp_path: Path, kind: str, kept: type, shape: tuple[int, ...]
) -> None:
    array = (RNG.integers(0, 100, shape) % (2 if kind == "?" else 100)).astype(kind)
    path = saved(tmp_path / "x.npy", array)

    picture = read_picture(path, "grey")

    assert picture.pixels.dtype == kept
    np.testing.assert_array_equal(picture.pixels[0], array.reshape(6, 10).astype(kept))
    np.testing.assert_array_equal(read_mask(path).pixels[0], array.reshape(6, 10).astype(kept))
    assert picture_size(path) == (6, 10)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 3, 4, 5)), r"shape \(2, 3, 4, 5\), expected \(H, W\)"),
        (np.zeros((6, 10, 2)), "shape"),
        (np.zeros(7), "shape"),
        (np.array(5), "shape"),
        (np.zeros((0, 5)), "shape"),
        (np.zeros((3, 4), dtype=complex), "type complex128"),
        (np.array([["a", "b"]]), "type <U1"),
        (np.full((3, 4), 2**40), "beyond 32 bits"),
        (np.full((3, 4), 2**63, dtype=np.uint64), "beyond 32 bits"),
        (np.array([[None, {}]]), "damaged|cannot be decoded"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: NDArray[Any], words: str) -> None:
    path = tmp_path / "x.npy"
    np.save(path, array, allow_pickle=True)

    with pytest.raises(DataError, match=words):
        read_picture(path, "grey")


def test_pixels_may_be_written_to(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = saved(tmp_path / f"x{suffix}", GREY)
        for pixels in (read_picture(path, "grey").pixels, read_mask(path, above=3).pixels):
            assert pixels.flags.writeable
            assert pixels.flags.c_contiguous


# Masks -----------------------------------------------------------------------------------------------------


def test_a_mask_of_equal_planes_is_one_plane_and_of_colours_is_refused(tmp_path: Path) -> None:
    equal = saved(tmp_path / "x.png", np.dstack([GREY, GREY, GREY, COLOURED[..., 3]]))
    coloured = saved(tmp_path / "y.png", COLOUR)

    mask = read_mask(equal)

    np.testing.assert_array_equal(mask.pixels[0], GREY)
    assert mask.notes == ("its alpha channel was dropped",)
    for above in (None, 5):
        with pytest.raises(
            DataError, match=r"a colour mask where a label or instance map was expected.*Save one number"
        ):
            read_mask(coloured, above=above)


def test_whole_real_numbers_are_labels_and_broken_ones_are_not(tmp_path: Path) -> None:
    whole = saved(tmp_path / "x.npy", GREY.astype(np.float64))

    assert read_mask(whole).pixels.dtype == np.int32
    np.testing.assert_array_equal(read_mask(whole).pixels[0], GREY)
    for bad in (0.5, np.inf, np.nan, 1e12):
        with pytest.raises(DataError, match="whole labels were expected"):
            read_mask(saved(tmp_path / "y.npy", np.array([[0, bad]], dtype=np.float32)))


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_a_lossy_mask_needs_a_threshold(tmp_path: Path, suffix: str) -> None:
    blurred = l_shape(value=200)
    blurred[9:50, 43:61] = 90
    options = {"compression": "jpeg"} if suffix == ".tif" else {}
    path = saved(tmp_path / f"x{suffix}", blurred, **options)
    flat = saved(tmp_path / f"flat{suffix}", np.zeros((16, 16), dtype=np.uint8), **options)

    with pytest.raises(DataError, match=r"lossy JPEG.*pictures\.mask_above"):
        read_mask(path)
    np.testing.assert_array_equal(read_mask(path, above=145).pixels[0], blurred == 200)
    assert read_mask(flat).pixels.max() == 0


def test_above_counts_what_is_larger(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", np.array([[0, 299, 300], [301, 65535, 300]], dtype=np.uint16))

    mask = read_mask(path, above=300).pixels

    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask[0], [[0, 0, 0], [1, 1, 0]])


# Files that are not what they should be --------------------------------------------------------------------


def test_a_wrong_suffix_is_noted_and_case_does_not_matter(tmp_path: Path) -> None:
    inside = put(tmp_path / "x.jpg", saved(tmp_path / "x.png", GREY).read_bytes())
    bare = put(tmp_path / "x", inside.read_bytes())
    loud = put(tmp_path / "X.PNG", inside.read_bytes())
    array = saved(tmp_path / "a.npy", GREY).rename(tmp_path / "a.tif")

    assert read_picture(inside, "grey").notes == ("it is PNG inside though named .jpg",)
    assert read_mask(bare).notes == ("it is PNG inside though its name has no suffix",)
    assert read_picture(loud, "grey").notes == ()
    assert read_picture(array, "grey").notes == ("it is NumPy inside though named .tif",)


EVERY = [read_mask, picture_size, lambda path: read_picture(path, "rgb")]


@pytest.mark.parametrize("read", EVERY, ids=["mask", "size", "picture"])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"id,age\nBM,5\n", "it holds text, expected PNG"),
        (b"BM is how this text begins, and it goes on", "it holds text"),
        (b"%PDF-1.7\n\xd3\xf4", "it holds PDF"),
        (bytes(128) + b"DICM" + bytes(9), "it holds DICOM"),
        (b"\\\x01\0\0" + bytes(340) + b"n+1\0", "it holds NIfTI"),
        (b"\x1f\x8b\x08\0", "it holds gzip"),
        (b"GIF89a\0\0\xff", "it holds GIF"),
        (b"PK\3\4\0\0", "it holds a ZIP archive"),
        (pickle.dumps(object), "it holds a Python pickle"),
        (bytes(50), "it holds other data"),
    ],
)
def test_what_is_no_picture_is_named(
    tmp_path: Path, read: Callable[[Path], Any], data: bytes, words: str
) -> None:
    path = put(tmp_path / "secret.png", data)

    with pytest.raises(DataError, match=words) as caught:
        read(path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("read", EVERY, ids=["mask", "size", "picture"])
def test_files_that_cannot_be_opened(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    with pytest.raises(DataError, match="the file is not there"):
        read(tmp_path / "secret.png")
    with pytest.raises(DataError, match="cannot be read") as caught:
        read(tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "x.png", GREY)

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(picture_file.io, "FileIO", refused)
    with pytest.raises(DataError, match="may not be read by this user"):
        read_picture(path, "grey")


OPTIONS: dict[str, dict[str, Any]] = {
    "x.png": {}, "x.jpg": {}, "x.tif": {}, "lzw.tif": {"compression": "tiff_lzw"}, "x.bmp": {}, "x.npy": {},
    "jpeg.tif": {"compression": "jpeg"}, "progressive.jpg": {"progressive": True},
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("lenient", [False, True], ids=["", "LOAD_TRUNCATED_IMAGES"])
def test_truncated_files_end_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, lenient: bool
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    whole = saved(tmp_path / name, COLOUR, **OPTIONS[name]).read_bytes()
    read_picture(tmp_path / name, "rgb")

    for share in (0.3, 0.7, 0.95):
        path = put(tmp_path / name, whole[: int(len(whole) * share)])
        with pytest.raises(DataError, match="ends early"):
            read_picture(path, "rgb")


@pytest.mark.parametrize("options", [{}, {"subsampling": 2}, {"restart_marker_rows": 1}, {"optimize": True}])
def test_a_jpeg_that_lacks_its_end_marker_alone_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    whole = saved(tmp_path / "x.jpg", COLOUR, **options).read_bytes()
    assert whole.endswith(b"\xff\xd9")
    expected = read_picture(tmp_path / "x.jpg", "rgb").pixels

    for ending in (b"", b"\0", b"\xff"):
        found = read_picture(put(tmp_path / "y.jpg", whole[:-2] + ending), "rgb")
        np.testing.assert_array_equal(found.pixels, expected)
    for end in range(len(whole) - 60, len(whole) - 6, 6):
        with pytest.raises(DataError, match="ends early"):
            read_picture(put(tmp_path / "z.jpg", whole[:end]), "rgb")


def test_a_progressive_jpeg_without_its_end_marker_may_lack_a_scan(tmp_path: Path) -> None:
    whole = saved(tmp_path / "x.jpg", COLOUR, progressive=True).read_bytes()
    for end in (len(whole) - 2, whole.rindex(b"\xff\xda")):
        with pytest.raises(DataError, match="ends early"):
            read_picture(put(tmp_path / "y.jpg", whole[:end]), "rgb")


def test_a_flipped_bit_in_a_png_is_found(tmp_path: Path) -> None:
    whole = bytearray(saved(tmp_path / "x.png", GREY).read_bytes())
    for at in range(60, len(whole) - 20, 499):
        spoilt = whole.copy()
        spoilt[at] ^= 4
        with pytest.raises(DataError):
            read_picture(put(tmp_path / "y.png", spoilt), "grey")
    rows = b"".join(b"\0" + row.tobytes() for row in GREY)
    data = bytearray(png((60, 100), 8, 0, rows))
    data[-13] ^= 1  # of the check sum behind the pixels, which Pillow does not compare
    with pytest.raises(DataError, match="damaged"):
        read_picture(put(tmp_path / "z.png", data), "grey")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", OPTIONS)
def test_damaged_files_end_in_a_picture_or_a_data_error(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(11)
    small = COLOUR[:12, :17] if rng.random() < 0.5 else GREY[:12, :17]
    whole = saved(tmp_path / name, small, **OPTIONS[name]).read_bytes()
    path = tmp_path / f"y{name}"

    outcomes = set()
    for turn in range(300):
        spoilt = bytearray(whole)
        for at in rng.integers(0, len(spoilt) if turn % 2 else min(len(spoilt), 200), 1 + turn % 4):
            spoilt[at] = rng.integers(0, 256)
        path.write_bytes(spoilt[: rng.integers(1, len(spoilt))] if turn % 3 == 0 else spoilt)
        for read in EVERY:
            with contextlib.suppress(DataError):
                read(path)
                outcomes.add("read")
                continue
            outcomes.add("refused")
    assert outcomes == {"read", "refused"} or name.endswith(".png")


def frames(path: Path, **options: Any) -> Path:
    first, *rest = (Image.fromarray(np.full((60, 100), n, dtype=np.uint8)) for n in range(3))
    first.save(path, save_all=True, append_images=rest, **options)
    return path


@pytest.mark.parametrize("read", EVERY, ids=["mask", "size", "picture"])
@pytest.mark.parametrize(("name", "form"), [("x.png", "PNG"), ("x.tif", "TIFF"), ("x.jpg", "MPO")])
def test_several_pictures_in_one_file_are_refused(
    tmp_path: Path, name: str, form: str, read: Callable[[Path], Any]
) -> None:
    path = frames(tmp_path / name, format=form)

    with pytest.raises(DataError, match="3 pictures in one file, expected one"):
        read(path)


# Bombs and the process around ------------------------------------------------------------------------------


def huge(name: str, height: int, width: int) -> bytes:
    out = io.BytesIO()
    if name.endswith(".npy"):
        np.lib.format.write_array_header_1_0(
            out, {"descr": "|u1", "fortran_order": False, "shape": (height, width)}
        )
        return out.getvalue() + b"\0"
    form = {"png": "PNG", "jpg": "JPEG", "tif": "TIFF", "bmp": "BMP"}[name[-3:]]
    Image.fromarray(np.zeros((8, 9), dtype=np.uint8)).save(out, format=form)
    data = out.getvalue()
    if form == "PNG":
        return png((height, width), 8, 0, bytes(99))
    if form == "BMP":
        return data[:18] + struct.pack("<ii", width, height) + data[26:]
    if form == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]
    return data


@pytest.mark.parametrize("read", EVERY, ids=["mask", "size", "picture"])
@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.bmp", "x.tif", "x.npy"])
@pytest.mark.parametrize("size", [(10_001, 10_000), (60_000, 50_000)])
def test_bombs_are_refused_before_decoding(
    tmp_path: Path, name: str, size: tuple[int, int], read: Callable[[Path], Any]
) -> None:
    if name == "x.npy":
        path = tmp_path / name
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=size)  # sparse on the disk
    elif name == "x.tif":
        path = tiff(tmp_path / name, GREY, {256: (size[1],), 257: (size[0],)})
    else:
        path = put(tmp_path / name, huge(name, *size))
    before = Image.MAX_IMAGE_PIXELS

    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        with pytest.raises(
            DataError, match=rf"{size[0]} x {size[1]} pixels \(H x W\), above the limit of {MAX_PIXELS}"
        ):
            read(path)
    assert not met
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("limit", [None, 5, 89_478_485])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pillows_own_limit_plays_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, limit: int | None
) -> None:
    path = saved(tmp_path / f"x{suffix}", GREY)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)

    assert read_picture(path, "grey").pixels.shape == (1, 60, 100)
    monkeypatch.setattr(picture_kinds, "MAX_PIXELS", 5999)
    with pytest.raises(DataError, match="60 x 100 pixels"):
        read_picture(path, "grey")


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_text_bomb_is_refused(tmp_path: Path, place: str) -> None:
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(PngImagePlugin.MAX_TEXT_CHUNK + 1)))
    rows = b"".join(b"\0" + row.tobytes() for row in GREY)
    data = png((60, 100), 8, 0, rows, bomb) if place == "before" else png((60, 100), 8, 0, rows, after=bomb)

    with pytest.raises(DataError, match="unpacks to far more than text"):
        read_picture(put(tmp_path / "x.png", data), "grey")


def test_threads_read_without_harm_to_each_other(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"x{suffix}", GREY) for suffix in (".png", ".tif", ".bmp", ".npy")]
    wrong: list[Path] = []

    def read_all() -> None:
        read = ((path, read_picture(path, "grey").pixels[0]) for path in paths * 5)
        wrong.extend(path for path, pixels in read if not np.array_equal(pixels, GREY))

    threads = [threading.Thread(target=read_all) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed on Linux alone")
def test_no_file_stays_open(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"x{suffix}", GREY) for suffix in SUFFIXES]
    paths += [put(tmp_path / f"bad{path.suffix}", path.read_bytes()[:300]) for path in paths]
    paths += [frames(tmp_path / "many.tif", format="TIFF")]
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # no path is wanted

    for path in paths:
        for read in EVERY:
            with contextlib.suppress(DataError):
                read(path)

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


# Real pictures ---------------------------------------------------------------------------------------------


@pytest.mark.real_data
def test_real_particles_and_nuclei(real_data: Callable[[str], Path]) -> None:
    particles, nuclei = real_data("emps"), real_data("nuclei")
    for path in sorted((particles / "segmaps").iterdir())[:3]:
        image = particles / "images" / path.name
        mask = read_mask(path)
        assert mask.pixels.dtype == np.uint16
        assert mask.pixels.shape[1:] == picture_size(image) == read_picture(image, "grey").pixels.shape[1:]
    case = min((nuclei / "stage1_train").iterdir())
    rgb = read_picture(next((case / "images").iterdir()), "rgb")
    assert rgb.pixels.shape[0] == 3
    for path in (case / "masks").iterdir():
        assert set(np.unique(read_mask(path).pixels)) == {0, 255}
