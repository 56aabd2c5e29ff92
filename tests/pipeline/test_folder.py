"""The folder of a run: its state is there whole, and tells who runs it."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from medseg.errors import RunError
from medseg.pipeline.folder import RunFolder, State, alive, all_runs, gone, this_process


def made(below: Path, **changes: object) -> RunFolder:
    folder = RunFolder.create("brats2d", below)
    state = State(folder.path.name, "brats2d", "/data", {"device": "cpu"}, **changes)  # type: ignore[arg-type]
    folder.write(state)
    return folder


def test_a_state_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    folder = made(tmp_path, done=("fit",), tracked="abc", status="KILLED")

    assert folder.read().done == ("fit",)
    assert folder.read().options == {"device": "cpu"}
    assert [path.name for path in folder.path.iterdir()] == ["run.json"]


def test_names_hold_pipeline_and_time_and_are_not_given_twice(tmp_path: Path) -> None:
    names = {RunFolder.create("acdc", tmp_path).path.name for _ in range(20)}

    assert len(names) == 20
    assert all(re.fullmatch(r"acdc-\d{8}-\d{6}-[0-9a-f]{4}", name) for name in names)


def test_a_folder_that_cannot_be_made_says_where_runs_go(tmp_path: Path) -> None:
    (tmp_path / "medseg-runs").write_text("a file in the way")

    with pytest.raises(RunError, match="medseg-runs"):
        RunFolder.create("acdc", tmp_path / "medseg-runs")


def test_runs_are_listed_latest_first_and_what_is_none_is_passed_over(tmp_path: Path) -> None:
    first, second = made(tmp_path), made(tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("[]")
    os.utime(first.path / "run.json", (2_000_000_000, 2_000_000_000))

    assert [folder.path for folder, _ in all_runs(tmp_path)] == [first.path, second.path]
    assert list(all_runs(tmp_path / "nowhere")) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"name": "x"}', '{"done": 3}'])
def test_a_damaged_state_is_an_error_that_names_the_run(content: str, tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder.path / "run.json").write_text(content)

    with pytest.raises(RunError, match=folder.path.name):
        folder.read()


def test_a_folder_without_a_state_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run"):
        RunFolder(tmp_path).read()


def test_only_a_running_run_without_its_process_is_gone(tmp_path: Path) -> None:
    dead = {**this_process(), "pid": 2**22 - 3, "since": 1.0}
    lost = made(tmp_path, status="RUNNING", process=dead)
    for status in ("FINISHED", "FAILED", "KILLED"):
        made(tmp_path, status=status, process=dead)
    made(tmp_path, status="RUNNING", process={**dead, "host": "another machine"})

    assert [folder.path for folder, _ in gone(tmp_path)] == [lost.path]


def test_the_same_number_of_another_process_is_not_alive() -> None:
    parent = {**this_process(), "pid": os.getppid(), "since": 1.0}
    state = State("x", "x", None, {}, status="RUNNING", process=parent)

    assert not alive(state)
    assert alive(replace(state, process={**parent, "host": "another machine"}))


def test_who_claims_a_run_is_written_down(tmp_path: Path) -> None:
    folder = made(tmp_path, status="KILLED")
    folder.claim(folder.read())

    assert folder.read().status == "RUNNING"
    assert folder.read().process["pid"] == os.getpid()
    elsewhere = replace(folder.read(), process={**this_process(), "host": "another machine"})
    with pytest.raises(RunError, match="still going on"):
        folder.claim(elsewhere)
