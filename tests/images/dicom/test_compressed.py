from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
import SimpleITK
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import JPEGLossless, JPEGLosslessSV1

from medseg.errors import DataError
from medseg.images.codestream import Coded, complete, header
from medseg.images.dicom.reader import read_dicom
from medseg.testing.dicoms import write_dicom

RNG = np.random.default_rng(5)


def guess(x: NDArray[Any], i: int, j: int, first: bool, predictor: int, middle: int) -> int:
    """Table H.1 of ITU-T T.81, pixel by pixel."""
    left = int(x[i, j - 1]) if j else 0
    if first:
        return left if j else middle
    above = int(x[i - 1, j])
    if not j:
        return above
    corner = int(x[i - 1, j - 1])
    return [
        left,
        above,
        corner,
        left + above - corner,
        left + ((above - corner) >> 1),
        above + ((left - corner) >> 1),
        (left + above) >> 1,
    ][predictor - 1]


def coded(difference: int) -> str:
    """A code of six bits that tells how many follow, and these."""
    difference &= 0xFFFF
    if difference == 32768:
        return format(16, "06b")
    value = difference - 65536 if difference > 32768 else difference
    bits = abs(value).bit_length()
    low = value if value > 0 else value + (1 << bits) - 1
    return format(bits, "06b") + (format(low, f"0{bits}b") if bits else "")


def scan(planes: NDArray[Any], bits: int, predictor: int, rows: int, group: Sequence[int]) -> bytes:
    height, width = planes.shape[:2]
    found = b""
    for number, top in enumerate(range(0, height, rows)):
        text = ""
        for i in range(top, min(height, top + rows)):
            for j in range(width):
                for k in group:
                    x = planes[..., k]
                    text += coded(int(x[i, j]) - guess(x, i, j, i == top, predictor, 1 << (bits - 1)))
        text += "1" * (-len(text) % 8)
        packed = bytes(int(text[n : n + 8], 2) for n in range(0, len(text), 8)).replace(b"\xff", b"\xff\0")
        found += (bytes([0xFF, 0xD0 + (number - 1) % 8]) if number else b"") + packed
    return found


def encoded(
    planes: NDArray[Any],
    bits: int,
    predictor: int = 1,
    *,
    shift: int = 0,
    restart: int = 0,
    together: bool = True,
) -> bytes:
    """Lossless JPEG of (H, W, C), slow and plain; `restart` counts rows."""
    height, width, samples = planes.shape
    table = b"\0" + bytes([0, 0, 0, 0, 0, 17, *[0] * 10]) + bytes(range(17))
    data = b"\xff\xd8\xff\xc4" + struct.pack(">H", 2 + len(table)) + table
    data += b"\xff\xc3" + struct.pack(">HBHHB", 8 + 3 * samples, bits, height, width, samples)
    data += b"".join(bytes([k + 1, 0x11, 0]) for k in range(samples))
    if restart:
        data += b"\xff\xdd" + struct.pack(">HH", 4, restart * width)
    for group in [range(samples)] if together else [[k] for k in range(samples)]:
        data += b"\xff\xda" + struct.pack(">HB", 6 + 2 * len(group), len(group))
        data += b"".join(bytes([k + 1, 0]) for k in group) + bytes([predictor, 0, shift])
        data += scan(planes >> shift, bits - shift, predictor, restart or height, group)
    return data + b"\xff\xd9"


def held(folder: Path, planes: NDArray[Any], coded: bytes, **told: Any) -> Path:
    """A file with a codestream of these planes (H, W, C)."""
    array = planes[..., 0] if planes.shape[2] == 1 else planes
    told = {"transfer_syntax": JPEGLossless, "PixelData": encapsulate([coded]), **told}
    return write_dicom(folder / "a.dcm", array, **told)


def read_as_stored(path: Path) -> NDArray[Any]:
    """Its samples (H, W, C); (H, W, 3) of greys too."""
    return read_dicom(path, "rgb", "none").pixels.transpose(1, 2, 0)


# Lossless JPEG


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [2, 8, 12, 16])
@pytest.mark.parametrize("samples", [1, 3])
def test_any_picture_in_lossless_jpeg_comes_back_as_it_was(tmp_path, predictor, bits, samples):
    planes = RNG.integers(0, 1 << bits, (7, 9, samples)).astype(np.uint8 if bits <= 8 else np.uint16)
    for options in ({}, {"restart": 3}, {"together": False}):
        coded = encoded(planes.astype(np.uint16), bits, predictor, **options)
        found = read_as_stored(held(tmp_path, planes, coded, BitsStored=bits))
        np.testing.assert_array_equal(found, np.broadcast_to(planes, (7, 9, 3)))


