"""What an archive gives back is compared with what it was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from medseg.images.dicom.web.stored import refuse_changed, refuse_failed
from medseg.images.refusal import RefusedError
from medseg.testing.dicoms import write_dicom

MORE = {"PatientBirthDate": "19500101", "ContentTime": "101010"}


@pytest.fixture
def given(tmp_path: Path) -> Path:
    array = np.arange(20, dtype=np.uint8).reshape(4, 5)
    return write_dicom(tmp_path / "given", array, PatientID="p0", PatientName="A^B", **MORE)


def changed(given: Path, **attributes: Any) -> Path:
    data = dcmread(given)
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    data.save_as(given.with_name("back"))
    return given.with_name("back")


def test_times_and_additions_are_the_archives_own(given: Path) -> None:
    own = {"ContentTime": "202020", "IssuerOfPatientID": "PACS", "StudyDescription": "head"}
    refuse_changed(given, changed(given, **own))
    refuse_changed(given, changed(given, PatientName="A^B^^"))  # the same name
    data = dcmread(given)
    data.PatientName = data.PatientBirthDate = ""
    data.save_as(given)
    refuse_changed(given, changed(given, PatientName="A^B", PatientBirthDate="19000101"))  # completed


def test_compression_without_loss_is_the_same(given: Path) -> None:
    back = given.with_name("back")
    data = dcmread(given)
    data.compress(RLELossless, generate_instance_uid=False)
    data.save_as(back)
    refuse_changed(given, back)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PixelData", bytes(20)),
        ("PatientID", "p1"),
        ("PatientName", "p1"),
        ("PatientName", ""),
        ("PatientBirthDate", "19000101"),
        ("SOPInstanceUID", "1.2.3"),
        ("Rows", 5),
    ],
    ids=["pixels", "patient", "name", "no name", "birth date", "object", "size"],
)
def test_other_pixels_patients_and_objects_are_refused_by_name_alone(
    name: str, value: Any, given: Path
) -> None:
    with pytest.raises(RefusedError, match=f"differs in {name}") as met:
        refuse_changed(given, changed(given, **{name: value}))
    assert "p1" not in str(met.value)


def test_what_is_missing_is_another(given: Path) -> None:
    data = dcmread(given)
    del data.PatientID
    data.save_as(given.with_name("back"))
    with pytest.raises(RefusedError, match="differs in PatientID"):
        refuse_changed(given, given.with_name("back"))


def test_what_is_no_dicom_is_refused(given: Path) -> None:
    back = given.with_name("back")
    back.write_bytes(b"<html>")
    with pytest.raises(RefusedError, match="no DICOM object"):
        refuse_changed(given, back)


def failed(uid: str, code: int) -> Dataset:
    item, answer = Dataset(), Dataset()
    item.ReferencedSOPInstanceUID, item.FailureReason = uid, code
    answer.FailedSOPSequence = [item]
    return answer


def test_a_failure_is_told_by_its_code_and_an_empty_list_is_none() -> None:
    empty = Dataset()
    empty.FailedSOPSequence = []
    refuse_failed(empty, "1.2")
    refuse_failed(None, "1.2")
    refuse_failed(failed("1.3", 0x0122), "1.2")  # of another object
    refuse_failed(failed("1.2", 0x0111), "1.2")  # a duplicate is there, and compared when it is read back
    with pytest.raises(RefusedError, match=r"it keeps no segmentations \(code 0122\)"):
        refuse_failed(failed("1.2", 0x0122), "1.2")
    with pytest.raises(RefusedError, match="it cannot understand it"):
        refuse_failed(failed("1.2", 0xC123), "1.2")
