from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import JPEGLossless, JPEGLosslessSV1

from medseg.images.dicom.codestream import Coded, complete, header
from medseg.images.dicom.jpeg_lossless import decode
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


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [2, 8, 12, 16])
@pytest.mark.parametrize("samples", [1, 3])
def test_any_picture_comes_back_as_it_was(predictor, bits, samples):
    planes = RNG.integers(0, 1 << bits, (7, 9, samples)).astype(np.uint16)
    np.testing.assert_array_equal(decode(encoded(planes, bits, predictor)), planes)
    np.testing.assert_array_equal(decode(encoded(planes, bits, predictor, restart=3)), planes)
    np.testing.assert_array_equal(decode(encoded(planes, bits, predictor, together=False)), planes)


def test_differences_of_half_the_range_have_a_code_without_bits():
    planes = np.array([[0, 32768, 0, 32768], [65535, 32767, 0, 1]], np.uint16)[..., None]
    np.testing.assert_array_equal(decode(encoded(planes, 16)), planes)


def test_a_point_transform_is_undone():
    planes = RNG.integers(0, 4096, (6, 5, 1)).astype(np.uint16)
    np.testing.assert_array_equal(decode(encoded(planes, 12, 4, shift=3)), planes >> 3 << 3)


def test_pictures_of_many_bytes_are_read_piece_by_piece(monkeypatch):
    monkeypatch.setattr("medseg.images.dicom.jpeg_lossless._CHUNK", 5)
    planes = RNG.integers(0, 256, (11, 6, 3)).astype(np.uint16)
    np.testing.assert_array_equal(decode(encoded(planes, 8, 7)), planes)


@pytest.mark.parametrize("predictor", range(1, 8))
def test_gdcm_decodes_the_same(predictor):
    pytest.importorskip("gdcm")
    from pydicom.dataset import Dataset
    from pydicom.pixels import get_decoder

    planes = RNG.integers(0, 65536, (7, 9, 1)).astype(np.uint16)
    data = Dataset()
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = 7, 9, 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.PixelRepresentation = 16, 16, 0
    data.PixelData = encapsulate([encoded(planes, 16, predictor)])
    data["PixelData"].VR = "OB"
    found, _ = get_decoder(JPEGLossless).as_array(data, decoding_plugin="gdcm")
    np.testing.assert_array_equal(decode(encoded(planes, 16, predictor))[..., 0], found)


def test_a_dicom_file_is_decoded_with_its_bits_stored_and_its_sign(tmp_path):
    signed = RNG.integers(-2048, 2048, (7, 9)).astype(np.int16)
    data = encapsulate([encoded((signed & 0x0FFF).astype(np.uint16)[..., None], 12)])
    for syntax in (JPEGLossless, JPEGLosslessSV1):
        path = write_dicom(tmp_path / "a.dcm", signed, transfer_syntax=syntax, BitsStored=12, PixelData=data)
        np.testing.assert_array_equal(read_dicom(path, "grey", "none").pixels[0], signed)


@pytest.mark.parametrize("colours", ["RGB", "YBR_FULL"])
def test_a_dicom_file_of_colours_is_decoded(tmp_path, colours):
    planes = RNG.integers(0, 256, (7, 9, 3)).astype(np.uint8)
    data = encapsulate([encoded(planes, 8)])
    told = {"transfer_syntax": JPEGLosslessSV1, "PhotometricInterpretation": colours, "PixelData": data}
    path = write_dicom(tmp_path / "a.dcm", planes, **told)
    expected = planes if colours == "RGB" else convert_color_space(planes, "YBR_FULL", "RGB")
    np.testing.assert_array_equal(read_dicom(path, "rgb").pixels.transpose(1, 2, 0), expected)


def test_whatever_is_cut_off_or_changed_ends_in_a_value_error_or_a_picture_of_the_size():
    data = encoded(RNG.integers(0, 256, (8, 9, 1)).astype(np.uint16), 8)
    for end in range(len(data) - 1):
        with pytest.raises(ValueError, match=r"\w"):
            decode(data[:end])
    begin = data.index(b"\xff\xda")
    for at in range(begin, len(data)):
        broken = bytearray(data)
        broken[at] ^= 0x55
        try:
            assert decode(bytes(broken)).shape == (8, 9, 1)
        except ValueError:
            continue


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
