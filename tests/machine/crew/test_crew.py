"""Tasks done on this machine: in turn, by threads or by processes, and asked for only as there is somebody."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from medseg.errors import RunError
from medseg.machine.crew.crew import Crew, Here, crew_of, in_order
from medseg.machine.crew.opened import opened

TEXTS = ["a", "bb", "ccc", "dddd"]


def found(crew: Crew, **how: object) -> dict[str, int]:
    return dict(crew.results(TEXTS, len, hash, **how))  # type: ignore[arg-type]


@pytest.mark.parametrize("usually", ["processes", "threads", "in turn"])
@pytest.mark.parametrize("jobs", [1, 3])
def test_all_tasks_are_done_however(jobs: int, usually: str) -> None:
    assert found(Here(jobs), usually=usually, fewest=9) == {text: len(text) for text in TEXTS}


def test_whoever_says_so_gets_processes_where_tasks_are_done_in_turn() -> None:
    assert dict(Here(1).results(["os.getpid()"], _own, hash, usually="in turn")) == {
        "os.getpid()": os.getpid()
    }
    with opened("local:2", 1) as crew:
        pids = dict(crew.results(["1 * __import__('os').getpid()", "__import__('os').getpid()"], eval, hash))
    assert os.getpid() not in pids.values()


def _own(text: str) -> object:
    return eval(text)  # noqa: S307 - a text of ours


def test_what_cannot_be_pickled_is_told_with_what_to_do() -> None:
    with pytest.raises(RunError, match=r"cannot be sent to another process.*leave --on out"):
        list(Here(2, said=True).results(TEXTS, lambda text: text, hash, usually="in turn"))


def test_tasks_are_asked_for_as_there_is_somebody_to_do_them() -> None:
    asked: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(10):
            asked.append(number)
            yield number

    results = Here(2).results(tasks(), abs, abs, usually="threads")
    next(results)
    assert len(asked) <= 4
    assert len(list(results)) == 9


def test_tasks_that_have_begun_are_told_to_end_when_nobody_asks_any_more() -> None:
    told = threading.Event()
    results = Here(2).results(
        ["quick", "waits"],
        lambda text: text == "quick" or told.wait(60),
        hash,
        usually="threads",
        stop=told.set,
    )
    assert next(results) == ("quick", True)
    results.close()  # type: ignore[attr-defined]
    assert told.is_set()


def test_results_are_put_in_order() -> None:
    tasks = ["a", "b", "c"]
    came = [(tasks[2], 3), (tasks[0], 1), (tasks[1], 2)]
    assert [each for _, each in in_order(came, tasks)] == [1, 2, 3]


def test_cores_are_shared_out_among_processes() -> None:
    assert Here(4).share(8) is None
    assert Here(3, said=True).share(8) == 2
    assert Here(9, said=True).share(8) == 1
    assert crew_of(5).at_once == 5


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(RunError, match=r"extra medseg\[cluster\]: pip install"), opened("slurm:2", 1):
        pass
