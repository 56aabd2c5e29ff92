from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DefinitionError

MANIFESTS = Path(__file__).parents[3] / "data_manifests"
PARTS = ("flair", "t1", "t1ce", "t2", "seg")


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def brats() -> Manifest:
    return Manifest.from_yaml(MANIFESTS / "brats2019.yaml")


def made(folder: Path, parts: tuple[str, ...] = PARTS, suffix: str = ".nii.gz") -> Path:
    """Empty files of one case: a scan opens none."""
    folder.mkdir(parents=True)
    for part in parts:
        (folder / f"{folder.name}_{part}{suffix}").touch()
    return folder


def tiny(**changes: object) -> Manifest:
    return Manifest.model_validate(
        {
            **dict.fromkeys(["name", "about", "source", "licence", "citation"], "x"),
            "obtain": "Ask at the desk.",
            "channels": ["mr"],
            "classes": ["no", "yes"],
            "label_values": {0: "no", 1: "yes"},
            "layout": {"images": "{case}.nii*", "mask": "{case}_gt.nii*"},
            "ids": "pseudonyms",
            **changes,
        }
    )


def test_grades_and_flat_folders_and_both_suffixes_are_read(tmp_path: Path, brats: Manifest) -> None:
    root = tmp_path / "data"
    made(root / "HGG" / "BraTS19_b")
    made(root / "LGG" / "BraTS19_a", suffix=".nii")
    made(root / "BraTS19_c")
    listing = scan(brats, root)
    assert listing.faults == ()
    assert [case.id for case in listing.cases] == ["BraTS19_a", "BraTS19_b", "BraTS19_c"]
    assert [case.position for case in listing.cases] == [1, 2, 3]
    assert [case.extra["grade"] for case in listing.cases] == ["LGG", "HGG", ""]
    assert [case.group for case in listing.cases] == [case.id for case in listing.cases]
    assert list(listing.cases[0].images) == list(brats.channels)
    assert listing.cases[0].mask == root / "LGG" / "BraTS19_a" / "BraTS19_a_seg.nii"


def test_the_folder_of_one_grade_or_one_case_may_be_given(tmp_path: Path, brats: Manifest) -> None:
    case = made(tmp_path / "HGG" / "BraTS19_b")
    assert scan(brats, tmp_path / "HGG").cases[0].extra["grade"] == "HGG"
    assert [found.id for found in scan(brats, case).cases] == ["BraTS19_b"]
    inner = tiny(layout={"images": "{case}/scan.nii*", "mask": "{case}/truth.nii*"})
    (tmp_path / "p7").mkdir()
    for name in ("scan.nii", "truth.nii"):
        (tmp_path / "p7" / name).touch()
    assert [found.id for found in scan(inner, tmp_path / "p7").cases] == ["p7"]
    assert [found.id for found in scan(inner, tmp_path).cases] == ["p7"]


def test_one_image_file_is_a_listing_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "b.nii.gz").touch()
    listing = scan(tiny(), tmp_path / "a.nii.gz", truth=False)
    assert [case.id for case in listing.cases] == ["a"]
    assert listing.faults == ()


def test_the_odd_label_map_of_brats_2020_is_found(tmp_path: Path, brats: Manifest) -> None:
    case = made(tmp_path / "BraTS20_Training_355", PARTS[:-1])
    (case / "W39_1998.09.19_Segm.nii").touch()
    assert scan(brats, tmp_path).cases[0].mask == case / "W39_1998.09.19_Segm.nii"


