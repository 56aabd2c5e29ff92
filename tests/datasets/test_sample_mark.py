"""A generated sample is known as one wherever it lies, and whatever else lies beside it is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.sample_mark import MARK, all_of_sample, mark_sample
from medseg.files.content import content_of
from medseg.named import find_manifest
from medseg.pipeline.gather import check_data, gather
from medseg.pipeline.options import RunOptions
from medseg.progress import Silent

ONE = RunOptions.of(jobs=1)


@pytest.fixture
def sample(patients: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(patients, tmp_path / "sample"))
    mark_sample(folder)
    return folder


def is_sample(folder: Path, of: Path | None = None) -> bool:
    files = sorted((of or folder).rglob("*.nii.gz"))
    return all_of_sample(folder, [content_of(file) for file in files])


def generated(folder: Path, ids: str = "pseudonyms") -> tuple[bool, set[str]]:
    brats = Manifest.from_yaml(find_manifest("brats2019").path).model_copy(update={"ids": ids})
    found = gather(check_data(brats, brats.channels, folder, ONE, Silent()), skip_bad=True)
    return found.generated, {case.id for case in found.cases}


def test_a_sample_is_known_where_it_was_made_and_where_it_was_copied(sample: Path, tmp_path: Path) -> None:
    assert is_sample(sample)
    assert is_sample(Path(shutil.copytree(sample, tmp_path / "elsewhere")))


def test_equal_files_have_an_equal_mark_and_marking_again_changes_nothing(
    sample: Path, tmp_path: Path
) -> None:
    first = (sample / MARK).read_bytes()
    mark_sample(sample)
    copied = Path(shutil.copytree(sample, tmp_path / "copied", ignore=shutil.ignore_patterns(MARK)))
    mark_sample(copied)
    assert (sample / MARK).read_bytes() == first == (copied / MARK).read_bytes()


def test_data_without_a_mark_or_without_files_are_no_sample(patients: Path, sample: Path) -> None:
    assert not is_sample(patients)
    assert not all_of_sample(sample, [])


@pytest.mark.parametrize(
    "damage", ["", "[]", "{}", '{"files": 3}', '{"files": [{}]}', '{"files": null}', "\ufeff{"]
)
def test_a_damaged_mark_marks_nothing(sample: Path, damage: str) -> None:
    (sample / MARK).write_text(damage, encoding="utf-8")
    assert not is_sample(sample)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_mark_that_is_a_pipe_is_not_waited_for(sample: Path) -> None:
    (sample / MARK).unlink()
    os.mkfifo(sample / MARK)
    assert not is_sample(sample)


def test_one_case_of_another_origin_makes_data_of_a_sample_given_ones(sample: Path) -> None:
    assert generated(sample)[0]
    mine = Path(shutil.copytree(sample / "Brats_001", sample / "Brats_007"))
    for file in mine.iterdir():
        moved = file.rename(mine / file.name.replace("001", "007"))
        if "flair" in moved.name:
            shutil.copy(sample / "Brats_001" / "Brats_001_t1.nii.gz", moved)
    assert generated(sample)[0], "every one of its files was generated"
    import nibabel

    flair = mine / "Brats_007_flair.nii.gz"
    image = nibabel.load(flair)  # type: ignore[attr-defined]
    nibabel.save(nibabel.Nifti1Image(image.get_fdata()[::-1].copy(), image.affine), flair)  # type: ignore[attr-defined]
    assert not generated(sample)[0]


def test_a_mark_publishes_no_identifier(sample: Path) -> None:
    known, ids = generated(sample, "identifying")
    assert known
    assert not any("Brats" in each for each in ids), "somebody may have marked a folder of patients"
