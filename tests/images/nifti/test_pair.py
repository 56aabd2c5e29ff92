"""Volumes in two files: as nibabel reads them, with what Analyze leaves open said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medseg.errors import DataError
from medseg.images.nifti.pair import pair_geometry, read_pair
from medseg.images.nifti.read import read_nifti

VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
AFFINE = np.array([[0.0, -2, 0, 9], [1.5, 0, 0, -4], [0, 0, 3, 7], [0, 0, 0, 1]])


def analyze(path: Path, kind: Any = nibabel.AnalyzeImage, order: str = "<", **fields: Any) -> Path:
    header = kind.header_class(endianness=order)
    header.set_data_dtype(np.int16)
    image = kind(VOXELS, None, header)
    image.header.set_zooms((0.5, 2, 3))
    for name, value in fields.items():
        image.header[name] = value
    image.header["db_name"], image.header["descrip"] = b"Jane Doe", b"Jane Doe"
    image.to_filename(path)
    return path


@pytest.mark.parametrize("kind", [nibabel.AnalyzeImage, nibabel.Spm99AnalyzeImage, nibabel.Spm2AnalyzeImage])
@pytest.mark.parametrize("order", ["<", ">"])
def test_analyze_lies_where_nibabel_puts_it_and_that_is_said(tmp_path, kind, order):
    path = analyze(tmp_path / "a.hdr", kind, order)
    expected = nibabel.load(path)

    found = read_pair(path)

    np.testing.assert_array_equal(found.data, VOXELS)
    np.testing.assert_allclose(found.geometry.affine, expected.affine)
    assert pair_geometry(path).same_grid(found.geometry)
    assert any("no place and no directions" in clause for clause in found.geometry.assumed)
    assert b"Doe" not in found.geometry.header.binaryblock


def test_the_scale_of_spm_is_applied(tmp_path):
    path = analyze(tmp_path / "a.hdr", nibabel.Spm99AnalyzeImage)
    raw = bytearray(path.read_bytes())
    header = nibabel.Spm99AnalyzeImage.header_class(bytes(raw))
    header["scl_slope"] = 0.25
    path.write_bytes(header.binaryblock)

    np.testing.assert_allclose(read_pair(path).data, VOXELS * 0.25)
    np.testing.assert_allclose(nibabel.load(path).get_fdata(), VOXELS * 0.25)


@pytest.mark.parametrize("name", ["a.hdr", "a.HDR"])
def test_a_pair_of_nifti_is_what_one_file_is(tmp_path, name):
    nibabel.Nifti1Pair(VOXELS, AFFINE).to_filename(tmp_path / "a.hdr")
    nibabel.Nifti1Image(VOXELS, AFFINE).to_filename(tmp_path / "a.nii")
    (tmp_path / "a.hdr").rename(tmp_path / name)
    (tmp_path / "a.img").rename(tmp_path / name.replace("hdr", "img").replace("HDR", "IMG"))

    found, expected = read_pair(tmp_path / name), read_nifti(tmp_path / "a.nii")

    np.testing.assert_array_equal(found.data, expected.data)
    np.testing.assert_allclose(found.geometry.affine, AFFINE)
    assert found.notes == expected.notes == ()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"orient": b"\1"}, "another order of its axes"),
        ({"vox_offset": -5}, "begin at byte -5"),
        ({"vox_offset": 1e6}, "truncated"),
        ({"pixdim": np.full(8, np.nan)}, "singular or not finite"),
        ({"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}, "truncated"),
        ({"dim": [4, 3, 4, 5, 2, 1, 1, 1]}, r"shape \(3, 4, 5, 2\)"),
        ({"datatype": 32, "bitpix": 64}, "complex64|truncated"),
        ({"datatype": 99}, "damaged|not NIfTI"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused_for_its_reason(tmp_path, fields, reason):
    path = analyze(tmp_path / "a.hdr")
    header = nibabel.AnalyzeHeader(path.read_bytes(), check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock)

    with pytest.raises(DataError, match=reason):
        read_pair(path)


def test_the_voxels_lie_beside_the_header_or_nowhere(tmp_path):
    path = analyze(tmp_path / "a.hdr")
    voxels = path.with_suffix(".img").rename(tmp_path / "b.img")
    with pytest.raises(DataError, match="not there beside it"):
        read_pair(path)

    path.with_suffix(".img").symlink_to(voxels)
    with pytest.raises(DataError, match="is a link"):
        read_pair(path)
