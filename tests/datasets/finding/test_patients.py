"""One patient is one, however the data spell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.testing.dicoms import write_dicom
from medseg.testing.labelled import write_class_folders
from medseg.testing.pictures import shapes, write_picture

MANIFESTS = Path(__file__).parents[3] / "data_manifests"


def manifest(**group):
    found = Manifest.from_yaml(MANIFESTS / "image_folders.yaml").model_dump(by_alias=True, exclude_none=True)
    return Manifest.model_validate({**found, "group": group} if group else found)


@pytest.fixture
def spelt(tmp_path):
    """Two patients of each class, each spelt in three ways."""
    for label in ("left", "right"):
        for number in range(2):
            for turn, name in enumerate(
                (f"p{label}{number}a", f"P{label}{number}A", f" p{label} {number}a ")
            ):
                place = tmp_path / "data" / label / f"{number}{turn}.dcm"
                write_dicom(place, shapes(seed=number * 10 + turn)[0], PatientID=name)
    return tmp_path / "data"


def test_case_and_spaces_tell_no_patients_apart(spelt):
    listing = scan(manifest(), spelt)

    assert len(listing.cases) == 12
    assert len({case.group for case in listing.cases}) == 4
    assert any("4 patients are spelt in more than one way" in note for note in listing.notes)


def test_spellings_are_named_nowhere(spelt):
    listing = scan(manifest(), spelt)
    told = " ".join([*listing.notes, *(case.group for case in listing.cases)])

    assert "pleft" not in told.casefold().replace(" ", "")


def test_two_tellers_may_disagree_and_that_is_said(tmp_path):
    folder = tmp_path / "data"
    for label in ("left", "right"):
        write_dicom(folder / label / "1.dcm", shapes(seed=1)[0], PatientID="07")
        write_picture(folder / label / "p07_2.png", shapes(seed=2)[0])
    listing = scan(manifest(tag="PatientID", pattern="(p[0-9]+)_"), folder)

    assert any("leakage cannot be excluded: look through the patients" in note for note in listing.notes)


def test_one_teller_alone_raises_no_such_doubt(spelt):
    notes = scan(manifest(tag="PatientID", pattern="(p[0-9]+)_"), spelt).notes

    assert not any("do not spell a patient alike" in note for note in notes)


def test_numbers_of_a_table_are_one_with_and_without_decimals(tmp_path):
    rows = ["image,label,patient,role"]
    for number, patient in enumerate(["1", "1.0", " 1 ", "2", "2.00", "2"]):
        write_picture(tmp_path / f"{number}.png", shapes(seed=number)[0])
        rows.append(f"{number}.png,{'left' if number % 2 else 'right'},{patient},")
    (tmp_path / "images.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    listing = scan(Manifest.from_yaml(MANIFESTS / "image_table.yaml"), tmp_path)

    assert len(listing.cases) == 6
    assert len({case.group for case in listing.cases}) == 2


def test_pictures_that_tell_nobody_stay_apart_whatever_their_names(tmp_path):
    folder = write_class_folders(tmp_path / "data", ("left", "right"), cases=2)
    write_picture(folder / "left" / "Same.png", shapes(seed=8)[0])
    write_picture(folder / "left" / "same .png", shapes(seed=9)[0])

    assert len({case.group for case in scan(manifest(), folder).cases}) == 6


def test_a_pattern_that_finds_no_patient_is_not_said_to_find_one(tmp_path):
    folder = write_class_folders(tmp_path / "data", ("left", "right"), cases=2)
    found = Manifest.from_yaml(MANIFESTS / "image_folders.yaml").model_dump(by_alias=True, exclude_none=True)
    listing = scan(Manifest.model_validate({**found, "group": r"(X\d+)"}), folder)

    assert len(listing.faults) == 4
    assert not any("one and the same patient" in note for note in listing.notes)


def test_who_says_that_all_are_of_one_patient_is_told(tmp_path):
    folder = write_class_folders(tmp_path / "data", ("left", "right"), cases=2)
    (said,) = (note for note in scan(manifest(pattern="t(/)0"), folder).notes if "same patient" in note)

    assert "as 'group' of the manifest says" in said
