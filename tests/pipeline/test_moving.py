"""A run that is moved is whole in its new place and gone from the old; what is in the way leaves it where it is."""

from __future__ import annotations

import errno
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from medseg.api import resume_pipeline
from medseg.errors import RunError
from medseg.files.lock import take
from medseg.pipeline.folder import RUNS, RunFolder, State
from medseg.pipeline.moving import move
from medseg.pipeline.options import RunOptions
from medseg.pipeline.process import this_process
from medseg.pipeline.study.cross_validation import CrossValidation

URI = "sqlite:///there/mlflow.db"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run with a file, in a working folder beside which there is another."""
    (tmp_path / "here").mkdir()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folder = RunFolder.create("brats2d")
    options = RunOptions.of(device="cpu")
    folder.write(
        State(folder.path.name, "brats2d", "/data", options, status="KILLED", tracking_uri="sqlite:///old")
    )
    (folder.path / "steps" / "fit").mkdir(parents=True)
    (folder.path / "steps" / "fit" / "last.pt").write_bytes(b"weights")
    return folder


def another_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, "Invalid cross-device link", str(self), str(target))

    monkeypatch.setattr(Path, "rename", refused)


@pytest.mark.parametrize("disks", [1, 2])
def test_all_of_a_run_moves_and_the_run_stays_its_users(
    disks: int, folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if disks == 2:
        another_disk(monkeypatch)
    moved = move(folder, tmp_path / "other", URI)

    assert moved.path == tmp_path / "other" / RUNS / folder.path.name
    assert sorted(each.relative_to(moved.path).as_posix() for each in moved.path.rglob("*")) == [
        "run.json",
        "steps",
        "steps/fit",
        "steps/fit/last.pt",
    ]
    assert (moved.path / "steps/fit/last.pt").read_bytes() == b"weights"
    assert moved.read().mine
    assert moved.read().tracking_uri == URI
    assert not folder.path.exists()
    assert list((tmp_path / "other" / RUNS).iterdir()) == [moved.path]


def test_a_copy_that_is_not_like_the_run_is_none_and_the_run_stays(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = shutil.copytree

    def faulty(source: Path, target: Path, **how: object) -> Path:
        monkeypatch.setattr(shutil, "copytree", copied)  # which calls itself
        copied(source, target, **how)  # type: ignore[arg-type]
        (target / "steps" / "fit" / "last.pt").write_bytes(b"weight5")
        return target

    another_disk(monkeypatch)
    monkeypatch.setattr(shutil, "copytree", faulty)
    with pytest.raises(RunError, match=r"is not like it.*It stays where it is"):
        move(folder, tmp_path / "other", URI)

    assert (folder.path / "steps/fit/last.pt").read_bytes() == b"weights"
    assert folder.read().mine
    assert list((tmp_path / "other" / RUNS).iterdir()) == []


def test_a_full_disk_is_told_once_with_what_the_run_takes_and_the_run_stays(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: str, **_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)

    (folder.path / "weights").write_bytes(bytes(5 << 20))
    with monkeypatch.context() as disk:
        another_disk(disk)
        disk.setattr(shutil, "copyfile", full)
        with pytest.raises(RunError) as caught:
            move(folder, tmp_path / "other", URI)

    reason = os.strerror(errno.ENOSPC)
    assert f"cannot be moved to {tmp_path / 'other'}: {reason}. It is whole where it was." in str(
        caught.value
    )
    assert re.search(r"It takes 5\.\d MiB, and [\d,.]+ MiB are free there", str(caught.value))
    assert "last.pt" not in str(caught.value)
    assert folder.read().mine
    assert (folder.path / "weights").stat().st_size == 5 << 20
    assert list((tmp_path / "other" / RUNS).iterdir()) == []
    assert move(folder, tmp_path / "other", URI).read().mine  # with room


def test_a_run_that_goes_on_stays(folder: RunFolder, tmp_path: Path) -> None:
    folder.write(replace(folder.read(), status="RUNNING", process={**this_process(), "pid": os.getppid()}))
    other = take(folder.path / ".held")
    assert other is not None
    with pytest.raises(RunError, match="is still going on"):
        move(folder, tmp_path / "other", URI)
    other.let_go()
    assert move(folder, tmp_path / "other", URI).read().status == "RUNNING"  # its process is gone


def test_what_is_in_the_way_is_named(folder: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"there is no folder .*nowhere"):
        move(folder, tmp_path / "nowhere", URI)
    with pytest.raises(RunError, match="exists already"):
        move(folder, tmp_path / "here", URI)
    with pytest.raises(RunError, match="lies within the run itself"):
        move(folder, folder.path / "steps", URI)
    taken = tmp_path / "other" / RUNS / folder.path.name
    taken.parent.mkdir()
    taken.symlink_to(tmp_path / "nowhere")
    with pytest.raises(RunError, match="exists already"):
        move(folder, tmp_path / "other", URI)
    taken.unlink()
    taken.parent.rmdir()
    taken.parent.write_text("a file in the way")
    with pytest.raises(RunError, match=r"cannot be moved to .*other"):
        move(folder, tmp_path / "other", URI)
    assert folder.read().mine
    assert not (folder.path / ".held").exists()


def test_a_fold_stays_until_all_folds_have_ended(folder: RunFolder, tmp_path: Path) -> None:
    options, declared = RunOptions.of(device="cpu"), {"definition": {}, "manifest": {}}
    asked = CrossValidation("f", "brats2d", None, 2, (), options, declared, URI, "KILLED").write()
    folder.write(replace(folder.read(), part_of=asked.part(1)))
    with pytest.raises(RunError, match="End that first: medseg pipeline resume f"):
        move(folder, tmp_path / "other", URI)
    replace(asked, status="FINISHED").write()
    assert move(folder, tmp_path / "other", URI).read().part_of == asked.part(1)


def test_files_of_the_user_that_are_called_like_locks_move_too(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_disk(monkeypatch)
    (folder.path / "notes").mkdir()
    (folder.path / "notes" / ".held").write_text("mine")
    assert (move(folder, tmp_path / "other", URI).path / "notes" / ".held").read_text() == "mine"


def test_links_that_would_lead_elsewhere_from_the_new_place_are_refused(
    folder: RunFolder, tmp_path: Path
) -> None:
    (folder.path / "link").symlink_to((folder.path / "steps").absolute())
    with pytest.raises(RunError, match="'link' in the run is a link by a whole path"):
        move(folder, tmp_path / "other", URI)
    (folder.path / "link").unlink()
    beside = folder.path.with_name("another-name")
    beside.symlink_to(folder.path.absolute())
    with pytest.raises(RunError, match=f"another-name is a link.*{folder.path.name}"):
        move(RunFolder(beside), tmp_path / "other", URI)


def test_a_fold_is_looked_for_beside_the_run_and_not_in_the_working_folder(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(folder.path.absolute())
    monkeypatch.chdir(tmp_path)
    seen: list[Path] = []

    def listed(below: Path) -> list[CrossValidation]:
        seen.append(below)
        return []

    monkeypatch.setattr("medseg.pipeline.moving.all_cross_validations", listed)
    move(run, tmp_path / "other", URI)
    assert seen == [tmp_path / "here" / "medseg-folds"]


def test_a_run_that_a_resume_is_still_loading_for_stays_where_it_is(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def load(*_: object) -> None:
        """Move the run while the resume of it loads what it needs."""
        with pytest.raises(RunError) as error:
            move(folder, tmp_path / "other", URI)
        refused.append(str(error.value))
        raise RunError("loaded")

    monkeypatch.setattr("medseg.api.running._gone_on", load)
    before = sorted(folder.path.iterdir())
    with pytest.raises(RunError, match="loaded"):
        resume_pipeline(folder.path.name)

    (said,) = refused
    assert f"the run {folder.path.name} is at work: another command, such as a resume that is still" in said
    assert "Nothing was changed" in said
    assert sorted(folder.path.iterdir()) == before
    assert not (tmp_path / "other" / RUNS).exists()
    assert move(folder, tmp_path / "other", URI).read().status == "KILLED"


def test_a_run_that_was_moved_meanwhile_is_not_made_again(folder: RunFolder, tmp_path: Path) -> None:
    state = replace(folder.read(), process=this_process())
    move(folder, tmp_path / "other", URI)
    with pytest.raises(RunError, match="is not here any more"):
        folder.claim(state)
    assert not folder.path.exists()
    folder.path.mkdir()
    with pytest.raises(RunError, match="has just been moved or removed"):
        folder.claim(state)
