from __future__ import annotations

import json
import logging
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from medseg.errors import DataError
from medseg.images.pictures.read import picture_size, read_mask, read_picture

RNG = np.random.default_rng(7)
ROWS, COLUMNS = np.mgrid[:50, :70]
GREY = ((np.sin(ROWS / 9) + np.cos(COLUMNS / 11) + 2) * 60 + RNG.integers(0, 9, ROWS.shape)).astype(np.uint8)
RGB = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
ALPHA = RNG.integers(0, 255, GREY.shape, dtype=np.uint8)

NUMBERS: dict[str, NDArray[Any]] = {
    "uint8": GREY,
    "uint16": GREY.astype(np.uint16) * 257,
    "uint32": GREY.astype(np.uint32) * 100_003,
    "int8": GREY.view(np.int8),
    "int16": GREY.astype(np.int16) * 9 - 589,
    "int32": GREY.astype(np.int32) * -100_003,
    "float16": (GREY / 7).astype(np.float16),
    "float32": (GREY / 7).astype(np.float32),
    "float64": GREY / 7,
}
COMPRESSIONS = (None, "packbits", "lzw", "deflate", "lzma", "zstd")


def put(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    tifffile.imwrite(path, pixels, **{"metadata": None, "photometric": "minisblack", **options})
    return path


@pytest.mark.slow
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_are_the_same_in_either_order_of_bytes_however_they_are_packed(
    tmp_path: Path, kind: str, compression: str | None, order: Any
) -> None:
    predicting = compression not in {None, "packbits"}
    for predictor in {False, predicting}:
        for laid in ({}, {"tile": (32, 48)}, {"rowsperstrip": 7}, {"bigtiff": True}):
            options = {"compression": compression, "predictor": predictor, **laid}
            path = put(tmp_path / "x.tif", NUMBERS[kind], byteorder=order, **options)

            found = read_picture(path, "grey").pixels[0]

            kept = {"uint8": "uint8", "uint16": "uint16"}.get(kind, "float32" if "float" in kind else "int32")
            assert found.dtype == kept
            np.testing.assert_array_equal(found, NUMBERS[kind].astype(kept))
            assert picture_size(path) == (50, 70)


def test_integers_beyond_32_bits_are_refused(tmp_path: Path) -> None:
    for big in (np.uint32(2**31), np.uint64(2**40), np.int64(-(2**40))):
        with pytest.raises(
            DataError, match=r"beyond 32 bits.* label map from 1; of an image, store 32-bit float"
        ):
            read_mask(put(tmp_path / "x.tif", np.full((4, 5), big)))
    small = put(tmp_path / "y.tif", np.full((4, 5), 9, np.int64))
    assert (read_mask(small).pixels == 9).all()


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_colours_keep_all_their_bits_pixel_by_pixel_or_plane_by_plane(
    tmp_path: Path, kind: Any, compression: str | None, planes: Any
) -> None:
    colours = RGB.astype(kind) * kind(257 if kind == np.uint16 else 1)
    stored = np.ascontiguousarray(colours if planes == "contig" else np.moveaxis(colours, -1, 0))
    options = {"photometric": "rgb", "planarconfig": planes, "compression": compression}
    path = put(tmp_path / "x.tif", stored, byteorder=">", **options)

    picture = read_picture(path, "rgb")

    np.testing.assert_array_equal(picture.pixels, colours.transpose(2, 0, 1))
    assert picture.pixels.dtype == kind
    assert picture.notes == ()


@pytest.mark.parametrize(("extra", "note"), [("unassalpha", "alpha"), ("unspecified", "no stated meaning")])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_what_comes_beside_the_colours_is_dropped_with_a_note(
    tmp_path: Path, kind: Any, extra: Any, note: str
) -> None:
    more = np.dstack([RGB, ALPHA]).astype(kind)
    path = put(tmp_path / "x.tif", more, photometric="rgb", extrasamples=[extra])
    pair = put(tmp_path / "y.tif", more[..., 2:], planarconfig="contig", extrasamples=[extra])

    for picture in (read_picture(path, "rgb"), read_picture(pair, "rgb")):
        assert [note in each for each in picture.notes] == [True]
    np.testing.assert_array_equal(read_picture(path, "rgb").pixels, RGB.transpose(2, 0, 1))
    np.testing.assert_array_equal(read_picture(pair, "grey").pixels[0], RGB[..., 2])


def test_colours_that_were_multiplied_by_their_opacity_are_divided_by_it(tmp_path: Path) -> None:
    stored = np.dstack([np.minimum(RGB, ALPHA[..., None]), ALPHA])
    path = put(tmp_path / "x.tif", stored, photometric="rgb", extrasamples=["assocalpha"])

    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGBA"))[..., :3]
    np.testing.assert_array_equal(read_picture(path, "rgb").pixels, expected.transpose(2, 0, 1))
    deep = put(
        tmp_path / "y.tif", stored.astype(np.uint16) * 257, photometric="rgb", extrasamples=["assocalpha"]
    )
    np.testing.assert_allclose(read_picture(deep, "rgb").pixels / 257, expected.transpose(2, 0, 1), atol=1)


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8, 10, 12, 16])
def test_greys_of_few_bits_run_to_255_others_are_numbers_and_white_may_be_zero(
    tmp_path: Path, bits: int
) -> None:
    values = RNG.integers(0, 2**bits, (9, 13)).astype(np.uint8 if bits <= 8 else np.uint16)
    stored = values > 0 if bits == 1 else values
    options = {} if bits in {1, 8, 16} else {"bitspersample": bits}
    dark = put(tmp_path / "x.tif", stored, **options)
    white = put(tmp_path / "y.tif", stored, photometric="miniswhite", **options)

    times = 255 // (2**bits - 1) if bits in {1, 2, 4} else 1
    np.testing.assert_array_equal(read_picture(dark, "grey").pixels[0], values * times)
    np.testing.assert_array_equal(read_picture(white, "grey").pixels[0], (2**bits - 1 - values) * times)


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_numbers_that_have_no_white_are_kept_where_white_is_zero(tmp_path: Path, kind: str) -> None:
    picture = read_picture(put(tmp_path / "x.tif", NUMBERS[kind], photometric="miniswhite"), "grey")

    np.testing.assert_array_equal(picture.pixels[0], NUMBERS[kind])
    assert ["white as zero" in note for note in picture.notes] == [True]


