"""A whole folder: every file is accounted for, nothing is overwritten, nothing is half there."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from medseg.api import deidentify
from medseg.cli.main import app
from medseg.errors import MedsegError
from medseg.testing.dicoms import write_dicom
from medseg.testing.pictures import write_picture

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two pictures of a patient, one slice, and a table."""
    folder = tmp_path / "Meier"
    write_picture(folder / "0815-t1c.png", GREY)
    write_picture(folder / "0815-seg.png", GREY)
    write_dicom(folder / "slice", GREY, BurnedInAnnotation="YES")
    (folder / "names.csv").write_text("name\nMeier\n")
    return folder


def report(out: Path) -> list[dict[str, str]]:
    with (out / "deidentification.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_file_is_in_the_report(study: Path, tmp_path: Path) -> None:
    found = deidentify(study, tmp_path / "out")

    rows = report(tmp_path / "out")
    assert [row["outcome"] for row in rows] == ["copied", "copied", "left out", "cleaned"]
    assert [row["number"] for row in rows] == ["1", "2", "3", "4"]
    assert all(not row["file"] or (tmp_path / "out" / row["file"]).is_file() for row in rows)
    assert "burned into" in rows[3]["look_at"]
    assert [fault.position for fault in found.left_out] == [3]
    assert "Meier" not in (tmp_path / "out" / "deidentification.csv").read_text()


def test_a_folder_that_holds_what_systems_leave_is_an_empty_one(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".DS_Store").write_bytes(b"x")

    deidentify(study, out)

    assert [row["outcome"] for row in report(out)] == ["copied", "copied", "left out", "cleaned"]
    assert not (out / ".DS_Store").exists()
    (out / ".DS_Store").write_bytes(b"x")
    with pytest.raises(MedsegError, match="is there already"):
        deidentify(study, out)


def test_kept_words_pair_images_and_masks(study: Path, tmp_path: Path) -> None:
    deidentify(study, tmp_path / "out", keep=["T1c", "seg"])

    names = sorted(path.name for path in (tmp_path / "out").rglob("*.png"))
    assert [name.partition("_")[2] for name in names] == ["seg.png", "t1c.png"]
    assert len({name.partition("_")[0] for name in names}) == 1


def test_files_of_one_name_stay_together(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "sub-01"
    write_picture(folder / "sub-01_T1w.png", GREY)
    (folder / "sub-01_T1w.json").write_text('{"EchoTime": 1}')

    deidentify(tmp_path / "in", tmp_path / "out")

    assert len({path.with_suffix("") for path in (tmp_path / "out").glob("*/*")}) == 1


def test_files_of_one_public_name_are_numbered(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_dicom(
            tmp_path / "in" / name,
            GREY,
            SOPInstanceUID="1.2.3",
            StudyInstanceUID="1.2",
            SeriesInstanceUID="1",
        )

    deidentify(tmp_path / "in", tmp_path / "out")

    assert len(list((tmp_path / "out").rglob("*-2.dcm"))) == 1
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2


def test_one_file_may_be_given(study: Path, tmp_path: Path) -> None:
    deidentify(study / "0815-t1c.png", tmp_path / "out")

    assert len(report(tmp_path / "out")) == 1


def test_links_and_pipes_are_left_out(study: Path, tmp_path: Path) -> None:
    (study / "link.png").symlink_to(study / "0815-t1c.png")
    (study / "folder").symlink_to(tmp_path)
    os.mkfifo(study / "pipe.png")

    found = deidentify(study, tmp_path / "out")

    reasons = {Path(fault.path or "").name: fault.found for fault in found.left_out}
    assert reasons.keys() == {"link.png", "folder", "pipe.png", "names.csv"}
    assert reasons["link.png"] == reasons["folder"] == "a link"


def test_a_folder_that_this_user_may_not_enter_is_in_the_report(
    study: Path, tmp_path: Path, close_folder: Callable[[Path], None]
) -> None:
    (study / "closed").mkdir()
    write_picture(study / "closed" / "0815.png", GREY)
    close_folder(study / "closed")

    found = deidentify(study, tmp_path / "out")

    (fault,) = [each for each in found.left_out if each.path == study / "closed"]
    assert fault.found == "a folder that cannot be looked into: Permission denied"
    row = report(tmp_path / "out")[(fault.position or 0) - 1]
    assert (row["outcome"], row["file"]) == ("left out", "")
    assert row["reason"].startswith(f"{fault.found}. Give this user the right")
    with pytest.raises(MedsegError, match=r"cannot be looked into: Permission denied\. Give this user"):
        deidentify(study / "closed", tmp_path / "other")


@pytest.mark.parametrize("where", ["there", "Meier", "Meier/new"])
def test_nothing_is_overwritten(study: Path, tmp_path: Path, where: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "old").touch()
    before = sorted(path.name for path in tmp_path.rglob("*"))

    with pytest.raises(MedsegError, match=r"overwritten|lies within"):
        deidentify(study, tmp_path / where)

    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_what_ends_it_leaves_no_folder(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)

    with pytest.raises(OSError, match="No space"):
        deidentify(study, tmp_path / "out")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["Meier"]


def test_a_defect_in_one_file_costs_no_other(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("of a library, with Meier in it")

    monkeypatch.setattr("medseg.datasets.deidentification.dicom.file.refuse_other_objects", broken)

    found = deidentify(study, tmp_path / "out")

    assert [each.kind for each in found.files if not each.reason] == ["PNG", "PNG"]
    assert not any("Meier" in fault.text() for fault in found.left_out)


def test_the_key_map_is_its_users_alone(study: Path, tmp_path: Path) -> None:
    deidentify(study, tmp_path / "out", key_map=tmp_path / "map.csv")

    assert stat.S_IMODE((tmp_path / "map.csv").stat().st_mode) == 0o600
    assert str(study / "0815-t1c.png") in (tmp_path / "map.csv").read_text()


@pytest.mark.parametrize(
    ("place", "problem"), [("out/map.csv", "is passed on"), ("Meier/names.csv", "is there already")]
)
def test_a_key_map_is_not_passed_on_and_overwrites_nothing(
    study: Path, tmp_path: Path, place: str, problem: str
) -> None:
    with pytest.raises(MedsegError, match=f"key map.*{problem}"):
        deidentify(study, tmp_path / "out", key_map=tmp_path / place)

    assert not (tmp_path / "out").exists()


def test_the_command_shows_paths_only_when_asked(study: Path, tmp_path: Path) -> None:
    hidden = CliRunner().invoke(app, ["deidentify", str(study), str(tmp_path / "a")])
    shown = CliRunner().invoke(app, ["deidentify", str(study), str(tmp_path / "b"), "--show-paths"])

    assert hidden.exit_code == shown.exit_code == 2
    assert "names.csv" not in hidden.output
    assert "names.csv" in shown.output
    assert "It cannot promise" in hidden.output
