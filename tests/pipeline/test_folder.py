"""The folder of a run: its state is there whole, and tells who runs it."""

from __future__ import annotations

import errno
import json
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
from medseg.pipeline.options import RunOptions
from medseg.pipeline.process import holds, this_process, turn

OPTIONS = RunOptions.of(device="cpu")


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


def test_a_new_run_removes_what_killed_ones_left_before_they_had_a_state(tmp_path: Path) -> None:
    def begun(name: str, *files: str, age: float = 100.0) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for each in files:
            (folder / each).touch()
        os.utime(folder, (time.time() - age,) * 2)
        return folder

    dead = [
        begun("acdc-20260101-101010-0000"),
        begun("acdc-20260101-101010-0001", "definition.yaml", "manifest.yaml", ".held"),
    ]
    young = begun("acdc-20260101-101010-0002", "definition.yaml", age=1)
    others = [
        begun("acdc-20260101-101010-0003", "definition.yaml", "notes.txt"),
        begun("acdc-20260101-101010-0004", "run.json"),
        begun("notes", "definition.yaml"),
    ]
    RunFolder.create("acdc", tmp_path)

    assert not any(folder.exists() for folder in dead)
    assert all(folder.exists() for folder in (young, *others))


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


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"device": "tpu", "skip_bad": False}},
        {"options": {"device": "cpu", "skip_bad": "no"}},
        {"options": {"device": "cpu", "skip_bad": False, "jobs": True}},
        {"options": {"device": "cpu", "skip_bad": False, "part_of": {"name": "x"}}},
        {"options": {"device": "cpu", "skip_bad": False, "part_of": 3}},
        {"options": [["device", "cpu"], ["skip_bad", False]]},
        {"made": {"a": ["fit", 1]}},
        {"made": {"a": ["fit", 1.5, 2]}},
        {"done": "fit"},
        {"declared": {"definition.yaml": 3}},
        {"process": {"host": "h", "pid": 2**31}},
        {"tracking_uri": "sqlite:///a\x07b"},
        {"tracked": "../x"},
        {"ending": "DONE"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_value_of_another_kind_is_damage_and_never_a_traceback(
    change: dict[str, object], tmp_path: Path
) -> None:
    folder = made(tmp_path)
    path = folder.path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    with pytest.raises(RunError, match=r"is damaged\. Start the pipeline again"):
        folder.read()


def test_a_folder_without_a_state_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run"):
        RunFolder(tmp_path).read()


def test_only_a_running_run_without_its_process_is_gone(tmp_path: Path) -> None:
    dead = {**this_process(), "pid": os.getppid()}  # a number that is in use again
    lost = made(tmp_path, status="RUNNING", process=dead)
    for status in ("FINISHED", "FAILED", "KILLED"):
        made(tmp_path, status=status, process=dead)
    made(tmp_path, status="RUNNING", process={**dead, "host": "another machine"})

    assert [folder.path for folder, _ in gone(tmp_path)] == [lost.path]


HOLD = """
import sys
from pathlib import Path
from medseg.pipeline.folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
folder.claim(folder.read())
print("mine", flush=True)
input()
"""


def test_a_living_process_keeps_its_run_whatever_clocks_show_and_a_killed_one_loses_it(
    tmp_path: Path,
) -> None:
    folder = made(tmp_path, status="KILLED")
    command = [sys.executable, "-c", HOLD, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert _line(other) == "mine"
        state = folder.read()
        assert "since" not in state.process
        folder.write(replace(state, process={**state.process, "since": 1.0}))  # of another clock

        assert gone(tmp_path) == []
        with pytest.raises(RunError, match=f"still going on .process {other.pid}"):
            folder.claim(state)
        with pytest.raises(RunError, match="still going on"):
            folder.claim(state, take_over=True)
        other.kill()
        other.wait()

    assert [each.path for each, _ in gone(tmp_path)] == [folder.path]
    assert folder.claim(state).process == this_process()
    folder.let_go()


def test_threads_of_one_process_are_told_apart(tmp_path: Path) -> None:
    folder = made(tmp_path, status="KILLED")
    state, answers = folder.read(), []

    def claim() -> None:
        try:
            folder.claim(state)
            answers.append("mine")
        except RunError:
            answers.append("still")

    threads = [threading.Thread(target=claim) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == ["mine", "still", "still"]
    assert alive(folder.read(), folder.path)
    folder.let_go()
    assert not alive(folder.read(), folder.path)


def test_where_the_file_system_has_no_locks_nobody_is_taken_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    folder = made(tmp_path, status="KILLED")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    folder.claim(folder.read())

    assert not holds(folder.path)
    assert gone(tmp_path) == []
    with pytest.raises(RunError, match=r"as far as is known here.*--take-over"):
        folder.claim(folder.read())
    assert folder.claim(folder.read(), take_over=True).status == "RUNNING"


def test_a_link_in_the_place_of_a_lock_is_never_followed(tmp_path: Path) -> None:
    folder, letter = made(tmp_path, status="KILLED"), tmp_path / "letter.txt"
    letter.write_text("dear")
    (folder.path / ".held").symlink_to(letter)

    with pytest.raises(
        RunError, match=r"cannot be worked on: the lock file \.held is a link.*Remove the link"
    ):
        folder.claim(folder.read())
    assert letter.read_text() == "dear"


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_running_run_whose_lock_cannot_be_asked_is_said_to_be_so(tmp_path: Path, kind: str) -> None:
    folder = made(tmp_path, status="KILLED")
    folder.claim(folder.read())
    folder.let_go()
    lock = folder.path / ".held"
    lock.unlink(missing_ok=True)
    if kind == "link":
        (tmp_path / "letter.txt").write_text("dear")
        lock.symlink_to(tmp_path / "letter.txt")
    else:
        lock.mkdir()

    with pytest.raises(RunError, match=r"cannot be known: .*\.held is a .* Remove") as refused:
        folder.claim(folder.read())
    assert "is still going on, as far as" not in str(refused.value)
    lock.rmdir() if kind == "folder" else lock.unlink()  # the remedy
    assert folder.claim(folder.read()).status == "RUNNING"


def test_who_claims_a_run_is_written_down(tmp_path: Path) -> None:
    folder = made(tmp_path, status="KILLED")
    folder.claim(folder.read())

    assert folder.read().status == "RUNNING"
    assert folder.read().process["pid"] == os.getpid()
    folder.let_go()
    elsewhere = replace(folder.read(), process={**this_process(), "host": "another machine"})
    folder.write(elsewhere)
    with pytest.raises(RunError, match=r"still going on.*'another machine'.*--take-over"):
        folder.claim(elsewhere)
    assert folder.claim(elsewhere, take_over=True).process == this_process()
    folder.let_go()


def test_what_the_folder_says_by_now_counts_not_what_was_read_earlier(tmp_path: Path) -> None:
    folder = made(tmp_path, status="KILLED", done=("fit",))
    early = folder.read()
    folder.write(replace(early, done=("fit", "evaluate"), ending="FAILED"))
    assert folder.claim(early).done == ("fit", "evaluate")
    folder.let_go()
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
    folder.claim(state)
    print("mine", flush=True)
except RunError as error:
    print("still" if "still going on" in str(error) else error, flush=True)
input()
"""


@pytest.mark.slow
def test_of_processes_that_claim_a_run_at_once_one_gets_it(tmp_path: Path) -> None:
    folder = made(tmp_path, status="KILLED")
    (folder.path / ".turn").touch()  # left by a machine that is gone
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
    assert {path.name for path in folder.path.iterdir()} <= {"run.json", ".held"}


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


def test_a_turn_that_was_left_behind_blocks_nobody_and_one_that_is_taken_does(tmp_path: Path) -> None:
    (tmp_path / ".turn").touch()
    with turn(tmp_path, wait=0), pytest.raises(RunError, match="busy"), turn(tmp_path, wait=0):
        pass
    with turn(tmp_path, wait=0):
        pass
    (tmp_path / ".turn").mkdir()
    with pytest.raises(RunError, match=r"Remove it"), turn(tmp_path, wait=0):
        pass
