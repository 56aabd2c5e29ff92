"""NIfTI, pictures and side-cars: what stays is equal, and how a picture is turned stays too."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from medseg.datasets.deidentification.choice import Choice, Cleaned
from medseg.datasets.deidentification.dicom.known import Known
from medseg.datasets.deidentification.kinds import Rules, kind_of
from medseg.datasets.deidentification.nifti import clean_header, clean_nifti, clean_voxels
from medseg.datasets.deidentification.pictures import clean_jpeg, clean_png
from medseg.datasets.deidentification.sidecar import clean_sidecar
from medseg.datasets.deidentification.substitutes import Substitutes
from medseg.datasets.deidentification.tiff import clean_tiff
from medseg.errors import DataError
from medseg.images.nifti.pair import read_pair
from medseg.images.pictures.read import read_picture
from medseg.images.refusal import RefusedError

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)
RULES = Rules(Choice(), Substitutes(b"k"), Known())
AFFINE = np.array([[0.0, -2, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 9], [0, 0, 0, 1]])


@pytest.mark.parametrize("form", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_voxels_and_place_of_nifti_stay(form: type, ending: str, order: str, tmp_path: Path) -> None:
    header = form.header_class(endianness=order)
    image = form(np.arange(24, dtype=np.int16).reshape(2, 3, 4), AFFINE, header)
    image.header["descrip"] = "Meier"
    image.header.set_slope_inter(2, 1)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Meier" * 20))
    nibabel.save(image, tmp_path / f"a{ending}")

    (tmp_path / f"b{ending}").write_bytes(clean_nifti(tmp_path / f"a{ending}").content)

    before, after = nibabel.load(tmp_path / f"a{ending}"), nibabel.load(tmp_path / f"b{ending}")
    assert np.array_equal(before.dataobj.get_unscaled(), after.dataobj.get_unscaled())
    assert np.array_equal(np.asanyarray(before.dataobj), np.asanyarray(after.dataobj))
    assert np.array_equal(before.affine, after.affine)
    assert after.header["descrip"] == b""
    assert not after.header.extensions


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", [nibabel.Nifti1Pair, nibabel.Spm99AnalyzeImage, nibabel.AnalyzeImage])
def test_voxels_and_size_of_a_pair_stay(form: type, order: str, tmp_path: Path) -> None:
    image = form(
        np.arange(24, dtype=np.int16).reshape(2, 3, 4),
        np.diag([2.0, 3, 4, 1]),
        form.header_class(endianness=order),
    )
    image.to_filename(tmp_path / "a.img")
    before = read_pair(tmp_path / "a.hdr")
    header = bytearray((tmp_path / "a.hdr").read_bytes())
    for start in (14, 148, 228):
        header[start : start + 5] = b"Meier"
    if form is not nibabel.Nifti1Pair:
        header[283:288] = b"Meier"  # patient_id
    (tmp_path / "a.hdr").write_bytes(bytes(header) + b"Meier")
    with (tmp_path / "a.img").open("ab") as file:
        file.write(b"Meier")

    head, voxels = clean_header(tmp_path / "a.hdr"), clean_voxels(tmp_path / "a.img")
    (tmp_path / "b.hdr").write_bytes(head.content)
    (tmp_path / "b.img").write_bytes(voxels.content)

    after = read_pair(tmp_path / "b.hdr")
    assert np.array_equal(before.data, after.data)
    assert np.array_equal(before.geometry.affine, after.geometry.affine)
    assert np.array_equal(nibabel.load(tmp_path / "b.img").dataobj.get_unscaled(), image.dataobj)
    assert b"Meier" not in head.content + voxels.content
    assert head.changes["emptied"] >= 3
    assert head.changes["removed"] == voxels.changes["removed"] == 1


def test_voxels_that_do_not_begin_with_their_file_begin_with_it_afterwards(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nibabel.Nifti1Pair(array, AFFINE).to_filename(tmp_path / "a.img")
    header = bytearray((tmp_path / "a.hdr").read_bytes())
    header[108:112] = np.float32(16).tobytes()
    (tmp_path / "a.hdr").write_bytes(header)
    (tmp_path / "a.img").write_bytes(b"Meier, Sophie  \0" + (tmp_path / "a.img").read_bytes())

    (tmp_path / "b.hdr").write_bytes(clean_header(tmp_path / "a.hdr").content)
    (tmp_path / "b.img").write_bytes(clean_voxels(tmp_path / "a.img").content)

    assert np.array_equal(read_pair(tmp_path / "b.hdr").data, read_pair(tmp_path / "a.hdr").data)
    assert b"Meier" not in (tmp_path / "b.img").read_bytes()


def test_of_a_pair_neither_file_goes_without_the_other(tmp_path: Path) -> None:
    nibabel.Nifti1Pair(np.zeros((9, 9, 9), np.int16), AFFINE).to_filename(tmp_path / "a.img")
    (tmp_path / "cut.hdr").write_bytes((tmp_path / "a.hdr").read_bytes())
    (tmp_path / "cut.img").write_bytes((tmp_path / "a.img").read_bytes()[:-2])
    (tmp_path / "alone.img").write_bytes((tmp_path / "a.img").read_bytes())

    with pytest.raises(DataError, match="fewer voxels"):
        clean_voxels(tmp_path / "cut.img")
    with pytest.raises(DataError, match="no header"):
        clean_voxels(tmp_path / "alone.img")


def test_a_truncated_nifti_is_left_out(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((9, 9, 9)), AFFINE), tmp_path / "a.nii")
    whole = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "a.nii").write_bytes(whole[:-8])

    with pytest.raises(DataError, match="fewer voxels"):
        clean_nifti(tmp_path / "a.nii")


def test_a_header_of_endless_voxels_is_left_out(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), AFFINE), tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[40:48] = np.array([3, 32000, 32000, 32000], "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(raw)

    with pytest.raises(DataError, match="memory"):
        clean_nifti(tmp_path / "a.nii")


def saved(kind: str, **how: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "Meier"
    buffer = io.BytesIO()
    Image.fromarray(GREY[:, :5]).save(buffer, kind, exif=exif, **how)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "clean", "how"),
    [("PNG", clean_png, {}), ("JPEG", clean_jpeg, {}), ("JPEG", clean_jpeg, {"progressive": True})],
)
def test_pixels_stay_and_are_turned_as_before(
    kind: str, clean: object, how: dict[str, bool], tmp_path: Path
) -> None:
    before = saved(kind, **how)
    after: Cleaned = clean(before)  # type: ignore[operator]
    (tmp_path / "a").write_bytes(before)
    (tmp_path / "b").write_bytes(after.content)

    first, second = (read_picture(tmp_path / name, "grey") for name in "ab")

    assert np.array_equal(first.pixels, second.pixels)
    assert first.turned == second.turned == 6
    assert b"Meier" in before
    assert b"Meier" not in after.content


def test_a_clean_picture_is_copied() -> None:
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "PNG")

    found = clean_png(buffer.getvalue())

    assert found.content == buffer.getvalue()
    assert not found.changes


@pytest.mark.parametrize("cut", [20, 40, -5])
def test_a_damaged_png_is_left_out(cut: int) -> None:
    with pytest.raises(DataError, match=r"damaged|cannot be read"):
        clean_png(saved("PNG")[:cut])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("how", [{}, {"tile": (16, 16)}, {"compression": "zlib"}])
def test_samples_of_tiff_stay(order: str, big: bool, how: dict[str, object], tmp_path: Path) -> None:
    array = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=order, bigtiff=big) as file:
        for page in array:
            file.write(page, description="Meier, Sophie", metadata=None, contiguous=False, **how)

    found = clean_tiff((tmp_path / "a.tif").read_bytes())
    (tmp_path / "b.tif").write_bytes(found.content)

    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), array)
    assert b"Sophie" not in found.content
    assert "several pictures" in found.warnings[0]


def test_what_tifffile_finds_odd_is_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, description="Meier", metadata=None)
    raw = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        at = file.pages.first.tags["ImageDescription"].offset
    raw[at + 2 : at + 4] = (99).to_bytes(2, "little")  # a type that there is not

    clean_tiff(bytes(raw))

    assert not caplog.records
    assert tifffile.TiffFile(io.BytesIO(bytes(raw))).pages.first.tags
    assert caplog.records, "elsewhere it is"


def test_a_stack_that_only_its_description_tells_is_left_out(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 8, 8), np.uint8), imagej=True)
    raw = (tmp_path / "a.tif").read_bytes().replace(b"images=4", b"images=9")

    with pytest.raises(DataError, match="only its description"):
        clean_tiff(raw)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_of_a_picture_no_more_is_read_than_its_pixels_can_need(kind: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(GREY).save(whole, kind)
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.write(whole.read_bytes())
        file.truncate(500_000_000)

    for each in (whole, path):
        found = kind_of(each)
        assert found.name == kind
    assert kind_of(whole).clean(whole, RULES).content
    tracemalloc.start()
    with pytest.raises(RefusedError, match="where its pixels can need"):
        kind_of(path).clean(path, RULES)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100_000_000


def test_pages_of_several_sizes_are_cleaned_as_before(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for size in (40, 9):
            file.write(np.full((size, size), size, np.uint8), description="Meier", metadata=None)
    path = tmp_path / "a.tif"

    assert kind_of(path).clean(path, RULES) == clean_tiff(path.read_bytes())


def test_pieces_of_a_tiff_in_one_place_are_left_out(tmp_path: Path) -> None:
    strips, size = 400, 300_000
    head = struct.pack("<2sHIH", b"II", 42, 8, 8)
    at = len(head) + 8 * 12 + 4
    entries = [
        *((256, 4, 1, size), (257, 4, 1, strips), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((273, 4, strips, at), (278, 4, 1, 1), (279, 4, strips, at + 4 * strips)),
    ]
    begin = at + 8 * strips
    places, sizes = (struct.pack(f"<{strips}I", *[number] * strips) for number in (begin, size))
    tags = b"".join(struct.pack("<HHII", *each) for each in entries) + bytes(4)
    (tmp_path / "a.tif").write_bytes(head + tags + places + sizes + bytes(size))

    with pytest.raises(RefusedError, match=r"lie in one place.*as decompression bombs do"):
        clean_tiff((tmp_path / "a.tif").read_bytes())


def test_a_nifti_whose_voxels_begin_far_away_is_left_out(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), AFFINE), tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[108:112] = np.float32(2**29).tobytes()
    (tmp_path / "a.nii").write_bytes(raw)

    with pytest.raises(DataError, match="header of the NIfTI file is damaged"):
        clean_nifti(tmp_path / "a.nii")


def test_a_sidecar_keeps_what_says_how_an_image_was_taken() -> None:
    given = {
        "EchoTime": 0.03,
        "SliceTiming": [0, 0.5],
        "Modality": "MR",
        "PatientName": "Meier",
        "PatientID": 4711,
        "AcquisitionTime": "10:15",
        "SliceThickness": "Meier",
        "PhaseEncodingDirection": "Meier",
        "EchoTrainLength": {"Meier": 1},
    }

    found = clean_sidecar(json.dumps(given).encode())

    assert json.loads(found.content) == {"EchoTime": 0.03, "SliceTiming": [0, 0.5], "Modality": "MR"}
    assert found.changes == {"removed": 6}


@pytest.mark.parametrize("text", [b"[1, 2]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_sidecar_is_left_out(text: bytes) -> None:
    with pytest.raises(DataError, match="JSON"):
        clean_sidecar(text)
