"""What a header says is in no message, unless it is a word of its format: anything may stand in any field."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataelem import DataElement

from medseg.errors import DataError
from medseg.images.dicom.reader import read_dicom
from medseg.images.dicom.series.plane import TELLING
from medseg.images.dicom.series.read import read_series
from medseg.images.itk.read import read_itk
from medseg.images.npz import NpzFiles
from medseg.images.refusal import of_format
from medseg.testing.canaries import Planter, write_planted_itk
from medseg.testing.dicoms import write_dicom
from medseg.testing.leaks import WORD, leaks_in
from medseg.testing.series import write_series


def said(read: Callable[[], object]) -> str:
    """What a reader says of a file that it refuses; empty if it takes it."""
    try:
        read()
    except DataError as error:
        return str(error)
    return ""


def test_only_words_of_a_format_and_small_numbers_are_told() -> None:
    assert of_format("BZIP2", {"bzip2"}) == "BZIP2"
    assert of_format("-3.5") == "-3.5"
    assert {of_format(text, {"bzip2"}) for text in ("Meier", "19700101", "bzip2 Meier")} == {"something else"}


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_no_field_of_an_itk_header_is_quoted(ending: str, tmp_path: Path) -> None:
    path = write_planted_itk(tmp_path / f"a{ending}", np.zeros((2, 3, 4)), Planter())
    whole = path.read_bytes()
    assert read_itk(path).data.shape == (2, 3, 4)
    header = whole[: whole.index(b"kinds" if ending == ".nrrd" else b"ElementDataFile")]
    lines = [line for line in header.splitlines() if b":" in line or b"=" in line]
    refused = 0
    for line in [*lines, b"kinds: domain domain domain", b"ElementDataFile = LOCAL"]:
        name, sign, _ = re.split(rb"(:=|:|=)", line, maxsplit=1)
        for changed in (name + sign + b" " + WORD.encode(), line + b"\n" + line, line + b" " + WORD.encode()):
            path.write_bytes(whole.replace(line, changed))
            message = said(lambda: read_itk(path))
            refused += bool(message)
            assert not leaks_in(message.encode()), line
    path.write_bytes(whole.replace(lines[-1], b"\n".join([lines[-1], *[f"{WORD}: 1".encode()] * 2])))
    assert not leaks_in(said(lambda: read_itk(path)).encode())
    assert refused > 8


def test_no_name_in_an_archive_is_quoted(tmp_path: Path) -> None:
    field = np.zeros(3, [(WORD, "f4")])
    for arrays in ({WORD: np.zeros(3)}, {"data": field}):
        np.savez(tmp_path / "a.npz", **arrays)
        message = said(lambda: NpzFiles(("t1",)).read(tmp_path / "a.npz", 0))
        assert message
        assert not leaks_in(message.encode())


@pytest.mark.slow
def test_no_attribute_of_dicom_is_quoted(tmp_path: Path) -> None:
    picture = write_dicom(tmp_path / "one.dcm", np.zeros((4, 4, 3), np.uint8), PlanarConfiguration=0)
    slices = write_series(tmp_path / "series", np.zeros((3, 4, 4), np.uint16), ImageType=["ORIGINAL"])
    readers = {picture: lambda: read_dicom(picture, "rgb"), slices[1]: lambda: read_series(slices)}
    refused = 0
    for path, read in readers.items():
        whole = path.read_bytes()
        assert said(read) == ""
        tags = [element.tag for element in dcmread(path) if element.keyword != "PixelData"]
        for tag in (*tags, *(keyword for keyword in TELLING if keyword != "ImageType")):
            data = dcmread(path)
            data.add(DataElement(tag, "LO", f"{WORD}1"))
            data.save_as(path)
            message = said(read)
            refused += bool(message)
            assert not leaks_in(message.encode()), tag
            path.write_bytes(whole)
    assert refused > 15


@pytest.mark.parametrize(("values", "told"), [(("1", "2"), True), ((f"{WORD}1", f"{WORD}2"), False)])
def test_texts_that_tell_images_of_one_place_apart_are_not_shown(
    values: tuple[str, ...], told: bool, tmp_path: Path
) -> None:
    paths = []
    for each in values:
        for path in write_series(tmp_path / each, np.zeros((2, 4, 4), np.uint16), SeriesInstanceUID="1.2"):
            data = dcmread(path)
            data.add(DataElement("AcquisitionNumber", "LO", each))
            data.SOPInstanceUID = f"1.2.3.{len(paths) + 1}"
            data.save_as(path)
            paths.append(path)

    message = said(lambda: read_series(paths))

    assert "2 slices lie at" in message or "4 slices lie at" in message
    assert ("AcquisitionNumber" in message) == told
    assert not leaks_in(message.encode())