def test_examinations_of_one_patient_of_brats_2023_are_one_group(tmp_path: Path) -> None:
    manifest = Manifest.from_yaml(MANIFESTS / "brats2023.yaml")
    for name in ("BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "BraTS-GLI-00006-000"):
        (tmp_path / name).mkdir()
        for part in ("t2f", "t1n", "t1c", "t2w", "seg"):
            (tmp_path / name / f"{name}-{part}.nii.gz").touch()
    made(tmp_path / "BraTS2021_00006")
    listing = scan(manifest, tmp_path)
    assert listing.faults == ()
    told = [(case.group, case.extra["examination"]) for case in listing.cases]
    assert told == [
        ("BraTS-GLI-00005", "000"),
        ("BraTS-GLI-00005", "001"),
        ("BraTS-GLI-00006", "000"),
        ("BraTS2021_00006", ""),
    ]


def test_what_a_case_lacks_is_a_fault_and_the_case_is_left_out(tmp_path: Path, brats: Manifest) -> None:
    made(tmp_path / "a")
    made(tmp_path / "b", ("flair", "t1", "seg"))
    listing = scan(brats, tmp_path)
    assert [case.id for case in listing.cases] == ["a"]
    assert [(f.case, f.position, f.part) for f in listing.faults] == [("b", 2, "t1ce"), ("b", 2, "t2")]
    assert "{case}_t1post.nii*" in listing.faults[0].found
    assert listing.faults[0].path == tmp_path / "b"


def test_only_the_channels_that_are_asked_for_are_needed(tmp_path: Path, brats: Manifest) -> None:
    made(tmp_path / "b", ("flair", "t1ce", "seg"))
    listing = scan(brats, tmp_path, only=["t1ce", "flair"])
    assert list(listing.cases[0].images) == ["t1ce", "flair"]
    assert listing.faults == ()
    with pytest.raises(DefinitionError, match=r"'flare'.*did you mean 'flair'"):
        scan(brats, tmp_path, only=["flare"])


def test_a_missing_label_map_matters_only_with_truth(tmp_path: Path, brats: Manifest) -> None:
    made(tmp_path / "a", PARTS[:-1])
    assert [fault.part for fault in scan(brats, tmp_path).faults] == ["mask"]
    listing = scan(brats, tmp_path, truth=False)
    assert listing.faults == ()
    assert listing.cases[0].mask is None


def test_two_files_for_one_channel_are_a_fault_with_both_paths(tmp_path: Path, brats: Manifest) -> None:
    made(tmp_path / "HGG" / "a")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "a_t2.nii").touch()
    listing = scan(brats, tmp_path)
    assert listing.cases == ()
    assert {fault.part for fault in listing.faults} == {"t2"}
    assert {fault.path for fault in listing.faults} == {
        tmp_path / "copy" / "a_t2.nii",
        tmp_path / "HGG" / "a" / "a_t2.nii.gz",
    }


def test_hidden_copies_of_macos_are_not_cases(tmp_path: Path, brats: Manifest) -> None:
    case = made(tmp_path / "a")
    (case / "._a_t1.nii.gz").touch()
    assert [found.id for found in scan(brats, tmp_path).cases] == ["a"]


def test_an_empty_folder_says_what_was_looked_for_and_where_data_are(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (fault,) = scan(tiny(), tmp_path).faults
    assert "1 file was seen, 0 of them NIfTI" in fault.found
    assert "'{case}.nii*' or '{case}_gt.nii*'" in fault.found
    assert "Ask at the desk." in fault.remedy
    assert str(tmp_path) not in fault.text()


def test_a_folder_that_is_not_there_says_how_to_get_the_data(tmp_path: Path) -> None:
    (fault,) = scan(tiny(), tmp_path / "none").faults
    assert fault.found == "the folder is not there"
    assert "Ask at the desk." in fault.remedy
    assert fault.path == tmp_path / "none"


def test_the_patient_is_read_from_the_id_or_told_to_be_missing(tmp_path: Path) -> None:
    for name in ("patient1_ED.nii", "patient1_ES.nii", "guest.nii"):
        (tmp_path / name).touch()
    listing = scan(tiny(group=r"(patient\d+)_"), tmp_path, truth=False)
    assert [case.group for case in listing.cases] == ["patient1", "patient1"]
    assert [(fault.case, fault.found) for fault in listing.faults] == [("guest", "its id names no patient")]


TABLE = {"path": "volumes.csv", "key": "file", "matches": "{case}.nii.gz", "columns": ["phase"]}


def test_a_table_adds_columns_by_file_name(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a", "b"):
        (images / f"{name}.nii.gz").touch()
    (tmp_path / "volumes.csv").write_text("file,phase\na.nii.gz,ED\nz.nii.gz,ES\n", encoding="utf-8")
    deep = tiny(table=TABLE, layout={"images": "**/{case}.nii*"})
    for root in (tmp_path, images):
        assert [case.extra for case in scan(deep, root).cases] == [{"phase": "ED"}, {"phase": ""}]
    (tmp_path / "volumes.csv").unlink()
    assert [case.extra for case in scan(deep, images).cases] == [{"phase": ""}, {"phase": ""}]


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("name,phase\na.nii.gz,ED\n", "no column ['file']"),
        ("file,phase\na.nii.gz,ED\na.nii.gz,ES\n", "two rows that disagree"),
    ],
)
def test_a_table_that_cannot_be_joined_is_a_fault(tmp_path: Path, text: str, met: str) -> None:
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "volumes.csv").write_text(text, encoding="utf-8")
    (fault,) = scan(tiny(table=TABLE), tmp_path, truth=False).faults
    assert met in fault.found