@pytest.mark.parametrize("entries", [np.uint16(each) for each in (257, 256, 255, 1)])
def test_a_palette_gives_colours_and_indices(tmp_path: Path, entries: np.uint16) -> None:
    table = RNG.integers(0, 256, (3, 256)).astype(np.uint16)
    table[0, :2] = 255, 254
    path = put(tmp_path / "x.tif", GREY, photometric="palette", colormap=table * entries)

    np.testing.assert_array_equal(read_picture(path, "rgb").pixels, table[:, GREY])
    np.testing.assert_array_equal(read_mask(path).pixels[0], GREY)


def test_a_palette_of_sixteen_bits_gives_its_indices(tmp_path: Path) -> None:
    labels = GREY.astype(np.uint16) * 200
    table = RNG.integers(0, 65536, (3, 65536)).astype(np.uint16)
    path = put(tmp_path / "x.tif", labels, photometric="palette", colormap=table)

    np.testing.assert_array_equal(read_mask(path).pixels[0], labels)
    np.testing.assert_array_equal(read_picture(path, "rgb").pixels, table[:, labels])


@pytest.mark.parametrize("step", [257, 256, 255, 1])
def test_labels_that_a_palette_shows_as_greys_are_read_as_these(tmp_path: Path, step: int) -> None:
    labels = np.minimum(GREY, 5)
    table = np.tile(np.arange(256, dtype=np.uint16) * np.uint16(step), (3, 1))
    path = put(tmp_path / "x.tif", labels, photometric="palette", colormap=table)

    np.testing.assert_array_equal(read_mask(path).pixels[0], labels)


def test_greys_of_sixteen_bits_in_a_palette_are_kept(tmp_path: Path) -> None:
    labels = GREY.astype(np.uint16) * 3
    table = np.tile(np.arange(65536).astype(np.uint16), (3, 1))
    path = put(tmp_path / "x.tif", labels, photometric="palette", colormap=table)

    np.testing.assert_array_equal(read_mask(path).pixels[0], labels)
    np.testing.assert_array_equal(read_picture(path, "grey").pixels[0], labels)


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr", "CMYK"])
@pytest.mark.parametrize(
    "laid", [{}, {"tile": (32, 48)}, {"rowsperstrip": 16}], ids=["one", "tiles", "strips"]
)
def test_jpeg_within_is_read_as_by_pillow(tmp_path: Path, mode: str, laid: dict[str, Any]) -> None:
    names = {"L": "minisblack", "RGB": "rgb", "YCbCr": "ycbcr", "CMYK": "separated"}
    pixels = np.asarray(Image.fromarray(RGB).convert(mode if mode != "YCbCr" else "RGB"))
    options = {"photometric": names[mode], "compression": "jpeg", "compressionargs": {"level": 92}}
    path = put(tmp_path / "x.tif", pixels, **options, **laid)

    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_allclose(read_picture(path, "rgb").pixels.astype(int), expected, atol=1)


