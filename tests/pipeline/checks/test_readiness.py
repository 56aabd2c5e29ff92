"""What a check says of slices that are smaller than those of some cases, of which it prepares the largest alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

import pytest

from medseg.api.data import check_data
from medseg.api.opening import check_pipeline
from medseg.progress import Silent
from medseg.testing.cases import write_brats


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five patients, one of whom has the largest slices and not the largest volume."""
    write_brats(tmp_path / "data", cases=4)
    write_brats(tmp_path / "flat", cases=1, shape=(40, 28, 6), seed=1)
    for path in (tmp_path / "flat").rglob("*.nii.gz"):
        path.rename(path.with_name(path.name.replace("001", "009")))
    shutil.move(tmp_path / "flat" / "Brats_001", tmp_path / "data" / "Brats_009")
    return tmp_path / "data"


@pytest.mark.usefixtures("monai_imported")
@pytest.mark.parametrize(
    ("size", "those"),
    [("[32,32]", "those of 1 of 5 cases are larger"), ("[26,32]", "those of 5 of 5 cases"), ("[48,48]", "")],
)
def test_cases_with_larger_slices_are_counted_though_the_largest_volume_has_none(
    data: Path, tiny: tuple[str, ...], size: str, those: str
) -> None:
    found = check_data("brats2d", data, set=[*tiny, f"slices.size={size}"], jobs=1)

    notes = [remark for remark in found.remarks if "slices.size" in remark]
    assert found.report.faults == ()
    assert len(notes) == bool(those)
    for note in notes:
        assert those in note
        assert note.endswith("that of the largest case alone was looked at; a run names all that are cut.")


@pytest.mark.usefixtures("monai_imported")
def test_what_the_largest_case_loses_is_named_too(data: Path, tiny: tuple[str, ...]) -> None:
    found = check_data("brats2d", data, set=[*tiny, "slices.size=[8,8]"], jobs=1)

    cut, lost = (remark for remark in found.remarks if "slices.size" in remark)
    assert "those of 5 of 5 cases are larger" in cut
    assert "cut away some of what the label maps mark" in lost


@pytest.mark.usefixtures("monai_imported")
@pytest.mark.parametrize(
    ("size", "fit", "said"),
    [
        ("[112,160]", "resize", "as those of 6 of 6 cases: pixels and labels are only made larger"),
        ("[112,160]", "pad", "most of them is padding"),
        ("[40,160]", "resize", ""),
    ],
)
def test_slices_far_larger_than_what_is_stored_are_noted(
    patients: Path, tiny: tuple[str, ...], size: str, fit: str, said: str
) -> None:
    found = check_data("brats2d", patients, set=[*tiny, f"slices.size={size}", f"slices.fit={fit}"], jobs=1)

    notes = [remark for remark in found.remarks if "slices.size" in remark]
    assert [said in note for note in notes] == [True] * bool(said)


@pytest.mark.usefixtures("monai_imported")
def test_what_the_check_of_data_notes_the_check_of_a_pipeline_with_data_says(
    patients: Path, tiny: tuple[str, ...]
) -> None:
    class Heard(Silent):
        said: ClassVar[list[str]] = []

        def say(self, text: str, *, loud: bool = False) -> None:
            self.said.append(text)

    changed = [*tiny, "slices.size=[16,16]"]
    remarks = check_data("brats2d", patients, set=changed, jobs=1).remarks
    check_pipeline("brats2d", data=patients, set=changed, jobs=1, progress=Heard())

    assert remarks
    assert set(remarks) <= set(Heard.said)


@pytest.mark.usefixtures("monai_imported")
def test_patients_whom_counts_leave_over_are_not_looked_at(patients: Path, tiny: tuple[str, ...]) -> None:
    counts = ["split={train: 2, val: 1, test: 1}", "slices.size=[112,160]"]
    found = check_data("brats2d", patients, set=[*tiny, *counts], jobs=1)

    assert found.refused == ()
    assert any("those of 4 of 4 cases" in remark for remark in found.remarks)


@pytest.mark.usefixtures("monai_imported")
def test_a_file_that_gives_nobody_a_role_is_refused_for_its_empty_roles(
    patients: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    rows = "".join(f"Brats_00{number},unused\n" for number in range(1, 7))
    (tmp_path / "split.csv").write_text(f"case,role\n{rows}")
    found = check_data("brats2d", patients, set=[*tiny, f"split={{file: {tmp_path / 'split.csv'}}}"], jobs=1)

    assert "needs patients in the role train" in found.refused[0]


@pytest.mark.usefixtures("monai_imported")
def test_a_list_of_slices_that_no_volume_has_is_refused_and_cases_that_it_does_not_name_are_counted(
    patients: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    rows = (
        "train,Brats_001.npz,3",
        "train,Brats_002.npz,900",
        "train,Brats_002.npz,901",
        "test,Brats_001.npz,4",
    )
    (tmp_path / "index.csv").write_text("\n".join(["train_or_test,file_name,slice", *rows]))
    named = [f"split={{file: {tmp_path / 'index.csv'}}}", "steps.evaluate.role=val"]
    found = check_data("brats2d", patients, set=[*tiny, *named], jobs=1)

    (refused,) = found.refused
    assert "lists 2 of its 4 slices, of 1 case, where there is none" in refused
    assert any("lists no slice of 4 of 6 cases: they are not used" in remark for remark in found.remarks)


@pytest.mark.usefixtures("monai_imported")
@pytest.mark.parametrize(
    ("val", "said"), [(8, ""), (600, "of 72 slices, split gives val 600: nobody is left")]
)
def test_counts_of_slices_are_compared_with_the_slices_of_the_files(
    patients: Path, tiny: tuple[str, ...], val: int, said: str
) -> None:
    by_slice = [f"split={{by: slice, val: {val}, test: 0}}", "steps.evaluate.role=val"]
    found = check_data("brats2d", patients, set=[*tiny, *by_slice], jobs=1)

    assert [said in refusal for refusal in found.refused] == [True] * bool(said)
