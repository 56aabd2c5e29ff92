"""A file that lacks a name is cleaned of the names that the others of its study give."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from medseg.api import deidentify
from medseg.testing.dicoms import write_dicom

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)
NOBODY = {"PatientName": "", "PatientID": "", "StudyInstanceUID": ""}
NAMED = {"PatientName": "Meier^Sophie", "PatientID": "4711-0815", "StudyInstanceUID": "1.2.3"}


@pytest.fixture
def cleaned(tmp_path: Path) -> Callable[..., list[Dataset]]:
    """Write files with some attributes, clean their folder, and read what was made, the last of them first."""

    def clean(*files: dict[str, Any], **options: Any) -> list[Dataset]:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        for number, attributes in enumerate(files):
            place = attributes.pop("place", "")
            write_dicom(
                tmp_path / "in" / place / f"{number}.dcm", PIXELS, InstanceNumber=number, **attributes
            )
        deidentify(tmp_path / "in", tmp_path / "out", **options)
        found = [dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
        return sorted(found, key=lambda data: -int(data.InstanceNumber))

    return clean


def test_a_slice_without_its_name_keeps_none_of_its_study(cleaned: Callable[..., Any]) -> None:
    nameless, _ = cleaned(NAMED, {"StudyInstanceUID": "1.2.3", "SequenceName": "t1 sophie"})

    assert not nameless.SequenceName


def test_a_slice_without_its_name_keeps_none_of_its_patient(cleaned: Callable[..., Any]) -> None:
    later = {"PatientID": "4711-0815", "StudyInstanceUID": "1.2.4", "SequenceName": "t1 sophie"}

    other, _ = cleaned(NAMED, later)

    assert not other.SequenceName


def test_a_slice_of_no_study_keeps_none_of_its_folder(cleaned: Callable[..., Any]) -> None:
    stray = {**NOBODY, "SequenceName": "t1 sophie", "place": "a"}

    nameless, _ = cleaned({**NAMED, "place": "a"}, stray)

    assert not nameless.SequenceName


def test_names_of_other_patients_are_words_like_others(cleaned: Callable[..., Any]) -> None:
    other = {"PatientID": "1111", "StudyInstanceUID": "1.2.4", "SequenceName": "t1 sophie"}

    kept, _ = cleaned(NAMED, other)

    assert kept.SequenceName == "t1 sophie"


@pytest.mark.parametrize("missing", [{}, {"PatientName": "Meier^Sophie"}], ids=["nothing", "its name alone"])
def test_a_slice_without_its_patient_goes_with_its_study(
    cleaned: Callable[..., Any], missing: dict[str, str]
) -> None:
    nameless, named = cleaned(
        {**NAMED, "StudyDate": "20200229"},
        {**NOBODY, **missing, "StudyInstanceUID": "1.2.3", "StudyDate": "20200229"},
        shift_dates=True,
    )

    assert nameless.StudyDate == named.StudyDate != "20200229"
    assert Path(nameless.filename).parents[1] == Path(named.filename).parents[1]


def test_a_slice_of_another_name_stays_apart(cleaned: Callable[..., Any]) -> None:
    other, named = cleaned(NAMED, {**NOBODY, "StudyInstanceUID": "1.2.3", "PatientName": "Schmidt^Anna"})

    assert other.PatientID != named.PatientID


def test_of_a_study_of_two_patients_none_is_taken(cleaned: Callable[..., Any]) -> None:
    nameless, *named = cleaned(
        NAMED, {**NAMED, "PatientID": "0007"}, {"StudyInstanceUID": "1.2.3", "PatientID": ""}
    )

    places = {Path(each.filename).parents[2] for each in (nameless, *named)}
    assert len(places) == 3
