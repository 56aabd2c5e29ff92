"""A run in a process of its own: what it gives, how it is told to end, and what is said where it dies."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from medseg.api.apart import task as task_module
from medseg.api.apart.task import Apart, all_apart, run_apart, stop_file
from medseg.errors import RunError
from medseg.machine.crew.crew import NOTHING, Here
from medseg.machine.crew.sent import Done


@pytest.fixture
def ask(tmp_path: Path) -> Any:
    """Make a task of any function that can be imported."""

    def asked(module: str, function: str, **arguments: Any) -> Apart:
        return Apart(
            "fold 2", module, function, arguments, tmp_path, "sqlite:///mlflow.db", stop_file(tmp_path)
        )

    return asked


@pytest.mark.slow
def test_it_gives_what_the_function_gives(ask: Any) -> None:
    assert run_apart(ask("medseg.text", "many", count=2, noun="case")) == Done("2 cases")


@pytest.mark.slow
def test_an_error_that_the_user_can_mend_is_raised_as_it_is(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = ask("medseg.machine.crew.cluster", "patience")
    monkeypatch.setenv("MEDSEG_WAIT_FOR_WORKERS", "soon")
    with pytest.raises(RunError, match="'soon', expected seconds"):
        list(all_apart(Here(1), [task], NOTHING, task.stop))


@pytest.mark.slow
def test_what_nobody_foresaw_is_a_defect_with_its_traceback(ask: Any) -> None:
    task = ask("medseg.text", "many", count=2)
    with pytest.raises(RuntimeError, match=r"fold 2, in a process of its own:\n(.*\n)*TypeError: many"):
        list(all_apart(Here(1), [task], NOTHING, task.stop))


@pytest.mark.slow
def test_one_that_is_killed_is_begun_again_once(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task, came = ask("os", "_exit", status=9), []
    assert run_apart(task) is None
    monkeypatch.setattr(task_module, "run_apart", lambda each: came.append(each) and None)
    with pytest.raises(RunError, match=r"process of fold 2 ended twice.*want of memory"):
        list(all_apart(Here(1), [task], NOTHING, task.stop))
    assert len(came) == 2


@pytest.mark.slow
def test_it_ends_when_it_is_told_to(ask: Any) -> None:
    task = ask("subprocess", "run", args=["sleep", "60"])
    begun = []

    def tell() -> None:
        while not any(each.name() == "sleep" for each in psutil.Process().children(recursive=True)):
            time.sleep(0.05)
        begun.append(time.monotonic())
        task.stop.touch()

    threading.Thread(target=tell, daemon=True).start()
    assert run_apart(task) is None
    assert time.monotonic() - begun[0] < 30


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("sqlite:////home/me/mlflow.db", "SQLite file"),
        ("http://127.0.0.1:5000", "127.0.0.1"),
        ("mlruns", "folder"),
    ],
)
def test_an_address_that_another_machine_cannot_reach_is_refused(ask: Any, uri: str, what: str) -> None:
    elsewhere = replace(ask("os", "getpid"), uri=uri, host="a login node")
    with pytest.raises(RunError, match=f"{what}.*--tracking-uri http://HOST:PORT"):
        run_apart(elsewhere)


def test_old_words_to_end_are_forgotten(tmp_path: Path) -> None:
    stop_file(tmp_path).touch()
    stop_file(tmp_path)
    assert list(tmp_path.iterdir()) == []
