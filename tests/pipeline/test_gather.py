"""From a definition to the cases that a run learns from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medseg.component import SHIPPED
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError, DefinitionError
from medseg.named import find_manifest, find_pipeline
from medseg.pipeline.about import assumed_tag
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.gather import check_data, find_data, gather, generator_of
from medseg.pipeline.options import RunOptions
from medseg.progress import Silent
from medseg.testing.cases import take_place, write_brats

ONE = RunOptions.of(jobs=1)


def manifest(name: str) -> Manifest:
    return Manifest.from_yaml(find_manifest(name).path)


def definition(name: str) -> PipelineDefinition:
    return PipelineDefinition.from_yaml(find_pipeline(name).path)


@pytest.fixture
def spoilt(patients: Path, tmp_path: Path) -> Path:
    data = Path(shutil.copytree(patients, tmp_path / "data"))
    (data / "Brats_002" / "Brats_002_t1.nii.gz").write_bytes(b"")
    return data


def test_given_data_are_taken_as_they_are(tmp_path: Path) -> None:
    brats = definition("brats2d")
    found = find_data(brats, manifest("brats2019"), tmp_path, ONE, Silent())

    assert found == tmp_path


def test_without_data_or_sample_it_says_what_to_get() -> None:
    acdc = definition("acdc")
    with pytest.raises(DefinitionError, match=r"--data PATH.*http"):
        find_data(acdc, manifest("acdc"), None, ONE, Silent())
    with pytest.raises(DefinitionError, match="no generated sample"):
        generator_of(manifest("acdc"), SHIPPED)


def test_a_run_is_tagged_with_what_is_assumed_of_how_many_cases_and_no_name(
    patients: Path, tmp_path: Path
) -> None:
    brats = manifest("brats2019")

    def tag(root: Path) -> dict[str, str]:
        report = check_data(brats, brats.channels, root, ONE, Silent())
        return assumed_tag(gather(report, skip_bad=False))

    assert tag(patients) == {}
    data = Path(shutil.copytree(patients, tmp_path / "data"))
    take_place(data / "Brats_002")
    (found,) = tag(data).values()
    assert "no place and no directions" in found
    assert "1 is assumed: mm and mL are no measures (1 of 6 cases)" in found
    assert "Brats" not in found


def test_good_data_are_all_taken(patients: Path) -> None:
    brats = manifest("brats2019")
    report = check_data(brats, brats.channels, patients, ONE, Silent())
    found = gather(report, skip_bad=False)

    assert [case.id for case in found.cases] == [f"Brats_00{n}" for n in range(1, 7)]
    assert found.left_out == ()


def test_faults_stop_it_unless_bad_cases_may_be_left_out(spoilt: Path) -> None:
    brats = manifest("brats2019")
    report = check_data(brats, brats.channels, spoilt, ONE, Silent())

    with pytest.raises(DataError, match="--skip-bad") as caught:
        gather(report, skip_bad=False)
    assert [fault.case for fault in caught.value.faults] == ["Brats_002"]
    found = gather(report, skip_bad=True)
    assert found.left_out == ("Brats_002",)
    assert len(found.cases) == 5


def test_leaving_out_is_not_offered_where_no_case_would_be_left(tmp_path: Path) -> None:
    brats = manifest("brats2019")
    write_brats(tmp_path, cases=1)
    (scan_path,) = tmp_path.rglob("*_flair.nii*")
    scan_path.write_bytes(b"no image")
    report = check_data(brats, brats.channels, tmp_path, ONE, Silent())

    with pytest.raises(DataError, match=r"0 cases without\. Mend it\.$"):
        gather(report, skip_bad=False)


def test_a_channel_that_is_not_used_may_be_bad(spoilt: Path) -> None:
    report = check_data(manifest("brats2019"), ("flair", "t2"), spoilt, ONE, Silent())

    assert not report.faults


def test_nothing_left_is_an_error_even_when_bad_cases_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    brats = manifest("brats2019")
    report = check_data(brats, brats.channels, tmp_path / "empty", ONE, Silent())

    with pytest.raises(DataError, match="no case can be used"):
        gather(report, skip_bad=True)
