from __future__ import annotations

import io
import logging
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders import base
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut

from medseg.errors import DataError
from medseg.images.dicom import header as dicom_file
from medseg.images.dicom import pixels
from medseg.images.dicom.deflated import refuse_bomb
from medseg.images.dicom.reader import dicom_frames_size, dicom_size, dicom_tag, read_dicom, read_dicom_frames
from medseg.images.dicom.sniff import is_dicom
from medseg.images.pictures import decoders as picture_kinds
from medseg.images.refusal import RefusedError
from medseg.testing.dicoms import write_dicom

RNG = np.random.default_rng(11)
TWELVE = RNG.integers(0, 4096, (33, 50)).astype(np.uint16)
TWELVE[0, :2] = 0, 4095
SIGNED = RNG.integers(-2048, 2048, (33, 50)).astype(np.int16)
COLOURS = RNG.integers(0, 256, (33, 50, 3)).astype(np.uint8)
CT = {"BitsStored": 12, "RescaleSlope": 2, "RescaleIntercept": -1024}


def read_one(path: Path, window: Any = "file", channels: Any = "grey") -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_dicom(path, channels, window).pixels[0 if channels == "grey" else slice(None)]


def pydicom_shows(data: Dataset, stored: np.ndarray | None = None) -> np.ndarray:
    """What pydicom makes of a picture of greys with its window, on 0 to 255."""
    stored = data.pixel_array if stored is None else stored
    values = apply_voi_lut(apply_modality_lut(stored, data), data).astype(np.float64)
    signed, bits = data.PixelRepresentation, data.BitsStored
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1], np.float64)
    low, high = ends * data.get("RescaleSlope", 1) + float(data.get("RescaleIntercept", 0))
    shown = (values - low) / (high - low) * 255
    return 255 - shown if data.PhotometricInterpretation == "MONOCHROME1" else shown


# Values as stored


@pytest.mark.parametrize(
    "syntax", ["ImplicitVRLittleEndian", "ExplicitVRLittleEndian", "ExplicitVRBigEndian"]
)
@pytest.mark.parametrize("array", [TWELVE, SIGNED, TWELVE.astype(np.uint8), SIGNED.astype(np.int8)])
def test_modality_values_are_the_stored_ones_row_by_row(tmp_path, syntax, array):
    path = write_dicom(tmp_path / "a.dcm", array, transfer_syntax=getattr(uid, syntax))
    found = read_one(path, "none")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, array)
    assert dicom_size(path) == (33, 50)


def test_bits_that_are_not_stored_do_not_count_and_the_sign_is_that_of_the_stored_ones(tmp_path):
    dirty = (SIGNED & 0x0FFF).astype(np.uint16) | 0x5000
    path = write_dicom(
        tmp_path / "a.dcm", dirty, BitsStored=12, PixelRepresentation=1, SmallestImagePixelValue=None
    )
    np.testing.assert_array_equal(read_one(path, "none"), SIGNED)
    unsigned = write_dicom(tmp_path / "b.dcm", TWELVE | 0xA000, BitsStored=12)
    np.testing.assert_array_equal(read_one(unsigned, "none"), TWELVE)


@pytest.mark.parametrize(
    "syntax", ["RLELossless", "JPEGLSLossless", "JPEG2000Lossless", "DeflatedExplicitVRLittleEndian"]
)
@pytest.mark.parametrize(("array", "bits"), [(TWELVE, 12), (TWELVE, 16), (SIGNED, 12), (SIGNED, 16)])
def test_lossless_compression_changes_no_value(tmp_path, syntax, array, bits):
    path = write_dicom(tmp_path / "a.dcm", array, transfer_syntax=getattr(uid, syntax), BitsStored=bits)
    np.testing.assert_array_equal(read_one(path, "none"), array)


@pytest.mark.parametrize(
    "syntax", ["RLELossless", "JPEGLSLossless", "JPEG2000Lossless", "ExplicitVRLittleEndian"]
)
def test_lossless_compression_changes_no_colour(tmp_path, syntax):
    path = write_dicom(tmp_path / "a.dcm", COLOURS, transfer_syntax=getattr(uid, syntax))
    found = read_one(path, channels="rgb")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, COLOURS.transpose(2, 0, 1))


def test_jpeg_is_read_as_pillow_reads_it(tmp_path):
    smooth = np.add.outer(np.arange(33) * 4, np.arange(50) * 2).astype(np.uint8)
    colours = np.stack([smooth, smooth[::-1], smooth[:, ::-1]], axis=-1)
    path = write_dicom(tmp_path / "a.dcm", colours, transfer_syntax=uid.JPEGBaseline8Bit)
    found = read_one(path, channels="rgb").transpose(1, 2, 0).astype(int)
    assert np.abs(found - colours).max() < 12
    grey = write_dicom(tmp_path / "b.dcm", smooth, transfer_syntax=uid.JPEGBaseline8Bit)
    assert np.abs(read_one(grey, "none") - smooth).max() < 6


# Modality and window


