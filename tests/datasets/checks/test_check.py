from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medseg.datasets.case import Case
from medseg.datasets.checks import case_facts as facts_module
from medseg.datasets.checks.case_facts import CaseFacts
from medseg.datasets.checks.check import Report, _examined, check
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.machine.crew import crew as crew_module
from medseg.machine.crew.crew import Here
from medseg.named import find_manifest
from medseg.slices.store.estimate import stored_stack
from medseg.testing.cases import take_place
from medseg.testing.pictures import write_picture

MANIFESTS = Path(__file__).parents[3] / "data_manifests"
SHAPE = (6, 7, 5)
LPS = np.diag([-1.0, -1.0, 2.0, 1.0])

TINY = Manifest.model_validate(
    {
        **dict.fromkeys(["name", "about", "source", "licence", "citation", "obtain"], "x"),
        "channels": ["t1", "t2"],
        "classes": ["outside", "healthy", "tumour"],
        "label_values": {4: "tumour"},
        "derive": {"from": 0, "outside": "outside", "inside": "healthy"},
        "layout": {"images": "**/{case}_{channel}.nii*", "mask": "**/{case}_seg.nii*"},
        "group": r"^(\w\d+)",
        "ids": "pseudonyms",
    }
)


def write(path: Path, data: np.ndarray, affine: np.ndarray = LPS) -> None:
    nibabel.save(nibabel.Nifti1Image(data, affine), path)


def volume(seed: int) -> np.ndarray:
    """Zero around, other values within."""
    data = np.zeros(SHAPE, np.int16)
    data[1:-1, 1:-1, 1:-1] = np.random.default_rng(seed).integers(1, 900, (4, 5, 3))
    return data


def made(root: Path, name: str, seed: int) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    write(folder / f"{name}_t1.nii.gz", volume(seed))
    write(folder / f"{name}_t2.nii.gz", volume(seed + 1000))
    label = np.zeros(SHAPE, np.uint8)
    label[2:4, 2:4, 2] = 4
    write(folder / f"{name}_seg.nii.gz", label)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(3):
        made(tmp_path / "data", f"p{number}", number)
    return tmp_path / "data"


def checked(root: Path, remember: Path | None = None, jobs: int = 1) -> Report:
    return check(scan(TINY, root), TINY, TINY.channels, remember=remember, jobs=jobs)


def test_good_cases_have_facts_and_no_faults(root: Path) -> None:
    report = checked(root)
    assert report.faults == ()
    assert [case.id for case in report.good] == ["p0", "p1", "p2"]
    assert report.rows() == [{"cases": 3, "shape": SHAPE, "spacing": (1.0, 1.0, 2.0), "orientation": "LPS"}]
    assert report.label_rows() == [
        {"value": 0, "class": "outside or healthy", "voxels": 3 * (210 - 4), "cases": 3},
        {"value": 4, "class": "tumour", "voxels": 12, "cases": 3},
    ]
    assert report.single_valued == ()


def test_intensities_are_those_of_the_voxels_that_are_no_background(root: Path) -> None:
    data = volume(0)
    inside = data[data != 0].astype(float)
    channel = checked(root).facts[0].channels["t1"]
    assert channel.voxels == inside.size
    assert channel.dtype == "int16"
    assert channel.intensity is not None
    expected = {
        "min": inside.min(),
        "max": inside.max(),
        "mean": inside.mean(),
        "std": inside.std(),
        **dict(zip(("p01", "p50", "p99"), np.percentile(inside, (1, 50, 99)), strict=True)),
    }
    assert channel.intensity == pytest.approx(expected)


