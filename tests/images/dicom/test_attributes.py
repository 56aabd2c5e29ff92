"""Values of attributes are those that pydicom gives, whatever other file held the same bytes before."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medseg.images.dicom.attributes import value_of

VALUES = {
    "Rows": 513,
    "WindowCenter": ["40.5", "1e2"],
    "InstanceNumber": 7,
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "SOPInstanceUID": "1.2.3",
    "PatientName": "Ada",
    "PixelSpacing": None,
}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian])
def test_values_are_those_of_pydicom_in_every_syntax(tmp_path: Path, syntax: str) -> None:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    for keyword, value in VALUES.items():
        setattr(data, keyword, value)
    for name in ("first", "second"):
        data.save_as(tmp_path / name, enforce_file_format=False)
        ours, bare = dcmread(tmp_path / name, force=True), dcmread(tmp_path / name, force=True)
        found = {keyword: value_of(ours, keyword) for keyword in (*VALUES, "Columns")}
        assert found == {keyword: bare.get(keyword) for keyword in (*VALUES, "Columns")}


def test_the_same_bytes_in_another_order_are_another_number(tmp_path: Path) -> None:
    found = []
    for syntax in (ExplicitVRLittleEndian, ExplicitVRBigEndian):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = syntax
        data.Rows = 0x0102 if syntax == ExplicitVRLittleEndian else 0x0201
        data.save_as(tmp_path / "file", enforce_file_format=False)
        found.append(value_of(dcmread(tmp_path / "file", force=True), "Rows"))
    assert found == [0x0102, 0x0201]
