"""Processes that work beside a script leave it alone, end with it, and are the only ones to die of a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from medseg.errors import DataError
from medseg.machine.workers import pool, results

#: A script without a guard, as a scientist writes it: were it imported again, it would tell so twice.
SCRIPT = """
print("started", flush=True)

from medseg.machine.workers import pool

with pool(2, "that counts") as workers:
    print(*workers.map(len, ["a", "bc"]))
"""


def run(words: list[str], folder: Path, **more: object) -> list[str]:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        **more,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("how", ["a file", "a module", "a package", "standard input", "a command"])
def test_a_plain_script_is_not_started_again_by_its_workers(how: str, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "__main__.py").write_text(SCRIPT, encoding="utf-8")
    words = {
        "a file": ["plain.py"],
        "a module": ["-m", "plain"],
        "a package": ["whole"],
        "standard input": ["-"],
        "a command": ["-c", SCRIPT],
    }[how]
    said = run(words, tmp_path, **({"input": SCRIPT} if how == "standard input" else {}))

    assert said == ["started", "1 2"]


@pytest.mark.slow
def test_a_notebook_needs_no_guard(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not here: it comes with medseg[test]")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not here: it comes with medseg[test]")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SCRIPT)])
    nbclient.NotebookClient(
        book, timeout=200, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    said = "".join(output["text"] for output in book.cells[0].outputs)
    assert said.splitlines() == ["started", "1 2"]


def test_the_program_keeps_its_name_and_file_while_workers_work() -> None:
    main = sys.modules["__main__"]
    before = (main.__spec__, getattr(main, "__file__", None))
    with pool(1, "that counts") as workers:
        assert workers.submit(len, "abc").result() == 3
        assert (main.__spec__, getattr(main, "__file__", None)) == before


def test_a_worker_that_is_killed_is_told_with_what_to_do() -> None:
    with (
        pytest.raises(
            DataError, match=r"a process that counts ended .* want of memory. 2 worked .* fewer \(--jobs"
        ),
        pool(2, "that counts") as workers,
    ):
        workers.submit(os._exit, 9).result()


ENDS = "__import__('os')._exit(9)"


def test_a_task_that_ends_its_process_costs_no_other(tmp_path: Path) -> None:
    once = f"__import__('pathlib').Path({str(tmp_path / 'once')!r})"
    tasks = [f"2 * {number}" for number in range(12)]
    tasks[11] = ENDS
    tasks[5] = f"10 if {once}.exists() else ({once}.touch(), {ENDS})"  # ends its process the first time alone
    found = dict(results(2, tasks, eval, len))
    assert found == {task: len(task) if task == ENDS else 2 * number for number, task in enumerate(tasks)}


#: What every Python imports as it starts to work for another, and a few that it imports soon.
EARLY = ("multiprocessing", "threading", "pickle", "signal", "tempfile", "socket", "medseg")


def test_nothing_of_the_working_folder_is_run_by_workers(tmp_path: Path) -> None:
    """It may be somebody else's, and the program that starts them does not look there either."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "script.py").write_text(SCRIPT, encoding="utf-8")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in EARLY:
        (theirs / f"{name}.py").write_text(f"open('{name}-was-run', 'w')\n", encoding="utf-8")

    said = run([str(tmp_path / "own" / "script.py")], theirs)

    assert said == ["started", "1 2"]
    assert not [path.name for path in theirs.iterdir() if path.suffix != ".py"]


def test_a_fault_of_a_task_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        dict(results(2, ["1 / 0"], eval, len))


def test_what_has_not_begun_is_dropped_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), pool(1, "that waits") as workers:  # noqa: PT012 - the block is what is tested
        for _ in range(50):
            workers.submit(time.sleep, 0.5)
        started = time.monotonic()
        raise KeyError
    assert time.monotonic() - started < 20


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL, which Windows has not")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Python's own would wait for work, holding their memory, until the machine is restarted."""
    program = """
        import os, time
        from medseg.machine.workers import pool
        with pool(2, "that waits") as workers:
            found = {workers.submit(os.getpid).result() for _ in range(3)}
            [workers.submit(time.sleep, 600) for _ in range(4)]
            print(*workers._processes, flush=True)
            time.sleep(600)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert parent.stdout is not None
    with parent.stdout:
        workers = [psutil.Process(int(number)) for number in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()

    _, alive = psutil.wait_procs(workers, timeout=20)
    for process in alive:
        process.kill()
    assert len(workers) == 2
    assert alive == []