def with_labels(label: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: write(folder / "p1_seg.nii.gz", label)


def with_t2(data: np.ndarray, affine: np.ndarray = LPS) -> Callable[[Path], None]:
    return lambda folder: write(folder / "p1_t2.nii.gz", data, affine)


def cut(folder: Path) -> None:
    path = folder / "p1_t2.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])


def cut_within(folder: Path) -> None:
    path = folder / "p1_t2.nii.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-40]))


def nan_at(value: float) -> np.ndarray:
    data = volume(5).astype(np.float32)
    data[2, 2, 2] = value
    return data


SHIFTED = LPS + np.array([[0, 0, 0, 3.0], *[[0.0] * 4] * 3])


@pytest.mark.parametrize(
    ("spoil", "part", "met"),
    [
        (cut, "t2", "truncated"),
        (cut_within, "t2", "truncated"),
        (lambda folder: (folder / "p1_t2.nii.gz").write_text("not an image, truly"), "t2", "not NIfTI"),
        (lambda folder: (folder / "p1_t2.nii.gz").write_bytes(b""), "t2", "0 bytes"),
        (lambda folder: (folder / "p1_t2.nii.gz").unlink(), "t2", "missing"),
        (lambda folder: (folder / "p1_seg.nii.gz").unlink(), "mask", "missing"),
        (with_t2(volume(1)[:-1]), "t2", "another grid: 5 x 7 x 5"),
        (with_t2(volume(1), SHIFTED), "t2", "lie up to 3 voxels away"),
        (with_labels(np.zeros((6, 7, 4), np.uint8)), "mask", "another grid"),
        (with_labels(np.full(SHAPE, 3, np.uint8)), "mask", "3 in 210 places; the manifest declares [0, 4]"),
        (with_labels(np.linspace(0, 4, 210, dtype=np.float32).reshape(SHAPE)), "mask", "interpolated"),
        (with_labels(np.full(SHAPE, np.nan, np.float32)), "mask", "NaN"),
        (with_t2(nan_at(np.nan)), "t2", "NaN or infinite values in 1 of 210"),
        (with_t2(nan_at(-np.inf)), "t2", "NaN or infinite values in 1 of 210"),
        (with_t2(np.zeros(SHAPE, np.int16)), "t2", "empty: all of it is 0"),
        (with_t2(np.full(SHAPE, -3.5, np.float32)), "t2", "empty: all of it is -3.5"),
        (lambda folder: shutil.copy(folder / "p1_t2.nii.gz", folder / "p1_t2.nii"), "t2", "2 files"),
    ],
)
def test_each_defect_is_told_with_its_file(
    root: Path, spoil: Callable[[Path], object], part: str, met: str
) -> None:
    spoil(root / "p1")
    report = checked(root)
    assert {fault.case for fault in report.faults} == {"p1"}
    assert {(fault.position, fault.part) for fault in report.faults} == {(2, part)}
    assert met in report.faults[0].found
    assert report.faults[0].remedy
    assert report.faults[0].path is not None
    assert str(root) not in report.faults[0].text()
    assert [case.id for case in report.good] == ["p0", "p2"]


def test_a_label_map_without_a_tumour_is_only_noted(root: Path) -> None:
    with_labels(np.zeros(SHAPE, np.uint8))(root / "p1")
    report = checked(root)
    assert report.faults == ()
    assert report.single_valued == ("p1",)


def test_everything_wrong_with_a_case_is_told_at_once(root: Path) -> None:
    folder = root / "p1"
    (folder / "p1_t1.nii.gz").unlink()
    with_t2(nan_at(np.nan))(folder)
    with_labels(np.full(SHAPE, 9, np.uint8))(folder)
    (root / "p0" / "p0_t2.nii.gz").write_bytes(b"")
    told = [(fault.case, fault.part) for fault in checked(root).faults]
    assert told == [("p0", "t2"), ("p1", "t1"), ("p1", "t2"), ("p1", "mask")]


@pytest.mark.parametrize(("copy", "whose"), [("p7", "another patient"), ("p1_again", "the same patient")])
def test_the_same_images_in_two_cases_are_a_fault(root: Path, copy: str, whose: str) -> None:
    folder = made(root, copy, 77)
    data = nibabel.load(root / "p1" / "p1_t2.nii.gz")
    nibabel.save(
        nibabel.Nifti1Image(np.asanyarray(data.dataobj).astype(np.float32), LPS), folder / f"{copy}_t2.nii"
    )
    (folder / f"{copy}_t2.nii.gz").unlink()
    (fault,) = checked(root).faults
    assert fault.case == copy
    assert "['t2'] are those of case p1 (no. 2)" in fault.found
    assert whose in fault.found


def test_empty_images_are_empty_and_not_those_of_another_patient(root: Path) -> None:
    for name in ("p0", "p1"):
        write(root / name / f"{name}_t2.nii.gz", np.zeros(SHAPE, np.int16))
    assert [(fault.case, "empty" in fault.found) for fault in checked(root).faults] == [
        ("p0", True),
        ("p1", True),
    ]


def test_unchanged_files_are_not_read_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_labels(np.full(SHAPE, 9, np.uint8))(root / "p1")
    first = checked(root, tmp_path / "memory")
    assert first.read == 3
    monkeypatch.setattr(facts_module, "_read", None)
    second = checked(root, tmp_path / "memory")
    assert second.read == 0
    assert replace(second, read=3) == first


def test_cases_whose_sizes_and_sides_are_assumed_are_listed_also_when_they_are_remembered(
    root: Path, tmp_path: Path
) -> None:
    assert checked(root).assumed_rows() == []
    for name in ("p0", "p2"):
        take_place(root / name)
    write(root / "p2" / "p2_t2.nii.gz", np.zeros(SHAPE, np.int16))  # nobody learns from a case with faults
    for _ in range(2):
        report = checked(root, tmp_path / "memory")
        place, size = report.assumed_rows()
        assert (place["ids"], size["ids"]) == (["p0"], ["p0"])
        assert "no place and no directions" in place["note"]
        assert "mm and mL are no measures" in size["note"]
    assert report.read == 0


def test_a_changed_file_a_damaged_memory_or_other_rules_are_read_again(root: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    checked(root, memory)
    with_labels(np.full(SHAPE, 9, np.uint8))(root / "p1")
    again = checked(root, memory)
    assert (again.read, len(again.faults)) == (1, 1)
    for path in memory.iterdir():
        path.write_text(path.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    assert checked(root, memory).read == 3
    other = TINY.model_copy(update={"label_values": {4: "tumour", 9: "tumour"}})
    report = check(scan(other, root), other, other.channels, remember=memory)
    assert (report.read, report.faults) == (3, ())


@pytest.mark.skipif(os.name != "posix", reason="elsewhere ctime is the time of creation")
def test_a_file_replaced_by_one_of_the_same_size_and_time_is_read_again(root: Path, tmp_path: Path) -> None:
    path = root / "p1" / "p1_t2.nii"
    (root / "p1" / "p1_t2.nii.gz").unlink()
    write(path, volume(7))
    memory, before = tmp_path / "memory", path.stat()
    first = checked(root, memory)
    write(path, volume(8))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    again = checked(root, memory)
    assert again.read == 1
    assert again.fingerprint() != first.fingerprint()


def test_the_memory_holds_no_name_and_no_path(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))
    hidden = TINY.model_copy(update={"ids": "identifying"})
    cut(root / "p1")
    report = check(scan(hidden, root), hidden, hidden.channels, remember=tmp_path / "memory")
    assert len(report.faults) == 1
    files = list((tmp_path / "memory").iterdir())
    assert len(files) == 3
    for path in files:
        text = path.name + path.read_text(encoding="utf-8")
        json.loads(path.read_text(encoding="utf-8"))
        for secret in ("p0", "p1_", "p2", "case-", "patient-", str(tmp_path)):
            assert secret not in text.replace("p01", "")


def test_the_fingerprint_is_that_of_the_content(root: Path, tmp_path: Path) -> None:
    first = checked(root).fingerprint()
    moved = tmp_path / "moved"
    for old, new in (("p0", "q9"), ("p1", "q1"), ("p2", "q0")):
        (moved / new).mkdir(parents=True)
        for path in (root / old).iterdir():
            shutil.copy(path, moved / new / path.name.replace(old, new))
    assert checked(moved).fingerprint() == first
    with_labels(np.zeros(SHAPE, np.uint8))(root / "p1")
    changed = checked(root).fingerprint()
    assert changed != first
    for part in ("t1", "t2", "seg"):
        path = root / "p1" / f"p1_{part}.nii.gz"
        write(path, np.asanyarray(nibabel.load(path).dataobj), np.diag([-1.0, -1.0, 3.0, 1.0]))
    assert checked(root).fingerprint() not in {first, changed}


@pytest.mark.slow
def test_processes_find_what_one_finds(tmp_path: Path) -> None:
    for number in range(8):
        made(tmp_path / "data", f"p{number}", number)
    with_labels(np.full(SHAPE, 9, np.uint8))(tmp_path / "data" / "p1")
    assert checked(tmp_path / "data", jobs=2) == checked(tmp_path / "data")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("manifest", "folder", "told"),
    [
        ("brats2013_slices", "slices2d", []),
        ("brats2012", "other_labels", []),
        ("brats2019", "other_labels", [("mask", "the file is missing")]),
        ("brats2019", "awkward", [("mask", "interpolated: it holds 7953 distinct values")]),
        (
            "brats2023",
            "awkward",
            [("mask", "interpolated"), *[(name, "missing") for name in ("flair", "t1", "t1ce", "t2")]],
        ),
    ],
)
def test_each_odd_edition_is_read_by_its_manifest_or_refused_with_its_reason(
    real_data: Callable[[str], Path], manifest: str, folder: str, told: list[tuple[str, str]]
) -> None:
    stated = Manifest.from_yaml(MANIFESTS / f"{manifest}.yaml")
    report = check(scan(stated, real_data("brats2d") / folder), stated, stated.channels)
    assert len(report.faults) == len(told)
    for fault, (part, met) in zip(report.faults, told, strict=True):
        assert fault.part == part
        assert met in fault.found


@pytest.mark.real_data
def test_the_decathlon_spelling_of_labels_is_read_as_brats_2023(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    data = real_data("brats2d")
    shutil.copy(data / "cases" / "BraTS2021_00006" / "BraTS2021_00006_flair.nii.gz", tmp_path)
    shutil.copy(data / "awkward" / "BraTS2021_00006_seg_labels_0123.nii.gz", tmp_path)
    stated = Manifest.from_yaml(MANIFESTS / "brats2023.yaml")
    report = check(scan(stated, tmp_path, only=["flair"]), stated, ["flair"])
    assert report.faults == ()
    assert sum(row["voxels"] for row in report.label_rows() if row["class"] == "enhancing") == 26448


def test_an_unforeseen_error_is_a_fault_of_its_case_and_forgotten(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember, read = tmp_path / "remember", facts_module.background_values

    def odd(image: np.ndarray) -> np.ndarray:
        if image[0][tuple(size // 2 for size in image.shape[1:])] == volume(1)[3, 3, 2]:
            raise ZeroDivisionError("p1 of Anna Meier")
        return read(image)

    monkeypatch.setattr(facts_module, "background_values", odd)
    report = checked(root, remember)
    assert [(fault.case, fault.position, fault.part) for fault in report.faults] == [("p1", 2, "")]
    assert "ZeroDivisionError in datasets/checks/case_facts.py, line " in report.faults[0].found
    assert "report this" in report.faults[0].remedy
    assert "Meier" not in report.faults[0].text(show_path=True)
    assert [case.id for case in report.good] == ["p0", "p2"]
    monkeypatch.undo()
    again = checked(root, remember)
    assert again.faults == ()
    assert again.read == 1


def test_want_of_memory_at_one_case_is_a_fault_of_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = facts_module.background_values

    def small(image: np.ndarray) -> np.ndarray:
        if image[0][tuple(size // 2 for size in image.shape[1:])] == volume(1)[3, 3, 2]:
            raise MemoryError("Unable to allocate 4. GiB")
        return read(image)

    monkeypatch.setattr(facts_module, "background_values", small)
    report = checked(root, tmp_path / "remember")
    assert [(fault.case, fault.found) for fault in report.faults] == [
        ("p1", "the case does not fit into memory (MemoryError)")
    ]
    assert "fewer jobs" in report.faults[0].remedy
    assert [case.id for case in report.good] == ["p0", "p2"]
    monkeypatch.undo()
    assert checked(root, tmp_path / "remember").faults == ()  # it may fit another time


def test_an_interruption_ends_the_check(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(image: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(facts_module, "background_values", failing)
    with pytest.raises(KeyboardInterrupt):
        checked(root)


def test_a_file_that_cannot_be_used_is_not_read_to_its_end(root: Path) -> None:
    path = root / "p1" / "p1_t2.nii.gz"
    path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 40)  # of nothing: no disk holds it, and its digest would take hours

    report = checked(root)

    assert [(fault.case, fault.part) for fault in report.faults] == [("p1", "t2")]
    assert "mask" in report.contents["p1"]


def test_an_infinite_label_is_a_fault(root: Path) -> None:
    write(root / "p1" / "p1_seg.nii.gz", nan_at(np.inf))
    (fault,) = checked(root).faults
    assert "NaN or infinite" in fault.found
    assert "Save it as whole numbers" in fault.remedy


def test_label_maps_that_a_threshold_empties_all_are_a_fault_with_what_to_change(tmp_path: Path) -> None:
    for number in range(3):
        truth = np.zeros((24, 24), np.uint8)
        truth[4:12, 5 + number : 14] = 1
        write_picture(
            tmp_path / "Images" / f"{number}.png",
            np.random.default_rng(number).integers(1, 255, (24, 24), np.uint8),
        )
        write_picture(tmp_path / "Segmentation" / f"{number}.png", truth)
    cells = Manifest.from_yaml(find_manifest("picture_pairs").path)
    for above, count in ((127, 1), (0, 0)):
        rule = cells.model_copy(update={"pictures": cells.pictures.model_copy(update={"mask_above": above})})
        report = check(scan(rule, tmp_path), rule, rule.channels)
        assert len(report.faults) == count
        if count:
            (fault,) = report.faults
            assert (
                "none of the 3 label maps has a pixel brighter than pictures.mask_above (127)" in fault.text()
            )
            assert "Leave pictures.mask_above out" in fault.text()


def test_a_case_that_ends_its_process_is_a_fault_of_that_case_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def results(jobs: int, tasks: Sequence[Any], do: Any, lost: Any) -> Iterator[Any]:
        """As of `medseg.machine.workers`, of which tests of its own tell, where p3 ends its process."""
        assert jobs == 2
        return ((task, lost(task) if task[0].id == "p3" else do(task)) for task in tasks)

    monkeypatch.setattr(crew_module, "results", results)
    cases = [Case(f"p{number}", "g", {"t1": Path(f"p{number}.nii")}) for number in range(9)]
    unread = [(case, ("t1",)) for case in cases]

    def look(case: Case, channels: tuple[str, ...]) -> CaseFacts:
        return CaseFacts(case.id, f"{case.group} {channels}")

    found = {case.id: facts for case, facts in _examined(unread, look, Here(2))}
    assert set(found) == {case.id for case in cases}
    (fault,) = found.pop("p3").faults
    assert fault.found.startswith("the process that read the case ended twice")
    assert fault.path == Path("p3.nii")
    assert all(facts.group == "g ('t1',)" and not facts.faults for facts in found.values())


@pytest.mark.parametrize("size", [3e-7, 2e-4, 0.04])
def test_voxels_of_micrometres_keep_their_size_and_their_axes(tmp_path: Path, size: float) -> None:
    image = nibabel.Nifti1Image(volume(1), np.diag([-size, size, 3 * size, 1.0]))
    image.header.set_xyzt_units("mm")
    for part in ("t1", "t2", "seg"):
        (tmp_path / "P1").mkdir(exist_ok=True)
        nibabel.save(image if part != "seg" else like(image), tmp_path / "P1" / f"P1_{part}.nii.gz")

    (facts,) = checked(tmp_path).facts

    np.testing.assert_allclose(facts.spacing, (size, size, 3 * size), rtol=0.02)
    np.testing.assert_allclose(
        np.diag(np.reshape(facts.affine, (4, 4))), (-size, size, 3 * size, 1), rtol=0.02
    )
    assert stored_stack(facts.shape, np.reshape(facts.affine, (4, 4)), "axial") == (5, 7, 6)


def like(image: nibabel.Nifti1Image) -> nibabel.Nifti1Image:
    """A label map on the grid of an image."""
    label = np.zeros(SHAPE, np.uint8)
    label[2:4, 2:4, 1:3] = 4
    return nibabel.Nifti1Image(label, image.affine, image.header, dtype=np.uint8)
