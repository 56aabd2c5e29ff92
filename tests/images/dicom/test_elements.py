"""DICOM files of very many attributes, values and items, each of which takes the time of an object."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from medseg.datasets.deidentification.dicom.dataset import identifiers
from medseg.images.dicom import elements
from medseg.images.dicom.reader import dicom_size, read_dicom
from medseg.images.refusal import RefusedError
from medseg.testing.dicoms import write_dicom

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5)
IMPLICIT = {"transfer_syntax": ImplicitVRLittleEndian}


def with_element(path: Path, number: int, value: bytes, **how: str) -> Path:
    """A picture with one more element before all others, in the way of its syntax."""
    write_dicom(path, GREY, **how)
    raw = path.read_bytes()
    at = 144 + int.from_bytes(raw[140:144], "little")  # behind the meta information
    group, element = number >> 16, number & 0xFFFF
    form = struct.pack(
        "<HHI" if how else "<HH4sI", *((group, element) if how else (group, element, b"SQ\0\0")), len(value)
    )
    path.write_bytes(raw[:at] + form + value + raw[at:])
    return path


ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
MANY = {
    "items": lambda path, count: with_element(path, 0x00081110, count * ITEM),
    "items, implicit": lambda path, count: with_element(path, 0x00081110, count * ITEM, **IMPLICIT),
    "private items": lambda path, count: with_element(path, 0x00071010, count * ITEM, **IMPLICIT),
    "values": lambda path, count: with_element(path, 0x00080008, count * b"a\\", **IMPLICIT),
}


@pytest.mark.parametrize("kind", MANY)
def test_a_file_of_very_many_items_or_values_is_refused_before_they_are_made(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elements, "_MOST", 2_000)
    few, many = (MANY[kind](tmp_path / f"{count}.dcm", count) for count in (1_500, 3_000))

    np.testing.assert_array_equal(read_dicom(few, "grey", "none").pixels[0], GREY)
    for read in (dicom_size, lambda path: read_dicom(path, "grey")):
        with pytest.raises(RefusedError, match="more than 2100 attributes, values and items"):
            read(many)


def test_a_file_of_very_many_elements_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom(tmp_path / "a.dcm", GREY)
    assert dicom_size(path) == GREY.shape

    monkeypatch.setattr(elements, "_MOST", -90)
    with pytest.raises(RefusedError, match="more than 10 attributes"):
        dicom_size(path)
    monkeypatch.setattr(elements, "_MOST_CALLS", 9)
    with pytest.raises(RefusedError, match="more than 9 attributes"):
        dicom_size(path)


def test_frames_allow_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "_MOST", 0)
    frames = np.stack([GREY] * 30)
    path = write_dicom(
        tmp_path / "a.dcm", frames, NumberOfFrames=30, PerFrameFunctionalGroupsSequence=[{}] * 30
    )

    with pytest.raises(RefusedError, match="30 frames, expected a single one"):
        dicom_size(path)


def test_what_is_looked_through_for_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "_MOST", 0)
    inner, data = Dataset(), Dataset()
    for number in range(150):
        inner.add_new(0x00110000 + number, "LO", "x")
    data.ReferencedStudySequence = [inner]

    with pytest.raises(RefusedError, match="more than 100 attributes"):
        identifiers(data)