def test_a_rescaling_gives_modality_values(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", TWELVE, **CT)
    np.testing.assert_array_equal(read_one(path, "none"), TWELVE * 2.0 - 1024)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("greys", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("array", [TWELVE, SIGNED])
def test_the_files_window_is_applied_as_pydicom_does(tmp_path, function, greys, array):
    window = {"WindowCenter": [300.5, 0], "WindowWidth": [1200, 10], "VOILUTFunction": function}
    path = write_dicom(tmp_path / "a.dcm", array, PhotometricInterpretation=greys, **CT, **window)
    found = read_dicom(path, "grey")
    assert not found.notes
    assert found.pixels.dtype == np.float32
    np.testing.assert_allclose(found.pixels[0], pydicom_shows(pydicom.dcmread(path)), atol=1e-3)


@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
@pytest.mark.parametrize("kind", [uid.EnhancedCTImageStorage, uid.EnhancedMRImageStorage])
def test_an_enhanced_image_has_rescaling_and_window_in_its_functional_groups(tmp_path, groups, kind):
    rescaling = {"RescaleSlope": 2, "RescaleIntercept": -1024, "RescaleType": "HU"}
    window = {"WindowCenter": [40, 0], "WindowWidth": [400, 10], "VOILUTFunction": "LINEAR_EXACT"}
    held = {"PixelValueTransformationSequence": [rescaling], "FrameVOILUTSequence": [window]}
    told = {"SOPClassUID": kind, "NumberOfFrames": 1, "BitsStored": 12}
    path = write_dicom(tmp_path / "a.dcm", TWELVE, **told, **{groups: [held]})
    np.testing.assert_array_equal(read_one(path, "none"), TWELVE * 2.0 - 1024)
    np.testing.assert_array_equal(
        read_one(path, "none"), SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]
    )
    plain = write_dicom(tmp_path / "b.dcm", TWELVE, **CT, **window)
    np.testing.assert_array_equal(read_one(path), read_one(plain))
    np.testing.assert_array_equal(read_one(path, (40, 400)), read_one(plain, (40, 400)))


@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize("function", [None, "SIGMOID"])
def test_an_enhanced_image_may_have_a_table_in_place_of_a_window_in_its_functional_groups(
    tmp_path, groups, syntax, function
):
    roots = np.sqrt(np.linspace(0, 255**2, 4096)).astype(int).tolist()
    lut = {"VOILUTSequence": [{"LUTDescriptor": [4096, 0, 8], "LUTData": roots}], "VOILUTFunction": function}
    lut = {keyword: each for keyword, each in lut.items() if each}
    kind = {"SOPClassUID": uid.EnhancedMRImageStorage, "NumberOfFrames": 1, "BitsStored": 12}
    held = {groups: [{"FrameVOILUTSequence": [lut]}]}
    path = write_dicom(tmp_path / "a.dcm", TWELVE, transfer_syntax=syntax, **kind, **held)
    found = read_dicom(path, "grey")
    assert not found.notes
    np.testing.assert_array_equal(found.pixels[0], np.array(roots)[TWELVE])

    broken = {groups: [{"FrameVOILUTSequence": [{"VOILUTSequence": [{"LUTDescriptor": [4096, 0, 8]}]}]}]}
    with pytest.raises(RefusedError, match="VOI LUT of the DICOM file is damaged"):
        read_dicom(write_dicom(tmp_path / "b.dcm", TWELVE, **kind, **broken), "grey")


def test_the_window_of_a_frame_counts_above_a_table_that_the_file_has_elsewhere(tmp_path):
    window = {"WindowCenter": 0, "WindowWidth": 10}
    table = {
        "VOILUTSequence": [{"LUTDescriptor": [2, 0, 8], "LUTData": [9, 99]}],
        "VOILUTFunction": "SIGMOID",
    }
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        held = {groups: [{"FrameVOILUTSequence": [window]}]}
        path = write_dicom(tmp_path / "a.dcm", TWELVE, NumberOfFrames=1, **table, **held)
        plain = write_dicom(tmp_path / "b.dcm", TWELVE, **window)
        np.testing.assert_array_equal(read_one(path), read_one(plain))


def test_an_empty_table_of_a_frame_counts_for_none(tmp_path):
    window = {"WindowCenter": 2000, "WindowWidth": 100}
    held = {"SharedFunctionalGroupsSequence": [{"FrameVOILUTSequence": [{"VOILUTSequence": []}]}]}
    path = write_dicom(tmp_path / "a.dcm", TWELVE, NumberOfFrames=1, **window, **held)
    np.testing.assert_array_equal(read_one(path), read_one(write_dicom(tmp_path / "b.dcm", TWELVE, **window)))


def test_of_two_functional_groups_that_of_the_frame_counts_and_above_what_the_file_says_elsewhere(tmp_path):
    shared, own = (
        {
            "PixelValueTransformationSequence": [
                {"RescaleSlope": 1, "RescaleIntercept": n, "RescaleType": "HU"}
            ]
        }
        for n in (-5, -1000)
    )
    groups = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": [own]}
    path = write_dicom(tmp_path / "a.dcm", TWELVE, RescaleSlope=3, RescaleIntercept=0, **groups)
    np.testing.assert_array_equal(read_one(path, "none"), TWELVE - 1000.0)
    del groups["PerFrameFunctionalGroupsSequence"]
    path = write_dicom(tmp_path / "b.dcm", TWELVE, RescaleSlope=3, RescaleIntercept=0, **groups)
    np.testing.assert_array_equal(read_one(path, "none"), TWELVE - 5.0)


def test_a_fixed_window_is_in_modality_units_and_that_of_the_file_does_not_count(tmp_path):
    window = {"WindowCenter": 0, "WindowWidth": 10, "VOILUTFunction": "SIGMOID"}
    one = write_dicom(tmp_path / "a.dcm", TWELVE, **CT, **window)
    other = write_dicom(tmp_path / "b.dcm", TWELVE, **CT, WindowCenter=40, WindowWidth=400)
    np.testing.assert_array_equal(read_one(one, (40, 400)), read_one(other))
    small = write_dicom(tmp_path / "c.dcm", np.array([[0, 412, 532, 632, 4095]], np.uint16), **CT)
    np.testing.assert_allclose(read_one(small, (40, 400)), [[0, 0, 127.82, 255, 255]], atol=0.01)


@pytest.mark.parametrize("window", [(40.0, 400.0), "file"])
@pytest.mark.parametrize("voi", [{}, {"WindowCenter": 100, "WindowWidth": 800}, "table"])
def test_monochrome1_is_turned_once_whatever_the_window(tmp_path, window, voi):
    if voi == "table":
        entries = np.linspace(0, 255, 64).astype(int).tolist()
        voi = {"VOILUTSequence": [{"LUTDescriptor": [64, 0, 8], "LUTData": entries}]}
    made = [
        read_one(
            write_dicom(tmp_path / f"{kind}.dcm", TWELVE, PhotometricInterpretation=kind, **CT, **voi), window
        )
        for kind in ("MONOCHROME1", "MONOCHROME2")
    ]
    assert np.ptp(made[0]) > 200
    np.testing.assert_allclose(made[0], 255 - made[1], atol=1e-4)


@pytest.mark.parametrize(("array", "turned"), [(TWELVE, 4095.0 - TWELVE), (SIGNED, -1.0 - SIGNED)])
def test_monochrome1_without_a_window_is_mirrored_in_the_range_of_the_stored_bits(tmp_path, array, turned):
    path = write_dicom(tmp_path / "a.dcm", array, PhotometricInterpretation="MONOCHROME1", BitsStored=12)
    np.testing.assert_array_equal(read_one(path, "none"), turned)
    assert "mirrored" in read_dicom(path, "grey", "none").notes[0]
    scaled = write_dicom(tmp_path / "b.dcm", TWELVE, PhotometricInterpretation="MONOCHROME1", **CT)
    np.testing.assert_array_equal(read_one(scaled, "none"), (4095.0 - TWELVE) * 2 - 1024)


def test_a_picture_without_a_window_is_shown_from_its_smallest_to_its_largest_value(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", (TWELVE // 3 + 100).astype(np.uint16), **CT)
    picture = read_dicom(path, "grey")
    values = (TWELVE // 3).astype(float)
    np.testing.assert_allclose(picture.pixels[0], values / values.max() * 255, atol=1e-3)
    assert "no window" in picture.notes[0]
    flat = write_dicom(tmp_path / "b.dcm", np.full((9, 9), 7, np.uint8))
    np.testing.assert_array_equal(read_one(flat), 0)


@pytest.mark.parametrize("width", [0, 0.5, -3])
def test_a_window_without_width_counts_as_none_with_a_note(tmp_path, width):
    path = write_dicom(tmp_path / "a.dcm", TWELVE, WindowCenter=5, WindowWidth=width)
    picture = read_dicom(path, "grey")
    np.testing.assert_allclose(picture.pixels[0], TWELVE / 4095 * 255, atol=1e-3)
    assert "no width" in picture.notes[0]


def test_a_window_of_width_1_is_a_threshold_and_a_fixed_one_below_is_refused(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", np.array([[4, 5, 6]], np.uint8))
    np.testing.assert_array_equal(read_one(path, (5.5, 1)), [[0, 0, 255]])
    with pytest.raises(RefusedError, match=r"width 0.5"):
        read_dicom(path, "grey", (5, 0.5))


def test_an_unknown_function_is_refused(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", TWELVE, WindowCenter=5, WindowWidth=9, VOILUTFunction="ODD")
    with pytest.raises(RefusedError, match=r"VOI LUT Function.*pictures\.window"):
        read_dicom(path, "grey")
    assert read_one(path, "none").max() == 4095


@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian]
)
def test_tables_are_applied_as_pydicom_does_and_what_lies_outside_takes_the_nearest(tmp_path, syntax):
    squares = (np.arange(3000) ** 2 // 150).tolist()
    roots = np.sqrt(np.linspace(0, 65535**2, 5000)).astype(int).tolist()
    path = write_dicom(
        tmp_path / "a.dcm",
        TWELVE,
        transfer_syntax=syntax,
        ModalityLUTSequence=[{"LUTDescriptor": [3000, 500, 16], "LUTData": squares, "ModalityLUTType": "US"}],
        VOILUTSequence=[{"LUTDescriptor": [5000, 1000, 16], "LUTData": roots}],
        WindowCenter=1,
        WindowWidth=2,
    )
    data = pydicom.dcmread(path)
    modality = apply_modality_lut(data.pixel_array, data)
    np.testing.assert_array_equal(read_one(path, "none"), modality)
    np.testing.assert_array_equal(modality[0, :2], [squares[0], squares[-1]])
    np.testing.assert_allclose(read_one(path), apply_voi_lut(modality, data) / 65535 * 255, atol=1e-3)


def test_a_table_of_negative_values_begins_where_it_says(tmp_path):
    path = write_dicom(
        tmp_path / "a.dcm",
        np.arange(1014, 1034, dtype=np.uint16).reshape(4, 5),
        RescaleSlope=1,
        RescaleIntercept=-1024,
        VOILUTSequence=[{"LUTDescriptor": [20, 65526, 8], "LUTData": list(range(0, 240, 12))}],
    )
    np.testing.assert_allclose(read_one(path).ravel(), np.arange(0, 240, 12), atol=1e-3)


def test_a_table_with_fewer_entries_than_it_says_is_refused(tmp_path):
    broken = [{"LUTDescriptor": [200, 0, 16], "LUTData": [1, 2, 3], "ModalityLUTType": "US"}]
    path = write_dicom(tmp_path / "a.dcm", TWELVE, ModalityLUTSequence=broken)
    with pytest.raises(RefusedError, match="the Modality LUT"):
        read_dicom(path, "grey")
    path = write_dicom(tmp_path / "b.dcm", TWELVE, VOILUTSequence=broken)
    with pytest.raises(RefusedError, match="VOI LUT"):
        read_dicom(path, "grey")


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("limit", [None, -1990])
def test_padding_counts_for_no_range_and_is_black(tmp_path, kind, limit):
    padded = SIGNED.clip(-1000, 1000)
    padded[:, :3] = -2000
    padded[:, 3] = -1995 if limit else -2000
    padded[5, 5:7] = -1000, 1000
    more = {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": limit, "PhotometricInterpretation": kind}
    found = read_one(write_dicom(tmp_path / "a.dcm", padded, **more))
    np.testing.assert_array_equal(found[:, :4], 0)
    assert sorted(found[5, 5:7]) == [0, 255]
    kept = read_one(write_dicom(tmp_path / "b.dcm", padded, **more), "none")
    np.testing.assert_array_equal(kept[:, :4], padded[:, :4])


# Colours


def test_planes_one_by_one_are_the_same_colours(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", COLOURS, PlanarConfiguration=1)
    np.testing.assert_array_equal(read_one(path, channels="rgb"), COLOURS.transpose(2, 0, 1))


@pytest.mark.parametrize(
    "syntax", ["ExplicitVRLittleEndian", "RLELossless", "JPEGLSLossless", "JPEG2000Lossless"]
)
def test_colours_that_lie_as_nobody_says_lie_pixel_by_pixel(tmp_path, syntax):
    path = write_dicom(tmp_path / "a.dcm", COLOURS, transfer_syntax=getattr(uid, syntax))
    without(path, "PlanarConfiguration")
    picture = read_dicom(path, "rgb")
    np.testing.assert_array_equal(picture.pixels, COLOURS.transpose(2, 0, 1))
    assert any("PlanarConfiguration" in note for note in picture.notes) == (
        syntax == "ExplicitVRLittleEndian"
    )


def test_grey_of_colours_is_the_luma_of_other_pictures_and_colours_of_greys_are_repeated(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", COLOURS)
    np.testing.assert_array_equal(read_one(path), np.asarray(Image.fromarray(COLOURS).convert("L")))
    several = read_one(write_dicom(tmp_path / "b.dcm", TWELVE), channels="rgb")
    assert several.shape == (3, 33, 50)
    assert (several == several[0]).all()


def test_a_window_does_not_change_colours(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", COLOURS, WindowCenter=3, WindowWidth=5)
    picture = read_dicom(path, "rgb", (40, 400))
    np.testing.assert_array_equal(picture.pixels, COLOURS.transpose(2, 0, 1))
    assert "a window is for greys" in picture.notes[0]
    assert not read_dicom(path, "rgb").notes


def test_deep_colours_are_brought_to_255_unless_they_are_wanted_as_stored(tmp_path):
    deep = COLOURS.astype(np.uint16) * 257
    path = write_dicom(tmp_path / "a.dcm", deep)
    np.testing.assert_allclose(read_one(path, channels="rgb"), COLOURS.transpose(2, 0, 1), atol=1e-4)
    np.testing.assert_array_equal(read_one(path, "none", "rgb"), deep.transpose(2, 0, 1))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("first", [0, 20])
def test_a_palette_gives_its_colours(tmp_path, bits, first):
    tables = RNG.integers(0, 1 << bits, (3, 200)).astype(f"<u{bits // 8}")
    palette: dict[str, Any] = {}
    for name, entries in zip(("Red", "Green", "Blue"), tables, strict=True):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [200, first, bits]
        palette[f"{name}PaletteColorLookupTableData"] = entries.tobytes()
    places = COLOURS[..., 0].clip(0, 219)
    path = write_dicom(tmp_path / "a.dcm", places, PhotometricInterpretation="PALETTE COLOR", **palette)
    expected = apply_color_lut(places, pydicom.dcmread(path)) / (257 if bits == 16 else 1)
    np.testing.assert_allclose(read_one(path, channels="rgb").transpose(1, 2, 0), expected, atol=1e-3)


def segmented(path, segments, bits=16):
    """A picture whose palette is the same segments for each colour: numbers of 8 or 16 bits."""
    palette: dict[str, Any] = {}
    for name in ("Red", "Green", "Blue"):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        palette[f"Segmented{name}PaletteColorLookupTableData"] = np.array(
            segments, f"<u{bits // 8}"
        ).tobytes()
    return write_dicom(path, COLOURS[..., 0], PhotometricInterpretation="PALETTE COLOR", **palette)


@pytest.mark.parametrize(
    ("bits", "segments"),
    [
        (16, [0, 2, 0, 700, 1, 127, 9000, 2, 1, 4, 0, 0, 1, 5, 1, 126, 65535]),
        (8, [0, 2, 0, 70, 1, 127, 255, 2, 1, 4, 0, 0, 0, 1, 127, 9]),
    ],
)
def test_a_palette_in_segments_gives_its_colours(tmp_path, bits, segments):
    path = segmented(tmp_path / "a.dcm", segments, bits)
    data = pydicom.dcmread(path)

    expected = apply_color_lut(COLOURS[..., 0].astype(np.int32), data) / (257 if bits == 16 else 1)

    np.testing.assert_allclose(read_one(path, channels="rgb").transpose(1, 2, 0), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("bits", "segments"),
    [
        (16, [0, 1, 5, *[1, 65535, 9] * 2]),
        (16, [0, 1, 5, 1, 65000, 9, *[2, 1, 3, 0] * 2]),
        (16, [0, 1, 5, 1, 10, 9, 2, 1, 6, 0]),
        (16, [0, 1, 5, *[2, 65535, 0, 0] * 9]),
        (16, [0, 1, 5, *[0, 0] * 70_000]),
        (16, [0, 1, 5, 3, 1, 9]),
        (8, [0, 1, 5, *[1, 255, 9] * 300]),
        (8, [0, 1, 5, *[1, 255, 9] * 2, *[2, 2, 3, 0, 0, 0] * 200]),
    ],
    ids=[
        "two long lines",
        "the same by reference",
        "a reference to itself",
        "references to references",
        "no entries at all",
        "no known kind",
        "many lines of bytes",
        "references in bytes",
    ],
)
def test_a_palette_in_segments_of_too_much_is_not_written_out(tmp_path, monkeypatch, bits, segments):
    path = segmented(tmp_path / "a.dcm", segments, bits)
    monkeypatch.setattr(pixels, "apply_color_lut", lambda *_: pytest.fail("it was written out"))

    with pytest.raises(RefusedError, match="palette"):
        read_dicom(path, "rgb")


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_with_a_line_of_no_length_is_refused(tmp_path, bits):
    with pytest.raises(RefusedError, match="palette of the DICOM file is missing or damaged"):
        read_dicom(segmented(tmp_path / "a.dcm", [0, 1, 5, 1, 0, 9, 0], bits), "rgb")


def run_lengths(path, array, segment):
    """A picture of RLE whose one segment is this."""
    data = pydicom.dcmread(write_dicom(path, array, transfer_syntax=uid.RLELossless))
    data.PixelData = encapsulate([struct.pack("<16I", 1, 64, *[0] * 14) + segment])
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    return path


def test_runs_of_very_much_are_not_unpacked(tmp_path, monkeypatch):
    small, large = np.zeros((4, 5), np.uint8), np.zeros((1500, 1500), np.uint8)
    unpacked = pixels._unrolled
    monkeypatch.setattr(pixels, "_unrolled", lambda *_: pytest.fail("it was unpacked"))

    with pytest.raises(RefusedError, match=r"take 1200064 bytes, and 20 are its pixels"):
        read_dicom(run_lengths(tmp_path / "a.dcm", small, b"\x81\x00" * 600_000), "grey")
    with pytest.raises(RefusedError, match="unpacks to more than twice the 2250000 bytes"):
        read_dicom(run_lengths(tmp_path / "b.dcm", large, b"\x81\x00" * 600_000), "grey")

    monkeypatch.setattr(pixels, "_unrolled", unpacked)
    noise = RNG.integers(0, 256, (1100, 1100)).astype(np.uint8)  # of which runs take more than the pixels
    np.testing.assert_array_equal(
        read_one(write_dicom(tmp_path / "c.dcm", noise, transfer_syntax=uid.RLELossless), "none"), noise
    )


@pytest.mark.parametrize("syntax", ["JPEGLSLossless", "JPEG2000Lossless"])
def test_a_compressed_picture_of_very_many_bytes_never_reaches_its_decoder(tmp_path, monkeypatch, syntax):
    path = write_dicom(tmp_path / "a.dcm", TWELVE, transfer_syntax=getattr(uid, syntax))
    data = pydicom.dcmread(path)
    data.PixelData = encapsulate([get_frame(data.PixelData, 0) + bytes(1_100_000)])
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    monkeypatch.setattr(pixels, "decoded", lambda *_: pytest.fail("it was decoded"))

    with pytest.raises(RefusedError, match="one of these is damaged"):
        read_dicom(path, "grey")


def test_very_many_frames_are_refused_by_the_header_alone(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", np.zeros((10_001, 1, 1), np.uint8), NumberOfFrames=10_001)

    for read in (lambda: read_dicom_frames(path, "grey"), lambda: dicom_frames_size(path)):
        with pytest.raises(RefusedError, match="holds 10001 frames, expected 10000 at most"):
            read()


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("syntax", ["RLELossless", "JPEG2000Lossless"])
def test_frames_are_taken_apart_once_for_all(tmp_path, monkeypatch, syntax, offsets):
    """Each by itself is looked for from the first one on: 2,000 frames of one pixel took 48 s."""
    noise = RNG.integers(0, 4096, (7, 6, 5)).astype(np.uint16)
    path, how = tmp_path / "a.dcm", {"BitsStored": 12, "transfer_syntax": getattr(uid, syntax)}
    each = [pydicom.dcmread(write_dicom(path, one, **how)) for one in noise]
    coded, data = [get_frame(one.PixelData, 0) for one in each], each[0]
    data.NumberOfFrames = len(coded)
    data.PixelData = encapsulate(coded, has_bot=offsets)
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    looked, taken = [], pixels.generate_frames
    monkeypatch.setattr(
        pixels, "generate_frames", lambda *given, **more: looked.append(1) or taken(*given, **more)
    )
    monkeypatch.setattr(pixels, "get_frame", lambda *_, **__: pytest.fail("one frame was looked for"))
    walked = base.get_frame

    def of_one(*given, **more):
        assert more["number_of_frames"] == 1
        return walked(*given, **more)

    monkeypatch.setattr(base, "get_frame", of_one)

    found = read_dicom_frames(path, "grey", "none")

    np.testing.assert_array_equal([each.pixels[0] for each in found], noise)
    assert looked == [1]


@pytest.mark.parametrize(
    ("kind", "bits"), [(np.uint8, 8), (np.uint16, 12), (np.int16, 16), (np.int16, 12), (np.uint8, 7)]
)
def test_frames_that_lie_plainly_one_behind_another_are_taken_as_they_lie(tmp_path, monkeypatch, kind, bits):
    ends = (0, 2**bits) if np.issubdtype(kind, np.unsignedinteger) else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    noise = RNG.integers(*ends, (3, 5, 7)).astype(kind)  # an odd number of bytes, and one more behind
    path = write_dicom(tmp_path / "a.dcm", noise, NumberOfFrames=3, BitsStored=bits)
    monkeypatch.setattr(pixels, "_of_pydicom", lambda _: pytest.fail("it took pydicom"))

    found = read_dicom_frames(path, "grey", "none")

    np.testing.assert_array_equal([each.pixels[0] for each in found], noise)
    monkeypatch.undo()
    np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, noise)


def test_a_palette_that_is_missing_is_refused(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", COLOURS[..., 0], PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(RefusedError, match="palette"):
        read_dicom(path, "rgb")


# What is refused


def truncated(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-200])
    return path


def changed(path: Path, **attributes: Any) -> Path:
    data = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    data.save_as(path)
    return path


def without(path: Path, keyword: str) -> None:
    data = pydicom.dcmread(path)
    if keyword in data:
        delattr(data, keyword)
        data.save_as(path)


def short_of_its_end(path: Path) -> Path:
    data = pydicom.dcmread(path)
    coded = pydicom.encaps.get_frame(data.PixelData, 0, number_of_frames=1)
    return changed(path, PixelData=encapsulate([coded[: len(coded) // 2]]))


MADE = {
    "several frames": (lambda p: write_dicom(p, np.stack([TWELVE] * 3), NumberOfFrames=3), "3 frames"),
    "a report": (
        lambda p: write_dicom(p, None, SOPClassUID=uid.BasicTextSRStorage, Modality="SR"),
        "Basic Text SR Storage: it holds no pixels",
    ),
    "structures": (
        lambda p: write_dicom(p, None, SOPClassUID=uid.RTStructureSetStorage),
        "RT Structure Set Storage: it holds no pixels",
    ),
    "a segmentation": (
        lambda p: write_dicom(p, TWELVE.astype(np.uint8), SOPClassUID=uid.SegmentationStorage),
        "Segmentation Storage: label maps",
    ),
    "an image without pixels": (lambda p: write_dicom(p, TWELVE, PixelData=None), "stripped"),
    "truncated": (lambda p: truncated(write_dicom(p, TWELVE)), "ends early"),
    "truncated JPEG-LS": (
        lambda p: short_of_its_end(write_dicom(p, TWELVE, transfer_syntax=uid.JPEGLSLossless)),
        "ends early",
    ),
    "truncated JPEG 2000": (
        lambda p: short_of_its_end(write_dicom(p, TWELVE, transfer_syntax=uid.JPEG2000Lossless)),
        "ends early",
    ),
    "truncated JPEG": (
        lambda p: short_of_its_end(write_dicom(p, COLOURS, transfer_syntax=uid.JPEGBaseline8Bit)),
        "ends early",
    ),
    "truncated RLE": (
        lambda p: short_of_its_end(write_dicom(p, TWELVE, transfer_syntax=uid.RLELossless)),
        r"RLE Lossless\) are damaged",
    ),
    "another size": (
        lambda p: changed(write_dicom(p, TWELVE, transfer_syntax=uid.JPEGLSLossless), Rows=34),
        r"33 x 50 x 1.*34 x 50 x 1",
    ),
    "video": (
        lambda p: write_dicom(p, COLOURS, PixelData=encapsulate([b"ab"]), transfer_syntax=uid.MPEG2MPML),
        "compressed as MPEG2 Main Profile",
    ),
    "an unknown syntax": (
        lambda p: write_dicom(p, COLOURS, PixelData=encapsulate([b"ab"]), transfer_syntax="1.2.3.4.5"),
        "are in a transfer syntax that is not known",
    ),
    "odd bits": (lambda p: write_dicom(p, TWELVE, BitsAllocated=12), "expected 1, 8, 16 or 32"),
    "a high bit elsewhere": (lambda p: write_dicom(p, TWELVE, BitsStored=12, HighBit=15), "high bit at 15"),
    "other colours": (lambda p: write_dicom(p, COLOURS, PhotometricInterpretation="HSV"), "of HSV"),
    "colours in no known way": (
        lambda p: write_dicom(p, COLOURS, PlanarConfiguration=2),
        r"in the way 2 \(`PlanarConfiguration`\), expected 0 or 1",
    ),
    "no rows": (lambda p: write_dicom(p, TWELVE, Rows=0), "no rows"),
    "no bits": (lambda p: write_dicom(p, TWELVE, BitsStored=None), "`BitsStored` is missing"),
}


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("channels", ["grey", "rgb"])
def test_what_is_no_single_picture_is_refused_for_one_reason(tmp_path, kind, channels):
    make, said = MADE[kind]
    path = make(tmp_path / "secret.dcm")
    assert is_dicom(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RefusedError, match=said) as caught:
            read_dicom(path, channels)
    assert "secret" not in str(caught.value)
    assert "Test^Invented" not in str(caught.value)
    assert caught.value.remedy


def test_pixels_of_an_unknown_representation_are_refused(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", TWELVE)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x10\x00ZZ"))
    with pytest.raises(
        RefusedError, match=r"damaged: (its `PixelData` cannot be read|the value representation)"
    ):
        read_one(path)


@pytest.mark.parametrize("kind", [b"??", b"ow", b"oW", b"  ", b"--", b"\0W", b"\xff\xff", b"[["], ids=repr)
def test_pixels_whose_length_is_not_known_are_refused(tmp_path, kind):
    path = write_dicom(tmp_path / "a.dcm", TWELVE)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x10\x00" + kind))
    with pytest.raises(RefusedError, match="value representation of its pixel data"):
        read_one(path)


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless])
def test_a_high_bit_elsewhere_is_refused_however_pixels_are_compressed(tmp_path, syntax):
    path = changed(write_dicom(tmp_path / "a.dcm", TWELVE * 16, transfer_syntax=syntax), BitsStored=12)
    with pytest.raises(RefusedError, match="high bit at 15"):
        read_one(path)


def test_a_header_with_any_byte_changed_is_read_or_refused(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", TWELVE[:9, :9], WindowCenter=40, WindowWidth=400, **CT)
    whole = path.read_bytes()
    end = whole.index(b"\xe0\x7f\x10\x00")
    outcomes = {"read": 0, "refused": 0}
    for at in range(end - 260, end + 12, 3):
        broken = bytearray(whole)
        broken[at] ^= 0x75
        path.write_bytes(bytes(broken))
        for read in (
            read_dicom,
            lambda *given: dicom_size(given[0]),
            lambda *given: dicom_tag(given[0], "Rows"),
        ):
            try:
                read(path, "grey")
                outcomes["read"] += 1
            except DataError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 0, outcomes  # else nothing was damaged, or nothing survives


@pytest.mark.parametrize("kind", [b"US", b"UL", b"SS", b"AT", b"FD", b"PN", b"DS", b"SQ"])
@pytest.mark.parametrize("keyword", ["TransferSyntaxUID", "SOPClassUID"])
def test_a_uid_that_is_written_as_something_else_is_read_or_refused(tmp_path, keyword, kind):
    path = write_dicom(tmp_path / "a.dcm", TWELVE)
    number = pydicom.datadict.tag_for_keyword(keyword)
    begins = struct.pack("<HH", number >> 16, number & 0xFFFF)
    content = path.read_bytes()
    assert content.count(begins + b"UI") == 1
    path.write_bytes(content.replace(begins + b"UI", begins + kind))

    with suppress(DataError):
        read_dicom(path, "grey", "none")


def test_a_transfer_syntax_that_is_a_number_is_refused_by_its_name(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", TWELVE)
    path.write_bytes(path.read_bytes().replace(b"\x02\0\x10\0UI", b"\x02\0\x10\0US"))

    with pytest.raises(RefusedError, match="TransferSyntaxUID"):
        read_dicom(path, "grey", "none")


def test_files_that_are_missing_empty_or_closed_are_no_dicom_and_told_as_such(tmp_path):
    empty = tmp_path / "a.dcm"
    empty.write_bytes(b"")
    for path, said in ((empty, "0 bytes"), (tmp_path / "b.dcm", "not there")):
        assert not is_dicom(path)
        with pytest.raises(DataError, match=said):
            read_dicom(path, "grey")


def test_more_pixels_than_the_limit_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "a.dcm", TWELVE)
    monkeypatch.setattr(picture_kinds, "MAX_PIXELS", 1649)
    for read in (lambda: read_dicom(path, "grey"), lambda: dicom_size(path)):
        with pytest.raises(RefusedError, match="above the limit of 1649"):
            read()


def test_a_deflated_file_that_unpacks_to_very_much_is_refused(tmp_path, monkeypatch):
    syntax = uid.DeflatedExplicitVRLittleEndian
    path = write_dicom(tmp_path / "a.dcm", np.zeros((2000, 2000), np.uint8), transfer_syntax=syntax)
    read_one(path)
    monkeypatch.setattr(dicom_file, "_MOST_BYTES", 10**6)
    with pytest.raises(RefusedError, match="bombs"):
        read_dicom(path, "grey")


@pytest.mark.parametrize("most", [9 << 20, 1 << 20])
def test_a_deflated_file_unpacks_to_what_its_header_asks_for_and_little_more(tmp_path, most):
    """Zeros behind the pixels are elements of no length: millions of them, each of which pydicom would parse."""
    syntax = uid.DeflatedExplicitVRLittleEndian
    path = write_dicom(tmp_path / "a.dcm", TWELVE, transfer_syntax=syntax)
    whole = path.read_bytes()
    end = 144 + int.from_bytes(whole[140:144], "little")
    unpacked = zlib.decompress(whole[end:], -15)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    path.write_bytes(whole[:end] + packer.compress(unpacked + bytes(most)) + packer.flush())

    if most > 1 << 23:
        with pytest.raises(RefusedError, match="bytes that its header asks for"):
            read_dicom(path, "grey")
    else:
        refuse_bomb(io.BytesIO(path.read_bytes()), 132, 1 << 30)


def meta_changed(path: Path, how: str) -> Path:
    """Change the meta information of a file, and nothing else."""
    whole = path.read_bytes()
    end = 144 + int.from_bytes(whole[140:144], "little")
    preamble, length, rest, data = whole[:132], whole[132:144], whole[144:end], whole[end:]
    private = b"\x02\x00\x02\x01OB\x00\x00" + (2000).to_bytes(4, "little") + bytes(2000)
    changed = {
        "as it is": preamble + length + rest,
        "no length": preamble + rest,
        "a wrong length": preamble + length[:8] + bytes(4) + rest,
        "long before it": preamble + private + rest,
        "no preamble": length + rest,
        "neither": rest,
    }
    path.write_bytes(changed[how] + data)
    return path


@pytest.mark.parametrize(
    "how", ["as it is", "no length", "a wrong length", "long before it", "no preamble", "neither"]
)
def test_a_deflated_file_is_measured_wherever_its_meta_information_ends(tmp_path, monkeypatch, how):
    syntax = uid.DeflatedExplicitVRLittleEndian
    zeros = np.zeros((200, 200), np.uint8)
    path = meta_changed(write_dicom(tmp_path / "a.dcm", zeros, transfer_syntax=syntax), how)
    np.testing.assert_array_equal(read_one(path, "none"), zeros)
    monkeypatch.setattr(dicom_file, "_MOST_BYTES", 10**4)
    monkeypatch.setattr(dicom_file, "dcmread", lambda *_, **__: pytest.fail("it was unpacked whole"))
    with pytest.raises(RefusedError, match="bombs"):
        read_dicom(path, "grey")


# What a file is


def test_content_and_not_the_name_tells_what_is_dicom(tmp_path):
    whole = write_dicom(tmp_path / "no_suffix", TWELVE)
    assert is_dicom(whole)
    assert is_dicom(whole.rename(tmp_path / "a.png"))
    for name in ("a.dcm", "a.ima", "a.dicom"):
        Image.fromarray(COLOURS).save(tmp_path / name, format="PNG")
        assert not is_dicom(tmp_path / name)
    text = tmp_path / "text.dcm"
    text.write_bytes(b"no DICOM at all" * 30)
    assert is_dicom(text)
    with pytest.raises(RefusedError, match="does not begin as DICOM does"):
        read_dicom(text, "grey")
    assert not is_dicom(text.rename(tmp_path / "text.txt"))


@pytest.mark.parametrize(
    "syntax", ["ImplicitVRLittleEndian", "ExplicitVRLittleEndian", "ExplicitVRBigEndian"]
)
def test_a_file_without_preamble_is_read_with_a_note(tmp_path, syntax):
    path = write_dicom(tmp_path / "bare", SIGNED, bare=True, transfer_syntax=getattr(uid, syntax))
    assert is_dicom(path)
    picture = read_dicom(path, "grey", "none")
    np.testing.assert_array_equal(picture.pixels[0], SIGNED)
    assert "no DICOM preamble" in picture.notes[0]


def test_attributes_are_told_as_text(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", TWELVE, PatientID=" 12 34 ", ImageType=["ORIGINAL", "PRIMARY"])
    assert dicom_tag(path, "PatientID") == "12 34"
    assert dicom_tag(path, "PatientName") == "Test^Invented"
    assert dicom_tag(path, "ImageType") == "ORIGINAL\\PRIMARY"
    assert dicom_tag(path, "StudyDescription") == ""
    assert dicom_tag(path, "StudyInstanceUID") == pydicom.dcmread(path).StudyInstanceUID
    assert dicom_tag(truncated(path), "PatientID") == "12 34"
    path.write_bytes(b"")
    assert dicom_tag(path, "PatientID") == ""
    for keyword in ("PatientId", "PixelData", "VOILUTSequence"):
        with pytest.raises(RefusedError, match=keyword):
            dicom_tag(path, keyword)


def test_pydicom_is_imported_where_a_dicom_is_met_only():
    code = (
        "import sys; from pathlib import Path; from medseg.images.dicom.reader import decoders\n"
        "from medseg.images.dicom.sniff import is_dicom\n"
        "decoders(); is_dicom(Path(sys.executable)); assert 'pydicom' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_nothing_is_warned_of_or_logged_though_pydicom_would(tmp_path, caplog):
    path = write_dicom(tmp_path / "a.dcm", TWELVE)
    data = pydicom.dcmread(path)
    data.PixelData += bytes(100)
    data.save_as(path)
    broken = short_of_its_end(write_dicom(tmp_path / "b.dcm", TWELVE, transfer_syntax=uid.RLELossless))
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "longer than its pixels" in read_dicom(path, "grey").notes[0]
        with pytest.raises(RefusedError):
            read_dicom(broken, "grey")
    assert not caplog.records
    assert logging.getLogger("pydicom").propagate


def test_files_are_read_in_several_threads_at_once(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", TWELVE, transfer_syntax=uid.JPEG2000Lossless)
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(read_dicom(path, "grey", "none").pixels[0]))
        for _ in range(6)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 6
    assert all((each == TWELVE).all() for each in found)


# Real files

GREY, COLOUR = "grey", "colour"
NO_WINDOW = "no window"
NO_PIXELS = "holds no pixels, expected an image"
OUTCOMES = {
    "693_J2KI": GREY,
    "CT_small": NO_WINDOW,
    "ExplVR_BigEnd": COLOUR,
    "ExplVR_BigEndNoMeta": "RT Ion Plan Storage: it holds no pixels",
    "ExplVR_LitEndNoMeta": "RT Ion Plan Storage: it holds no pixels",
    "GDCMJ2K_TextGBR": COLOUR,
    "JPEG-lossy": NO_WINDOW,
    "JPEG2000-embedded-sequence-delimiter": "one is damaged",
    "JPEG2000": NO_WINDOW,
    "JPEGLSNearLossless_08": NO_WINDOW,
    "JPEGLSNearLossless_16": NO_WINDOW,
    "MR_small": GREY,
    "MR_small_RLE": GREY,
    "MR_small_bigendian": GREY,
    "MR_small_expb": GREY,
    "MR_small_implicit": GREY,
    "MR_small_jp2klossless": GREY,
    "MR_small_jpeg_ls_lossless": GREY,
    "MR_small_padded": GREY,
    "MR_truncated": "ends early",
    "SC_jpeg_no_color_transform": COLOUR,
    "SC_jpeg_no_color_transform_2": COLOUR,
    "SC_rgb_dcmtk_+eb+cr": COLOUR,
    "SC_rgb_dcmtk_+eb+cy+n1": COLOUR,
    "SC_rgb_dcmtk_+eb+cy+n2": COLOUR,
    "SC_rgb_dcmtk_+eb+cy+np": COLOUR,
    "SC_rgb_dcmtk_+eb+cy+s2": COLOUR,
    "SC_rgb_dcmtk_+eb+cy+s4": COLOUR,
    "SC_rgb_gdcm_KY": COLOUR,
    "SC_rgb_jls_lossy_line": COLOUR,
    "SC_rgb_jls_lossy_sample": COLOUR,
    "SC_rgb_jpeg": COLOUR,
    "SC_rgb_jpeg_app14_dcmd": COLOUR,
    "SC_rgb_jpeg_dcmtk": COLOUR,
    "SC_rgb_jpeg_gdcm": COLOUR,
    "SC_rgb_jpeg_lossy_gdcm": COLOUR,
    "SC_rgb_rle": COLOUR,
    "SC_rgb_rle_16bit": COLOUR,
    "SC_rgb_rle_16bit_2frame": "2 frames",
    "SC_rgb_rle_2frame": "2 frames",
    "SC_rgb_rle_32bit": COLOUR,
    "SC_rgb_rle_32bit_2frame": "2 frames",
    "SC_rgb_small_odd": COLOUR,
    "SC_rgb_small_odd_big_endian": COLOUR,
    "SC_rgb_small_odd_jpeg": COLOUR,
    "SC_ybr_full_422_uncompressed": COLOUR,
    "UN_sequence": NO_PIXELS,
    "badVR": "`NumberOfFrames` is no whole number",
    "empty_charset_LEI": NO_PIXELS,
    "image_dfl": NO_WINDOW,
    "liver_1frame": "Segmentation Storage: label maps",
    "liver_expb_1frame": "Segmentation Storage: label maps",
    "meta_missing_tsyntax": "names no transfer syntax",
    "no_meta": "does not begin as DICOM does",
    "no_meta_group_length": NO_PIXELS,
    "priv_SQ": NO_PIXELS,
    "rtstruct": "RT Structure Set Storage: it holds no pixels",
}
PICTURES = [name for name, outcome in OUTCOMES.items() if outcome in {GREY, COLOUR, NO_WINDOW}]


@pytest.mark.real_data
def test_each_real_file_has_its_outcome(real_data):
    folder = real_data("dicom") / "awkward" / "single"
    assert {path.stem for path in folder.iterdir()} == set(OUTCOMES)


@pytest.mark.real_data
@pytest.mark.parametrize("name", [name for name in OUTCOMES if name not in PICTURES])
@pytest.mark.parametrize("window", ["file", "none", (40.0, 400.0)])
def test_a_real_file_that_is_no_picture_is_refused_for_one_reason(real_data, name, window):
    path = real_data("dicom") / "awkward" / "single" / f"{name}.dcm"
    assert is_dicom(path)
    with pytest.raises(RefusedError, match=OUTCOMES[name]) as caught:
        read_dicom(path, "grey", window)
    assert str(path.parent) not in str(caught.value)
    patient = dicom_tag(path, "PatientID")
    assert not patient or patient not in str(caught.value)


@pytest.mark.real_data
@pytest.mark.parametrize("name", PICTURES)
def test_a_real_picture_is_what_pydicom_or_itk_shows(real_data, name):
    path = real_data("dicom") / "awkward" / "single" / f"{name}.dcm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(path)
        try:
            stored = data.pixel_array
        except RuntimeError:  # which decodes no JPEG-LS and no JPEG of twelve bits by itself
            assert "RescaleSlope" not in data
            shape = (data.Rows, data.Columns, 3)[: 2 if data.SamplesPerPixel == 1 else 3]
            stored = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).reshape(shape)
        colours = stored.ndim == 3
        bits = data.BitsStored
        expected: Any = stored
        if not colours:
            expected = apply_modality_lut(stored, data)
            if OUTCOMES[name] == NO_WINDOW:
                expected = expected.astype(float)
                kept = expected[stored != data.get("PixelPaddingValue", np.inf)]
                shown = ((expected - kept.min()) / np.ptp(kept) * 255).clip(0, 255)
            else:
                shown = pydicom_shows(data, stored)
        else:
            shown = stored / (2.0**bits - 1) * 255
    assert colours == (OUTCOMES[name] == COLOUR)
    assert dicom_size(path) == stored.shape[:2]
    plain = read_one(path, "none", "rgb").transpose(1, 2, 0)
    np.testing.assert_array_equal(plain, np.float32(expected) if colours else np.dstack([expected] * 3))
    found = read_one(path, "file", "rgb").transpose(1, 2, 0)
    np.testing.assert_allclose(found, shown if colours else np.dstack([shown] * 3), atol=1e-3)
    assert bool([note for note in read_dicom(path, "grey").notes if NO_WINDOW in note]) == (
        OUTCOMES[name] == NO_WINDOW
    )


@pytest.mark.real_data
def test_four_kinds_of_compression_of_one_series_give_the_same_pictures(real_data):
    folder = real_data("dicom") / "awkward" / "volumes"
    for number in range(1, 5):
        made = [
            read_one(folder / f"generic_compressed_{kind}_001" / f"IM-0001-000{number}-0001.dcm", "none")
            for kind in ("rle", "j2k", "jpeg", "jpegls")
        ]
        assert np.ptp(made[0]) > 200
        for other in made[1:]:
            np.testing.assert_array_equal(other, made[0])
