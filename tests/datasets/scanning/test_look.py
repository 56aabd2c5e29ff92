"""Any folder can be looked at: every file is accounted for, and nothing is read twice or written beside the data."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from medseg.datasets.scanning.census import look_into
from medseg.datasets.scanning.look import gathered, look
from medseg.datasets.scanning.seen import Seen
from medseg.errors import DataError
from medseg.testing.layouts import patients, write_nnunet, write_volume

SHAPE = (16, 20, 6)


def folders(root: Path, count: int = 3) -> Path:
    for name, images, mask in patients(count, SHAPE):
        write_volume(root / name / "scan.nii.gz", images[0])
        write_volume(root / name / "label.nii.gz", mask)
    return root


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    seen = look(tmp_path)

    assert seen.layout is None
    assert seen.folder.entries == ()


@pytest.mark.parametrize("name", ["absent", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(DataError, match="folder that holds the data"):
        look(tmp_path / name)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes among files")
def test_links_pipes_and_leftovers_hold_nobody_up_and_are_all_listed(tmp_path: Path) -> None:
    folders(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "__MACOSX").mkdir()
    for name in (".DS_Store", "Thumbs.db", "case_001/odd.nii.gz", "notes über alles.txt"):
        (tmp_path / name).write_text("x")

    seen = look(tmp_path)

    assert [fault.found for fault in seen.folder.faults] == ["a link leads back to itself"]
    assert seen.listing is not None
    assert len(seen.listing.cases) == 3
    assert seen.rest == {
        "NIfTI volumes that belong to no case": ("case_001/odd.nii.gz",),
        "other files that belong to no case": ("notes über alles.txt", "pipe"),
        "hidden, or left by programs: not looked at": (".DS_Store", "Thumbs.db", "__MACOSX"),
    }


def test_every_file_is_of_a_case_or_listed(tmp_path: Path) -> None:
    folders(tmp_path)
    for number in range(40):
        (tmp_path / f"more{number}.txt").write_text("x")

    seen = look(tmp_path)

    assert seen.listing is not None
    of_cases = {path for case in seen.listing.cases for path in case.files.values()}
    others = {tmp_path / name for names in seen.rest.values() for name in names}
    assert of_cases | others == {path for path in tmp_path.rglob("*") if path.is_file()}
    assert not of_cases & others


def test_many_files_of_a_folder_and_an_ending_are_one_line() -> None:
    lines = gathered([*(f"a/{number}.txt" for number in range(30)), "a/b.nii.gz", "c"])

    assert lines == ["a/*.txt: 30 files", "a/b.nii.gz", "c"]


def test_many_files_that_differ_in_numbers_alone_are_one_line() -> None:
    lines = gathered([*(f"case {number}/t{number}.nii" for number in range(300)), "case x/notes.txt"])

    assert lines == ["case */t*.nii: 300 files", "case x/notes.txt"]


def test_a_file_that_cannot_be_used_is_counted_with_its_reason(tmp_path: Path) -> None:
    (folders(tmp_path) / "case_002" / "scan.nii.gz").write_bytes(b"")

    seen = look(tmp_path)

    assert seen.problems == {"the file is empty (0 bytes)": 1}
    assert sum(each.shape is not None for each in seen.seen) == 2


def test_label_maps_of_nothing_and_of_broken_numbers_are_refused(tmp_path: Path) -> None:
    for name, images, mask in patients(3, SHAPE):
        for home, truth in (("empty", mask * 0), ("broken", mask * np.float32(0.3))):
            write_volume(tmp_path / home / name / "scan.nii.gz", images[0])
            write_volume(tmp_path / home / name / "label.nii.gz", truth)

    for home, reason in (("empty", "holds anything but 0"), ("broken", "broken numbers")):
        with pytest.raises(DataError, match=reason):
            _ = look(tmp_path / home).fields


def test_what_was_seen_is_remembered_until_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, kept = folders(tmp_path / "data"), tmp_path / "kept"
    read: list[str] = []

    def counted(case: object, channels: object, files: object) -> Seen:
        read.append(case.id)  # type: ignore[attr-defined]
        return look_into(case, channels, files)  # type: ignore[arg-type]

    monkeypatch.setattr("medseg.datasets.scanning.census.look_into", counted)
    first = look(data, remember=kept)
    again = look(data, remember=kept)
    assert read == ["case_001", "case_002", "case_003"]
    assert again.seen == first.seen

    write_volume(data / "case_002" / "label.nii.gz", np.ones(SHAPE, np.int16))
    changed = look(data, remember=kept)

    assert read[3:] == ["case_002"]
    assert changed.labels != first.labels
    assert not [path for path in kept.iterdir() if "case" in path.read_text() + path.name]


def test_nothing_is_written_beside_the_data(tmp_path: Path) -> None:
    data = write_nnunet(tmp_path / "data", cases=3, shape=SHAPE)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    look(data)

    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
