"""The folder of a run: its state is there whole, and tells who runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from medseg.errors import RunError
from medseg.pipeline.claim import alive
from medseg.pipeline.folder import RunFolder, State, all_runs, gone
from medseg.pipeline.process import this_process, turn

OPTIONS = {"device": "cpu", "skip_bad": False}


def made(below: Path, **changes: object) -> RunFolder:
    folder = RunFolder.create("brats2d", below)
    state = State(folder.path.name, "brats2d", "/data", OPTIONS, **changes)  # type: ignore[arg-type]
    folder.write(state)
    return folder


def test_a_state_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    folder = made(tmp_path, done=("fit",), tracked="abc", status="KILLED")

    assert folder.read().done == ("fit",)
    assert folder.read().options == OPTIONS
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
    folder.write(elsewhere)
    with pytest.raises(RunError, match=r"still going on.*'another machine'.*--take-over"):
        folder.claim(elsewhere)
    assert folder.claim(elsewhere, take_over=True).process == this_process()


def test_what_the_folder_says_by_now_counts_not_what_was_read_earlier(tmp_path: Path) -> None:
    folder = made(tmp_path, status="KILLED", done=("fit",))
    early = folder.read()
    folder.write(replace(early, done=("fit", "evaluate"), ending="FAILED"))
    assert folder.claim(early).done == ("fit", "evaluate")
    assert folder.read().ending == ""
    folder.write(replace(early, status="FINISHED"))
    with pytest.raises(RunError, match="just been finished"):
        folder.claim(early)


CLAIM = """
import sys, time
from pathlib import Path
from medseg.errors import RunError
from medseg.pipeline.folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
state = folder.read()
print("ready", flush=True)
input()
try:
    folder.claim(state, take_over=True)
    print("mine", flush=True)
except RunError as error:
    print("still" if "still going on" in str(error) else error, flush=True)
input()
"""


def test_of_processes_that_claim_a_run_at_once_one_gets_it(tmp_path: Path) -> None:
    folder = made(tmp_path, status="KILLED")
    (folder.path / ".turn-00000000-1-1-abcd").touch()
    os.utime(folder.path / ".turn-00000000-1-1-abcd", (1, 1))  # left by a machine that is gone
    command = [sys.executable, "-c", CLAIM, str(folder.path)]
    some = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        for _ in range(4)
    ]
    try:
        answers = []
        for word in ("ready", ""):
            answers = [_line(process) for process in some]
            assert not word or answers == [word] * 4
            for process in some:
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
    finally:
        for process in some:
            process.communicate()
    assert sorted(answers) == ["mine", "still", "still", "still"]
    assert [path.name for path in folder.path.iterdir()] == ["run.json"]


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_turns_never_overlap(tmp_path: Path) -> None:
    inside, most = 0, 0

    def take() -> None:
        nonlocal inside, most
        for _ in range(3):
            with turn(tmp_path, wait=60):
                inside += 1
                most = max(most, inside)
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(tmp_path.iterdir()) == []


def test_the_turn_of_a_dead_process_blocks_nobody_and_that_of_a_living_one_does(tmp_path: Path) -> None:
    with turn(tmp_path):
        (mine,) = tmp_path.iterdir()
        host = mine.name.split("-")[1]
        with pytest.raises(RunError, match="busy"), turn(tmp_path, wait=0):
            pass
    (tmp_path / f".turn-{host}-{2**22 - 3}-1-abcd").touch()
    with turn(tmp_path, wait=0):
        assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / ".turn-00000000-1-1-abcd").touch()  # of another machine, just now
    with pytest.raises(RunError, match="busy"), turn(tmp_path, wait=0):
        pass
