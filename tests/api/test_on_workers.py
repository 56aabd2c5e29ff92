"""What is done by workers of a cluster is what is done here; whatever they lack is said, and whoever dies is told."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import medseg
from medseg.api.data import check_data, prepare_data
from medseg.api.result import RunResult
from medseg.errors import DataError, RunError
from medseg.machine.crew import cluster as cluster_module
from medseg.machine.crew import opened as opened_module
from medseg.machine.crew.cluster import Cluster
from medseg.machine.crew.crew import Crew, Needs
from medseg.machine.crew.opened import opened
from medseg.testing.cases import write_brats

distributed = pytest.importorskip(
    "distributed", reason="distributed is not here: it comes with medseg[cluster]"
)
pytestmark = pytest.mark.slow


@contextmanager
def scheduler(**how: Any) -> Iterator[str]:
    """A scheduler on this machine, as a user starts one, whose tasks die with the first worker that dies of them."""
    import dask

    before = logging.getLogger("distributed").level
    with warnings.catch_warnings(), dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        warnings.simplefilter("ignore")
        cluster = distributed.LocalCluster(
            host="127.0.0.1",
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            **how,
        )
        with closing(cluster):
            yield cluster.scheduler_address
    logging.getLogger("distributed").setLevel(before)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two workers, in a folder of their own, as on other machines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("workers"))
        patch.setenv("OMP_NUM_THREADS", "1")
        with scheduler(n_workers=2, processes=True) as found:
            yield f"dask:{found}"


@pytest.fixture
def crew(address: str) -> Iterator[Crew]:
    with opened(address, 1) as found:
        yield found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_LOOK", 0.1)
    monkeypatch.setattr(opened_module, "_CONNECTING", 1)
    monkeypatch.setenv(cluster_module.WAIT, "0.3")


def contents(folder: Path) -> dict[str, str]:
    """Digests of all files below a folder but for times and pictures, which tests leave blank, by their place."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "entry.json" and path.suffix != ".png"
    }


SETS = ("slices.size=[32,32]",)


def test_checks_and_stores_are_those_of_this_machine(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    write_brats(data, cases=4, seed=3)
    (data / "Brats_002" / "Brats_002_t1.nii.gz").write_bytes(b"torn")
    stores, faults = [], []
    for on in ("", address):
        monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / f"cache {bool(on)}"))
        report = check_data("brats2d", data, set=SETS, on=on).report
        faults.append([(fault.case, fault.part, fault.found) for fault in report.faults])
        store = prepare_data("brats2d", data, set=SETS, skip_bad=True, on=on)
        stores.append((report.fingerprint(), store.digest("train"), contents(store.root)))
    assert faults[0] == faults[1] != []
    assert stores[0] == stores[1]
    assert len(stores[0][2]) == 6


@pytest.mark.usefixtures("figureless")
def test_predictions_and_scores_are_those_of_this_machine(
    address: str, finished: RunResult, workspace: Path
) -> None:
    write_brats(workspace / "data", cases=2, seed=99)
    for out, on in (("here", ""), ("there", address)):
        found = medseg.predict(finished.folder, [Path("data")], out, device="cpu", on=on)
        assert not found.faults
    assert contents(Path("here")) == contents(Path("there"))
    assert not list(Path("there").glob(".*"))

    runs = [
        medseg.evaluate(finished.folder, "data", device="cpu", allow_learned=True, jobs=1, on=on)
        for on in ("", address)
    ]
    pd.testing.assert_frame_equal(*(run.scores() for run in runs))
    for ending in ("_summary", "_confusion"):
        first, second = (run.folder / "scores" / f"test{ending}.csv" for run in runs)
        assert first.read_bytes() == second.read_bytes()


def test_data_that_workers_do_not_have_end_the_command(crew: Crew, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="a worker cannot be used: what the cases are read from is not there"
    ) as told:
        list(crew.results(["1"], eval, len, needs=Needs((tmp_path / "elsewhere",))))
    assert told.value.faults[0].path == tmp_path / "elsewhere"
    assert "elsewhere" not in str(told.value)


ENDS = "__import__('os')._exit(9)"


def test_tasks_of_a_lost_worker_are_done_again_and_one_that_ends_two_is_told(
    crew: Crew, tmp_path: Path
) -> None:
    once = f"__import__('pathlib').Path({str(tmp_path / 'once')!r})"
    tasks = [f"2 * {number}" for number in range(8)]
    tasks[6] = ENDS
    tasks[3] = f"6 if {once}.exists() else ({once}.touch(), {ENDS})"  # ends its worker the first time alone
    found = dict(crew.results(tasks, eval, len, needs=Needs(write=tmp_path / "out")))
    assert found == {task: len(task) if task == ENDS else 2 * number for number, task in enumerate(tasks)}
    assert list((tmp_path / "out").iterdir()) == []


def test_a_result_whose_workers_are_lost_before_it_is_fetched_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was made, and the scheduler has it made again as it is asked for: that may fail, or take its time."""
    import distributed

    def lost(_: float) -> None:
        raise distributed.KilledWorker("task", None, 0)

    def late(_: float) -> None:
        raise TimeoutError

    made = [SimpleNamespace(result=lambda timeout, give=give: give(timeout)) for give in (lost, late, str)]
    monkeypatch.setattr(distributed, "wait", lambda *_, **__: SimpleNamespace(done=made))
    client = SimpleNamespace(status="running", as_current=nullcontext)

    found = Cluster(client, "a scheduler")._ended(made)

    assert [future for future, _ in found] == [made[0], made[2]]  # the other is asked again
    assert isinstance(found[0][1], distributed.KilledWorker)


def test_a_defect_is_raised_here(crew: Crew) -> None:
    with pytest.raises(ZeroDivisionError):
        list(crew.results(["1 / 0"], eval, len))


def test_one_scheduler_is_asked_by_all_parts_of_a_command(address: str) -> None:
    with opened(address, 1) as outer, opened(address, 1) as inner:
        assert inner is outer
    with opened(address, 1) as later:
        assert later is not outer


@pytest.mark.usefixtures("impatient")
def test_a_scheduler_without_workers_is_not_waited_for_for_ever() -> None:
    with (
        scheduler(n_workers=0) as found,
        opened(f"dask:{found}", 1) as crew,
        pytest.raises(RunError, match=r"no worker for 0 s.*MEDSEG_WAIT_FOR_WORKERS"),
    ):
        list(crew.results(["1"], eval, len))


@pytest.mark.usefixtures("impatient")
def test_a_scheduler_that_does_not_answer_is_told() -> None:
    with (
        pytest.raises(RunError, match=r"no scheduler answers at tcp://127.0.0.1:9.*dask scheduler --host"),
        opened("dask:tcp://127.0.0.1:9", 1),
    ):
        pass


def test_a_batch_system_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not here: it comes with medseg[cluster]")
    monkeypatch.setattr(cluster_module, "_LOOK", 0.1)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with (
        opened("lsf:2", 1, keys=lambda: tmp_path) as crew,
        pytest.raises(RunError, match=r"lsf does not take jobs: .*jobqueue.yaml under jobqueue.lsf"),
    ):
        list(crew.results(["1"], eval, len))
    assert list(tmp_path.iterdir()) == []  # no key is left