def test_jpeg_of_twelve_bits_and_without_loss_are_read(tmp_path: Path) -> None:
    twelve = GREY.astype(np.uint16) * 16
    options = {"compression": "jpeg", "bitspersample": 12}
    lossy = put(tmp_path / "x.tif", twelve, compressionargs={"level": 95}, **options)
    exact = put(tmp_path / "y.tif", twelve, compressionargs={"lossless": True}, **options)

    assert np.abs(read_picture(lossy, "grey").pixels[0].astype(int) - twelve).max() < 60
    np.testing.assert_array_equal(read_picture(exact, "grey").pixels[0], twelve)


@pytest.mark.parametrize("compression", ["jpeg2000", "webp"])
def test_compressions_of_images_are_read_and_no_labels_trusted_to_them(
    tmp_path: Path, compression: str
) -> None:
    path = put(tmp_path / "x.tif", RGB, photometric="rgb", compression=compression)

    assert np.abs(read_picture(path, "rgb").pixels.astype(int) - RGB.transpose(2, 0, 1)).mean() < 6
    equal = np.dstack([GREY // 60] * 3)
    with pytest.raises(DataError, match="makes values up"):
        read_mask(put(tmp_path / "y.tif", equal, photometric="rgb", compression=compression))


@pytest.mark.parametrize("how", ["group3", "group4", "tiff_ccitt"])
def test_faxes_are_read_as_by_pillow(tmp_path: Path, how: str) -> None:
    Image.fromarray(GREY > 120).save(tmp_path / "x.tif", compression=how)

    np.testing.assert_array_equal(read_mask(tmp_path / "x.tif").pixels[0], np.where(GREY > 120, 255, 0))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"compression": "jpegxl"}, "compressed as JPEGXL, which medseg does not decode"),
        ({"compression": "lerc"}, "compressed as LERC"),
        ({"photometric": "cfa"}, "of the kind CFA, expected greys"),
        ({"photometric": "mask"}, "of the kind MASK"),
    ],
)
def test_what_is_not_read_is_refused_by_its_name(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_picture(put(tmp_path / "x.tif", GREY, **options), "rgb")


def test_numbers_and_samples_that_are_no_picture_are_refused(tmp_path: Path) -> None:
    said = {
        "type complex64": put(tmp_path / "a.tif", GREY.astype(np.complex64)),
        "4 samples a pixel of the kind MINISBLACK": put(
            tmp_path / "b.tif", np.dstack([RGB, GREY]), planarconfig="contig"
        ),
        "SEPARATED of 16 bits": put(
            tmp_path / "c.tif", np.dstack([RGB, GREY]).astype(np.uint16), photometric="separated"
        ),
    }
    for words, path in said.items():
        with pytest.raises(DataError, match=words):
            read_picture(path, "rgb")


def imagej(path: Path) -> Path:
    """Three pictures behind one directory, as ImageJ writes large stacks."""
    put(path, GREY, description="ImageJ=1.54f\nimages=3\nslices=3\n", metadata=None)
    with path.open("ab") as handle:
        handle.write(GREY.tobytes() * 2)
    return path


def test_pictures_behind_the_first_are_counted_however_they_are_told(tmp_path: Path) -> None:
    stack = np.stack([GREY] * 3)
    paths = [
        put(tmp_path / "pages.tif", stack),
        imagej(tmp_path / "imagej.tif"),
        put(tmp_path / "hyperstack.tif", stack, imagej=True, metadata={}),
        put(tmp_path / "shaped.tif", stack, metadata={}, contiguous=True),
        put(tmp_path / "one_directory.tif", stack, metadata={"axes": "ZYX"}, software="x", truncate=True),
        put(tmp_path / "volume.tif", stack, volumetric=True, tile=(16, 16, 16)),
    ]
    for path in paths:
        for read in (picture_size, read_mask, lambda each: read_picture(each, "rgb")):
            with pytest.raises(DataError, match="3 pictures in one file, expected one"):
                read(path)


@pytest.mark.parametrize("dialect", [{"imagej": True}, {"ome": True}, {"metadata": {"axes": "YX"}}])
def test_one_picture_with_the_notes_of_a_microscope_is_read(tmp_path: Path, dialect: dict[str, Any]) -> None:
    path = put(tmp_path / "x.tif", GREY.astype(np.uint16), **{"metadata": {}, **dialect})

    np.testing.assert_array_equal(read_picture(path, "grey").pixels[0], GREY)


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "jpeg", "zstd"])
@pytest.mark.parametrize(
    "laid", [{}, {"tile": (16, 16)}, {"rowsperstrip": 5}], ids=["one", "tiles", "strips"]
)
def test_a_file_that_ends_early_is_refused_wherever_it_ends(
    tmp_path: Path, compression: str | None, laid: dict[str, Any]
) -> None:
    whole = put(tmp_path / "x.tif", GREY, compression=compression, **laid).read_bytes()
    path = tmp_path / "y.tif"
    for end in [*range(9, len(whole) - 1, len(whole) // 29), len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match="ends early"):
            read_picture(path, "grey")


def test_a_tag_that_lies_beyond_the_end_is_not_passed_over(tmp_path: Path) -> None:
    """Without its bits a sample, a page would be read as of one bit."""
    path = put(tmp_path / "x.tif", RGB, photometric="rgb")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages.first.tags[258].offset
    data[at + 8 : at + 12] = struct.pack("<I", len(data) + 100)
    path.write_bytes(data)

    with pytest.raises(DataError, match="ends early"):
        read_picture(path, "rgb")


def test_a_tile_larger_than_any_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = put(tmp_path / "x.tif", GREY, tile=(16, 16), compression="deflate")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        places = [tiff.pages.first.tags[number].offset for number in (322, 323)]
    for at in places:
        data[at + 2 : at + 12] = struct.pack("<HII", 4, 1, 65536)
    path.write_bytes(data)

    with pytest.raises(DataError, match="above the limit"):
        read_picture(path, "grey")


@pytest.mark.parametrize("how", ["jpeg", "jpeg2000", "webp"])
@pytest.mark.parametrize("laid", [{"tile": (48, 64)}, {"rowsperstrip": 48}], ids=["tile", "strip"])
def test_a_code_of_more_pixels_than_the_tiff_says_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, laid: dict[str, Any]
) -> None:
    """Some kilobytes may stand for gigabytes."""
    encode = {
        "jpeg": imagecodecs.jpeg8_encode,
        "jpeg2000": imagecodecs.jpeg2k_encode,
        "webp": imagecodecs.webp_encode,
    }[how]
    sound, large = (bytes(encode(np.full((*size, 3), 9, np.uint8))) for size in ((48, 64), (480, 640)))
    for name, code in (("sound", sound), ("large", large)):
        tifffile.imwrite(
            tmp_path / f"{name}.tif", iter([code]), shape=(48, 64, 3), dtype="u1", photometric="rgb",
            compression=how, **laid,
        )  # fmt: skip
    assert read_picture(tmp_path / "sound.tif", "rgb").pixels.shape == (3, 48, 64)

    def decoded(*_: Any, **__: Any) -> None:
        raise AssertionError

    for name in ("jpeg8_decode", "jpeg2k_decode", "webp_decode"):
        monkeypatch.setattr(imagecodecs, name, decoded)
        monkeypatch.setattr(tifffile.tifffile.imagecodecs, name, decoded)
    with pytest.raises(DataError, match="damaged"):
        read_picture(tmp_path / "large.tif", "rgb")


def test_what_tifffile_logs_of_a_file_stays_out_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = put(tmp_path / "secret.tif", RGB, photometric="rgb", description="Mustermann")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages.first.tags[270].offset
    data[at + 8 : at + 12] = struct.pack("<I", len(data) + 100)
    path.write_bytes(data)

    with caplog.at_level(logging.DEBUG):
        read_picture(path, "rgb")
        assert caplog.records == []
        tifffile.imread(path)
    assert caplog.records != []  # others hear of it as ever
    assert json.dumps([record.getMessage() for record in caplog.records])


@pytest.mark.slow
def test_a_damaged_jpeg_within_never_ends_the_program(tmp_path: Path) -> None:
    """It stays with one decoder: others that tifffile falls back on do not survive all tables of codes."""
    path = put(tmp_path / "x.tif", GREY, compression="jpeg")
    whole = path.read_bytes()
    begin = whole.index(b"\xff\xc4")
    code = (
        "import sys; from pathlib import Path; from medseg.images.pictures.read import read_picture\n"
        "from medseg.errors import DataError\n"
        "path = Path(sys.argv[1]); whole = path.read_bytes(); begin = int(sys.argv[2])\n"
        "for at in range(begin, begin + 40):\n"
        "  for new in (0, 255, 195):\n"
        "    path.write_bytes(whole[:at] + bytes([new]) + whole[at + 1:])\n"
        "    try: read_picture(path, 'grey')\n"
        "    except DataError: pass\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(begin)], check=True)
