"""What every test may ask for: real images where they are, and places of its own."""

from __future__ import annotations

import compileall
import errno
import functools
import gc
import importlib
import itertools
import json
import os
import shutil
import sqlite3
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from medseg.api import RunResult
    from medseg.pipeline.folder import RunFolder

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes that share the cores compute on one thread each

# The same examples every time, however slow the machine is; `--hypothesis-profile=default` looks for new ones.
settings.register_profile(
    "medseg", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("medseg")

# What is imported is there for good. Looking through a million such objects again and again for some to let go took
# a quarter of all imports, and a tenth of the tests.
gc.disable()

ROOT = Path(__file__).resolve().parents[1]

#: Environment variable: how many seconds a test may take, with its own fixtures, that is not marked `slow`.
#: Not looked at by default, since a machine that does other things beside makes every test slow.
LONGEST = "MEDSEG_LONGEST_TEST"
_TOOK = pytest.StashKey[float]()


def pytest_configure(config: pytest.Config) -> None:
    """Compile medseg once, as an installer does: programs would each do so, where Python may write no bytecode."""
    if sys.dont_write_bytecode and not hasattr(config, "workerinput"):
        compileall.compile_dir(ROOT / "medseg", quiet=2)


def pytest_collection_finish() -> None:
    """Import whole what torch imports late: within a test that forbids unpickling, it would stay half imported."""
    if "torch" in sys.modules:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own
            importlib.import_module("torch._dynamo")
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Note how long the fixtures of this one test take; those that outlive it are made for others too."""
    begin = time.monotonic()
    try:
        return (yield)
    finally:
        if fixturedef.scope == "function":
            _note(request.node, time.monotonic() - begin)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test that took longer than said and is not marked `slow`."""
    begin = time.monotonic()
    found = yield
    took = _note(item, time.monotonic() - begin)
    longest = float(os.environ.get(LONGEST, "inf"))
    if took > longest and item.get_closest_marker("slow") is None:
        pytest.fail(f"took {took:.1f} s, and {LONGEST} is {longest:g}: make it quicker, or mark it slow")
    return found


def _note(item: pytest.Item, seconds: float) -> float:
    item.stash[_TOOK] = item.stash.get(_TOOK, 0.0) + seconds
    return item.stash[_TOOK]


@pytest.fixture
def close_folder(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Lets listing a folder fail as without the right to; by rights alone, root would read it all the same."""

    def close(folder: Path) -> None:
        listed = os.scandir

        def refused(path: Any = ".") -> Any:  # which may also be the number of an open folder
            if not isinstance(path, int) and Path(path) == folder:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return listed(path)

        monkeypatch.setattr(os, "scandir", refused)

    return close


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Give the folder of a real data set by name, or skip the test."""
    named = os.environ.get("MEDSEG_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"

    def find(name: str) -> Path:
        if not (folder / name).is_dir():
            pytest.skip(
                f"real images of {name!r} are not here: set MEDSEG_TEST_DATA to the folder that has them"
            )
        return folder / name

    return find


def config_with_key(place: Path) -> Path:
    """Make a configuration folder whose keys are known.

    A run of one test is then the same user's in another. And splits are drawn by the names of cases: with a key of
    each test's own, where ids are identifying, every run of the tests would train on other patients.
    """
    folder = place / "config"
    folder.mkdir(parents=True)
    for name in ("pseudonym.key", "runs.key"):
        (folder / name).write_bytes(bytes(range(32)))
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_tree_of_commands() -> Iterator[None]:
    """Let typer build the commands once: a tenth of a second for each time that a test invokes one."""
    from typer import main, testing

    once = functools.cache(main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "get_command", once)
        patch.setattr(testing, "_get_command", once)
        yield


@pytest.fixture(scope="session")
def new_places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give paths of folders that are not there yet; pytest's own would list those of all tests for each."""
    within = tmp_path_factory.mktemp("places")
    return (within / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def own_places(new_places: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a cache, a configuration and a tracking store of its own, unless it sets others."""
    place = next(new_places)
    monkeypatch.setenv("MEDSEG_CACHE", str(place / "cache"))
    monkeypatch.setenv("MEDSEG_CONFIG", str(config_with_key(place)))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare four thousandths of a second for each file: no power cut is survived by what tests write."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_databases() -> Iterator[None]:
    """Spare the same for each of the thousands of commits to MLflow's databases."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def unflushed(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", unflushed)
    yield
    event.remove(Engine, "connect", unflushed)


#: What makes `brats2d` learn from tiny cases within a second or two, random augmentation included.
TINY = (
    "slices.size=[32,32]",
    "network.channels=[4,8]",
    "network.strides=[2]",
    "network.num_res_units=1",
    "network.dropout=0.2",  # random in the network too, so that a resumed run must draw alike
    "loading.batch_size=8",
    "steps.fit.epochs=2",
    "steps.fit.patience=null",
)


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Give the settings of a tiny `brats2d`, as `--set` takes them."""
    return TINY


@pytest.fixture(scope="session")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder that all processes of this one run of the tests share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


WrittenOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def written_once(shared_place: Path) -> WrittenOnce:
    """Write a file or folder once for all processes that run tests; none may change it."""
    from medseg.places import written_whole

    def written(name: str, write: Callable[[Path], object]) -> Path:
        path = shared_place / name
        with FileLock(shared_place / f"{path.stem}.lock"):
            if not path.exists():
                with written_whole(path) as beside:
                    write(beside)
        return path

    return written


@pytest.fixture(scope="session")
def patients(written_once: WrittenOnce) -> Path:
    """Write six tiny patients in the layout of BraTS; never change them, copy them."""
    from medseg.testing.cases import write_brats

    return written_once("patients", lambda folder: write_brats(folder, cases=6))


@pytest.fixture(scope="session")
def migrations_read_once() -> Iterator[None]:
    """Let MLflow look up once which form of a database is its newest: for each store it would read all migrations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own
        from mlflow.store.db import utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            utils, "_get_latest_schema_revision", functools.cache(utils._get_latest_schema_revision)
        )
        yield


@pytest.fixture(scope="session")
def empty_tracking(written_once: WrittenOnce, migrations_read_once: None) -> Path:
    """Make a tracking database without runs: its tables take ten seconds, a copy of it none."""
    from medseg.tracking.mlflow.address import default_uri
    from medseg.tracking.mlflow.store import open_store

    def make(path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's own
            with open_store(default_uri(f"sqlite:///{path.as_posix()}")):
                pass

    return written_once("empty_tracking.db", make)


@pytest.fixture(scope="session")
def monai_imported() -> None:
    """Import MONAI, deaf to the deprecations that its own imports meet; one thread is enough for tiny cases."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

        import medseg.learning.training.engine.epochs  # noqa: F401
    torch.set_num_threads(1)


@pytest.fixture
def workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_tracking: Path, monai_imported: None
) -> Path:
    """Work in a folder of one's own, with an empty tracking database."""
    folder = tmp_path / "work"
    folder.mkdir()
    shutil.copyfile(empty_tracking, folder / "mlflow.db")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return folder


BlankFigures = Callable[[], AbstractContextManager[None]]


@pytest.fixture(scope="session")
def blank_figures() -> BlankFigures:
    """Leave figures blank in a `with` block of a fixture that outlives a test: drawing them takes long."""

    @contextmanager
    def undrawn() -> Iterator[None]:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from PIL import Image

        def blank(_: FigureCanvasAgg, path: Path, **__: object) -> None:
            Image.new("L", (1, 1)).save(path, format="PNG")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FigureCanvasAgg, "print_figure", blank)
            yield

    return undrawn


@pytest.fixture
def undrawn(blank_figures: BlankFigures) -> Iterator[None]:
    """Leave figures blank, in tests that look at everything else."""
    with blank_figures():
        yield


@pytest.fixture(scope="session")
def unmade_figures(blank_figures: BlankFigures, monai_imported: None) -> BlankFigures:
    """Leave figures blank without making them: axes, and cases that are predicted again, take longest.

    For a `with` block. Each figure has its name and its file. Those of all folds together are made, and left blank.
    """

    @contextmanager
    def unmade() -> Iterator[None]:
        import numpy as np
        from matplotlib.figure import Figure

        from medseg.figures.slices.slice_sheet import SliceSheet
        from medseg.pipeline import run
        from medseg.steps import tune_threshold
        from medseg.steps.evaluation.foreground import ForegroundEvaluation
        from medseg.steps.evaluation.labels import LabelEvaluation
        from medseg.steps.evaluation.volumes import VolumeEvaluation
        from medseg.steps.training import concluding

        def empty(*_: object, **__: object) -> Figure:
            return Figure()

        def named(figures: Callable[..., dict[str, object]]) -> Callable[..., dict[str, object]]:
            made = {True: lambda: SliceSheet(np.zeros((2, 2, 3), np.uint8), {}), False: empty}
            return lambda *args: {name: made[name.startswith("worst_")] for name in figures(*args)}

        with blank_figures(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "data_picture", empty)
            patch.setattr(concluding, "learning_curves", empty)
            patch.setattr(tune_threshold, "threshold_curve", empty)
            patch.setattr(LabelEvaluation, "_attention", empty)
            kinds: tuple[Any, ...] = (ForegroundEvaluation, LabelEvaluation, VolumeEvaluation)
            for kind in kinds:
                patch.setattr(kind, "figures", named(kind.figures))
                patch.setattr(kind, "validation_picture", staticmethod(empty))
            yield

    return unmade


@pytest.fixture
def figureless(unmade_figures: BlankFigures) -> Iterator[None]:
    """Make no figure, in tests of what goes on, is refused or is recorded around it."""
    with unmade_figures():
        yield


LongWorkspace = Callable[[str], AbstractContextManager[Path]]


@pytest.fixture(scope="session")
def long_workspace(shared_place: Path, empty_tracking: Path) -> LongWorkspace:
    """Give fixtures that outlive a test what `workspace` and `own_places` give to a test, in a `with` block.

    The same name is the same place, in every process that runs tests.
    """

    @contextmanager
    def work_in(name: str) -> Iterator[Path]:
        place = shared_place / name
        if not place.exists():
            config_with_key(place)
            shutil.copyfile(empty_tracking, place / "mlflow.db")
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the libraries; other tests run with warnings as errors
            patch.setenv("MEDSEG_CACHE", str(place / "cache"))
            patch.setenv("MEDSEG_CONFIG", str(place / "config"))
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            patch.chdir(place)
            yield place

    return work_in


RunOnce = Callable[[str, "Callable[[], RunResult]"], "RunResult"]


@pytest.fixture(scope="session")
def run_once(shared_place: Path, long_workspace: LongWorkspace) -> RunOnce:
    """Run a pipeline once for all processes that run tests: the first does it, the others read what it left."""
    from medseg.api import RunResult

    def result(name: str, run: Callable[[], RunResult]) -> RunResult:
        told = shared_place / f"{name}.json"
        with FileLock(shared_place / f"{name}.lock"):
            if not told.exists():
                with long_workspace(name):
                    found = asdict(run())
                    found["folder"] = str(found["folder"].resolve())
                told.write_text(json.dumps(found), encoding="utf-8")
        known = json.loads(told.read_text(encoding="utf-8"))
        return RunResult(**{**known, "folder": Path(known["folder"]), "allow": tuple(known["allow"])})

    return result


@pytest.fixture(scope="session")
def finished(run_once: RunOnce, patients: Path) -> RunResult:
    """Run a tiny pipeline once for all tests that only look at what a run leaves behind."""
    from medseg.api import run_pipeline

    return run_once("finished", lambda: run_pipeline("brats2d", patients, set=TINY, device="cpu"))


MadeRun = Callable[..., "RunFolder"]


@pytest.fixture
def made_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeRun:
    """Make folders of finished runs from tables of scores by hand, in a working folder of one's own."""
    from medseg.pipeline.folder import RUNS, RunFolder, State
    from medseg.pipeline.options import RunOptions
    from medseg.yaml import read_yaml, to_yaml

    work = tmp_path / "work"
    if not work.exists():
        work.mkdir()
        monkeypatch.chdir(work)

    def make(
        name: str,
        tables: dict[str, Any],
        *,
        pipeline: str = "brats2d",
        definition: dict[str, Any] | None = None,
        **state: Any,
    ) -> RunFolder:
        """Write a run; `tables` by what follows `test` in their names."""
        folder = RunFolder(RUNS / name)
        (folder.path / "scores").mkdir(parents=True)
        declared = read_yaml(ROOT / "pipelines" / f"{pipeline}.yaml") | (definition or {})
        (folder.path / "definition.yaml").write_text(to_yaml(declared), encoding="utf-8")
        options = RunOptions.of(device="cpu")
        known = {"data": "/data", "status": "FINISHED", "data_fingerprint": "0" * 32, "options": options}
        folder.write(State(name, pipeline, **known | state))
        for ending, table in tables.items():
            table.to_csv(folder.path / "scores" / f"test{ending}.csv", index=False)
        return folder

    return make