def test_differences_of_half_the_range_have_a_code_without_bits(tmp_path):
    planes = np.array([[0, 32768, 0, 32768], [65535, 32767, 0, 1]], np.uint16)[..., None]
    np.testing.assert_array_equal(
        read_as_stored(held(tmp_path, planes, encoded(planes, 16)))[..., :1], planes
    )


def test_a_point_transform_is_undone(tmp_path):
    planes = RNG.integers(0, 4096, (6, 5, 1)).astype(np.uint16)
    path = held(tmp_path, planes, encoded(planes, 12, 4, shift=3), BitsStored=12)
    np.testing.assert_array_equal(read_as_stored(path)[..., :1], planes >> 3 << 3)


@pytest.mark.parametrize("colours", ["RGB", "YBR_FULL"])
def test_colours_in_lossless_jpeg_are_those_that_the_header_names(tmp_path, colours):
    planes = RNG.integers(0, 256, (7, 9, 3)).astype(np.uint8)
    path = held(tmp_path, planes, encoded(planes.astype(np.uint16), 8), PhotometricInterpretation=colours)
    expected = planes if colours == "RGB" else convert_color_space(planes, "YBR_FULL", "RGB")
    np.testing.assert_array_equal(read_as_stored(path), expected)


@pytest.mark.slow
def test_a_damaged_picture_ends_in_a_picture_of_the_size_or_a_data_error(tmp_path):
    planes = RNG.integers(0, 256, (8, 9, 1)).astype(np.uint8)
    data = encoded(planes.astype(np.uint16), 8)
    outcomes = {"read": 0, "refused": 0}
    for at in range(data.index(b"\xff\xc4"), len(data)):
        broken = bytearray(data)
        broken[at] ^= 0x55
        try:
            assert read_as_stored(held(tmp_path, planes, bytes(broken))).shape == (8, 9, 3)
            outcomes["read"] += 1
        except DataError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 0, outcomes


# Data that end early, and those that lack their end marker alone

SMOOTH = (np.add.outer(np.arange(24) * 5, np.arange(30) * 3) + RNG.integers(0, 9, (24, 30))).astype(np.uint8)
RGB = np.dstack([SMOOTH, SMOOTH[::-1], SMOOTH[:, ::-1]])