def test_identifying_ids_never_reach_the_listing(tmp_path: Path) -> None:
    for name in ("Meier_Anna_1", "Meier_Anna_2", "Zander_Udo_1"):
        (tmp_path / f"{name}.nii.gz").touch()
    hidden = tiny(ids="identifying", group=r"(.+)_\d")
    listing = scan(hidden, tmp_path)
    assert len(listing.faults) == 3
    assert all("Meier" not in f.text() and "Zander" not in f.text() for f in listing.faults)
    listing = scan(hidden, tmp_path, truth=False)
    assert all(case.id.startswith("case-") and case.group.startswith("patient-") for case in listing.cases)
    assert [case.id for case in listing.cases] == sorted(case.id for case in listing.cases)
    assert len({case.group for case in listing.cases}) == 2


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_a_folder_without_rights_is_a_fault_and_the_others_are_read() -> None:
    # Not below tmp_path, which other users may not enter: the child is another user where this one is root.
    root = Path(tempfile.mkdtemp(prefix="medseg-rights-"))
    try:
        root.chmod(0o755)
        for name in ("a", "b"):
            made(root / name)
        (root / "b").chmod(0o000)
        code = (
            "import os, sys; from pathlib import Path\n"
            "import medseg.images.formats  # what reads images is imported late, and not by that user\n"
            "from medseg.datasets.manifest.manifest import Manifest; from medseg.datasets.finding.scan import scan\n"
            "manifest = Manifest.from_yaml(Path(sys.argv[1]))\n"
            "os.getuid() or os.setuid(65534)\n"
            "listing = scan(manifest, Path(sys.argv[2]))\n"
            "print(len(listing.cases), [(f.found, f.path.name) for f in listing.faults])"
        )
        command = [sys.executable, "-c", code, str(MANIFESTS / "brats2019.yaml"), str(root)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "1 [('a folder may not be read by this user', 'b')]"
    finally:
        (root / "b").chmod(0o755)
        shutil.rmtree(root)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_linked_folders_are_followed_and_loops_end(tmp_path: Path, brats: Manifest) -> None:
    made(tmp_path / "elsewhere" / "a")
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    assert [case.id for case in scan(brats, root).cases] == ["a"]


def test_of_a_whole_edition_each_folder_is_looked_into_once(
    tmp_path: Path, brats: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        made(tmp_path / f"BraTS2021_{number:05}")
    looked: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: [looked.append(str(folder)), scandir(folder)][1])
    assert len(scan(brats, tmp_path).cases) == 300
    assert len(looked) == len(set(looked)) == 301


@pytest.mark.real_data
def test_acdc_stacks_of_a_patient_are_one_group(real_data: Callable[[str], Path]) -> None:
    listing = scan(Manifest.from_yaml(MANIFESTS / "acdc.yaml"), real_data("acdc"))
    assert listing.faults == ()
    assert len(listing.cases) == 100
    assert len({case.group for case in listing.cases}) == 50
    assert {case.extra["phase"] for case in listing.cases} == {"ED", "ES"}


@pytest.mark.real_data
def test_hippocampus_leaves_its_awkward_folder_alone(real_data: Callable[[str], Path]) -> None:
    manifest = Manifest.from_yaml(MANIFESTS / "hippocampus.yaml")
    assert len(scan(manifest, real_data("hippocampus")).cases) == 150
    awkward = scan(manifest, real_data("hippocampus") / "awkward")
    assert [(f.case, f.part) for f in awkward.faults] == [
        ("hippocampus_118", "mask"),
        ("hippocampus_281", "t1"),
    ]
