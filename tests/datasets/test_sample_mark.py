"""A generated sample is known as one wherever it lies, and whatever else lies beside it is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest

from medseg.api import write_sample
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.sample_mark import Marks, begin_sample, is_mark, mark_sample, marked
from medseg.errors import DataError
from medseg.files.content import content_of
from medseg.named import find_manifest
from medseg.pipeline.about import run_about
from medseg.pipeline.gather import Gathered, check_data, gather
from medseg.pipeline.options import RunOptions
from medseg.progress import Silent

ONE = RunOptions.of(jobs=1)


@pytest.fixture
def sample(patients: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(patients, tmp_path / "sample"))
    mark_sample(folder)
    return folder


def is_sample(folder: Path) -> bool:
    files = {str(number): file for number, file in enumerate(sorted(folder.rglob("*.nii.gz")))}
    return Marks().hold(files, {part: content_of(file) for part, file in files.items()})


def mark_of(folder: Path) -> Path:
    (mark,) = (path for path in folder.iterdir() if is_mark(path.name))
    return mark


def found(folder: Path, ids: str = "pseudonyms") -> Gathered:
    brats = Manifest.from_yaml(find_manifest("brats2019").path).model_copy(update={"ids": ids})
    return gather(check_data(brats, brats.channels, folder, ONE, Silent()), skip_bad=True)


def add_real_case(folder: Path) -> None:
    mine = Path(shutil.copytree(folder / "Brats_001", folder / "Brats_007"))
    for number, file in enumerate(sorted(mine.iterdir()), start=2):
        image = nibabel.load(file)  # type: ignore[attr-defined]
        values = image.get_fdata() if "seg" in file.name else image.get_fdata() * number
        moved = mine / file.name.replace("001", "007")
        nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), image.affine), moved)  # type: ignore[attr-defined]
        file.unlink()


def test_a_sample_is_known_where_it_was_made_where_it_was_copied_and_in_part(
    sample: Path, tmp_path: Path
) -> None:
    assert is_sample(sample)
    assert is_sample(Path(shutil.copytree(sample, tmp_path / "elsewhere")))
    assert is_sample(sample / "Brats_001")
    both = tmp_path / "both"
    for name in ("a", "b"):
        shutil.copytree(sample, both / name)
    assert is_sample(both)
    assert not is_sample(Path(shutil.copytree(sample / "Brats_001", tmp_path / "alone")))


def test_equal_files_have_an_equal_mark_and_marking_again_changes_nothing(
    sample: Path, tmp_path: Path
) -> None:
    first = mark_of(sample)
    mark_sample(sample)
    copied = Path(
        shutil.copytree(sample, tmp_path / "copied", ignore=shutil.ignore_patterns("medseg-sample*"))
    )
    mark_sample(copied)
    assert mark_of(sample).name == first.name == mark_of(copied).name
    assert mark_of(sample).read_bytes() == first.read_bytes() == mark_of(copied).read_bytes()


def test_data_without_a_mark_or_without_files_are_no_sample(patients: Path, sample: Path) -> None:
    assert not is_sample(patients)
    assert not Marks().hold({}, {})


@pytest.mark.parametrize(
    "damage", ["", "[]", "{}", '{"files": 3}', '{"files": [{}]}', '{"files": null}', "\ufeff{"]
)
def test_a_damaged_mark_marks_nothing(sample: Path, damage: str) -> None:
    mark_of(sample).write_text(damage, encoding="utf-8")
    assert not is_sample(sample)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_mark_that_is_a_pipe_is_not_waited_for(sample: Path) -> None:
    mark = mark_of(sample)
    mark.unlink()
    os.mkfifo(mark)
    assert not is_sample(sample)


def test_the_mark_itself_is_no_file_of_the_data(sample: Path) -> None:
    assert found(sample).report.listing.left == ()
    assert found(sample).report.listing.notes == ()


def test_a_case_of_another_origin_among_them_is_told_by_how_many_were_generated(sample: Path) -> None:
    assert found(sample).generated
    assert found(sample).report.mixture() == ""
    add_real_case(sample)
    mixed = found(sample).report
    assert not mixed.generated
    assert mixed.mixture() == "6 of 7"
    assert mixed.origin_note().startswith("GENERATED CASES: 6 of 7")
    resolved: Any = SimpleNamespace(definition=SimpleNamespace(name="brats2d"))
    split: Any = SimpleNamespace(leaking=False, by="group")
    about = run_about(resolved, Gathered(mixed, mixed.good, ()), split, "run")
    assert about["data.generated_cases"] == "6 of 7"
    assert about["data.note"].startswith("The run was given generated cases (6 of 7)")


def test_a_mark_publishes_no_identifier(sample: Path) -> None:
    known = found(sample, "identifying")
    assert known.generated
    assert not any("Brats" in case.id for case in known.cases), (
        "somebody may have marked a folder of patients"
    )


def test_no_sample_is_put_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "case_1.nii.gz").write_bytes(b"a patient")
    with pytest.raises(DataError, match=r"1 file that no sample has made.*Name an empty folder"):
        write_sample("nuclei", tmp_path, cases=1, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["case_1.nii.gz"]


def test_what_is_put_into_a_sample_is_not_signed_when_the_sample_grows(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    write_sample("nuclei", folder, cases=1, seed=1)
    mine = folder / "stage1_train" / "mine.png"
    mine.write_bytes(b"a patient")
    stale = folder / "stage1_train" / ".case.abc.part"
    stale.mkdir()
    os.utime(stale, (0, 0))
    write_sample("nuclei", folder, cases=2, seed=1)
    known = marked(folder)
    assert known is not None
    assert content_of(mine).digest not in known
    pictures = [path for path in folder.rglob("*.png") if path != mine]
    assert {content_of(path).digest for path in pictures} <= known
    assert len({path.parent.parent for path in pictures}) == 2
    assert not stale.exists()


def test_what_lies_among_the_samples_of_the_cache_was_generated(
    patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / "cache"))
    folder = Path(shutil.copytree(patients, tmp_path / "cache" / "samples" / "braintumours-v1"))
    assert is_sample(folder)
    assert not is_sample(Path(shutil.copytree(patients, tmp_path / "cache" / "patients")))


def test_samples_that_are_copied_into_one_folder_keep_their_marks(
    sample: Path, patients: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(patients / "Brats_001", tmp_path / "other" / "Brats_009").parent)
    mark_sample(other)
    both = tmp_path / "both"
    for each in (sample, other):
        shutil.copytree(each, both, dirs_exist_ok=True)
    assert sum(is_mark(path.name) for path in both.iterdir()) == 2
    assert is_sample(both)


@pytest.mark.skipif(os.name != "posix", reason="links need rights on this system")
def test_links_to_the_cases_of_a_sample_are_followed(sample: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for case in sample.iterdir():
        if case.is_dir():
            (linked / case.name).symlink_to(case)
    files = {str(n): file for n, file in enumerate(sorted(sample.rglob("*.nii.gz")))}
    through = {part: linked / file.relative_to(sample) for part, file in files.items()}
    assert Marks().hold(through, {part: content_of(file) for part, file in through.items()})


def test_what_systems_leave_keeps_nobody_from_making_a_sample_and_is_never_signed(tmp_path: Path) -> None:
    left = (".DS_Store", "Thumbs.db", "desktop.ini", "._case", "__MACOSX/x")
    folder = tmp_path / "sample"
    (folder / "__MACOSX").mkdir(parents=True)
    for number, name in enumerate(left):
        (folder / name).write_bytes(bytes([number]))
    assert begin_sample(folder) == frozenset()
    (folder / "image.nii").write_bytes(b"made")
    mark_sample(folder)
    assert marked(folder) == {content_of(folder / "image.nii").digest}
    (folder / "mine.txt").write_text("mine", encoding="utf-8")
    assert begin_sample(folder) == {"mine.txt"}
    (folder / mark_of(folder).name).unlink()
    with pytest.raises(DataError, match="holds 2 files that no sample has made"):
        begin_sample(folder)