def of_pillow(planes: NDArray[Any], **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(planes).save(out, "JPEG", quality=90, **options)
    return out.getvalue()


CODED = {
    "lossless": (JPEGLossless, SMOOTH, encoded(SMOOTH[..., None].astype(np.uint16), 8, 4)),
    "lossless, restarted": (
        JPEGLossless,
        SMOOTH,
        encoded(SMOOTH[..., None].astype(np.uint16), 8, 1, restart=2),
    ),
    "lossless, planes one by one": (
        JPEGLossless,
        RGB,
        encoded(RGB.astype(np.uint16), 8, 1, together=False),
    ),
    "baseline": (uid.JPEGBaseline8Bit, SMOOTH, of_pillow(SMOOTH)),
    "baseline, restarted": (uid.JPEGBaseline8Bit, SMOOTH, of_pillow(SMOOTH, restart_marker_rows=1)),
    "baseline, colours": (uid.JPEGBaseline8Bit, RGB, of_pillow(RGB, subsampling=2)),
    "JPEG-LS": (uid.JPEGLSLossless, SMOOTH, bytes(imagecodecs.jpegls_encode(SMOOTH))),
    "JPEG-LS, colours": (uid.JPEGLSLossless, RGB, bytes(imagecodecs.jpegls_encode(RGB))),
}


@pytest.mark.parametrize("name", CODED)
def test_a_picture_that_lacks_its_end_marker_alone_is_read_and_any_that_lacks_more_is_not(tmp_path, name):
    syntax, pixels, coded = CODED[name]
    planes = pixels if pixels.ndim == 3 else pixels[..., None]
    told = {"transfer_syntax": syntax}
    whole = read_as_stored(held(tmp_path, planes, coded, **told))
    np.testing.assert_array_equal(read_as_stored(held(tmp_path, planes, coded[:-2], **told)), whole)
    begin = coded.rindex(b"\xff\xda") + 20
    for end in [*range(begin, len(coded) - 12, max(1, (len(coded) - begin) // 12)), len(coded) - 6]:
        for cut in (coded[:end], coded[:end] + b"\xff\xd9"):  # as stored; and mended by some program
            with pytest.raises(DataError, match=r"ends early|damaged"):
                read_as_stored(held(tmp_path, planes, cut, **told))


# Bits and colours


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [uid.JPEGLSLossless, uid.JPEG2000Lossless, JPEGLossless, uid.RLELossless])
def test_bits_above_those_stored_do_not_count(tmp_path, syntax, signed):
    """Old files hold an overlay there."""
    values = RNG.integers(-2048, 2048, (7, 9)) if signed else RNG.integers(0, 4096, (7, 9))
    dirty = (values & 0x0FFF).astype(np.uint16) | np.uint16(0x1000)
    path = write_dicom(tmp_path / "a.dcm", dirty, transfer_syntax=syntax)
    data = pydicom.dcmread(path)
    data.BitsStored, data.HighBit, data.PixelRepresentation = 12, 11, int(signed)
    data.save_as(path)
    np.testing.assert_array_equal(read_dicom(path, "grey", "none").pixels[0], values)


@pytest.mark.parametrize("syntax", [uid.JPEGLSLossless, uid.JPEG2000Lossless, JPEGLosslessSV1])
def test_the_bits_stored_have_the_sign_that_the_header_says(tmp_path, syntax):
    signed = RNG.integers(-2048, 2048, (7, 9)).astype(np.int16)
    path = write_dicom(tmp_path / "a.dcm", signed, transfer_syntax=syntax, BitsStored=12)
    np.testing.assert_array_equal(read_dicom(path, "grey", "none").pixels[0], signed)


@pytest.mark.parametrize("height", [3, 24])
def test_jpeg_ls_may_hold_its_planes_one_by_one(tmp_path, height):
    planes = RGB[:height, :3] if height == 3 else RGB[:height]
    frame = struct.pack(">HBHHB", 17, 8, *planes.shape) + b"\x01\x11\0\x02\x11\0\x03\x11\0"
    coded = b"\xff\xd8\xff\xf7" + frame
    for k in range(3):
        alone = bytes(imagecodecs.jpegls_encode(np.ascontiguousarray(planes[..., k])))
        begin = alone.index(b"\xff\xda") + 10
        coded += b"\xff\xda\x00\x08\x01" + bytes([k + 1, 0, 0, 0, 0]) + alone[begin:-2]
    path = held(tmp_path, planes, coded + b"\xff\xd9", transfer_syntax=uid.JPEGLSLossless)
    np.testing.assert_array_equal(read_as_stored(path), planes)


def test_jpeg_of_twelve_bits_is_read_as_itk_reads_it(tmp_path):
    twelve = SMOOTH.astype(np.uint16) * 16
    path = write_dicom(
        tmp_path / "a.dcm", twelve, transfer_syntax=uid.JPEGExtended12Bit, BitsStored=12, BitsAllocated=16
    )
    found = read_dicom(path, "grey", "none").pixels[0]
    assert np.abs(found - twelve).max() < 100
    np.testing.assert_allclose(found, SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0], atol=1)


@pytest.mark.parametrize("transform", [0, 1])
def test_the_colours_that_adobes_marker_names_are_believed(tmp_path, transform):
    space = "RGB" if transform == 0 else "YCBCR"
    coded = bytes(imagecodecs.jpeg8_encode(RGB, level=95, colorspace="RGB", outcolorspace=space))
    marker = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])
    begin = coded.index(b"\xff\xdb")
    coded = coded[:2] + marker + coded[begin:]
    for told in ("RGB", "YBR_FULL_422"):
        path = held(
            tmp_path, RGB, coded, transfer_syntax=uid.JPEGBaseline8Bit, PhotometricInterpretation=told
        )
        assert np.abs(read_as_stored(path).astype(int) - RGB).mean() < 4
        notes = read_dicom(path, "rgb").notes
        assert any("another colour space" in note for note in notes) == ((told == "RGB") != (transform == 0))


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["JPEG-lossy", "JPEGLSNearLossless_16", "JPEG2000", "MR_small_jp2klossless"])
def test_real_compressed_pictures_are_those_of_itk(real_data, name):
    path = next(real_data("dicom").rglob(f"{name}.dcm"))
    expected = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]
    np.testing.assert_allclose(read_dicom(path, "grey", "none").pixels[0], expected, atol=1)


def test_the_header_tells_the_size_and_the_end_is_seen():
    data = encoded(RNG.integers(0, 256, (8, 9, 3)).astype(np.uint16), 8)
    assert header(data) == Coded(8, 9, 3, 8)
    assert complete(data)
    assert complete(data + b"\0")
    assert not complete(data[:-1])
    assert not complete(data[:-2])
    assert header(b"") is None
    assert header(b"\xff\xd8") is None
    assert header(b"something else") is None
