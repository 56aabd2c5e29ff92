"""What every test may ask for: real images where they are, and places of its own."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from medseg.api import RunResult

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes that share the cores compute on one thread each

# The same examples every time, however slow the machine is; `--hypothesis-profile=default` looks for new ones.
settings.register_profile(
    "medseg", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("medseg")

ROOT = Path(__file__).resolve().parents[1]


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
    """Make a configuration folder whose key of pseudonyms is known.

    Splits are drawn by the names of cases: with a key of each test's own, where ids are identifying, every run
    of the tests would train on other patients.
    """
    folder = place / "config"
    folder.mkdir(parents=True)
    (folder / "pseudonym.key").write_bytes(bytes(range(32)))
    return folder


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a cache, a configuration and a tracking store of its own, unless it sets others."""
    place = tmp_path_factory.mktemp("places")
    monkeypatch.setenv("MEDSEG_CACHE", str(place / "cache"))
    monkeypatch.setenv("MEDSEG_CONFIG", str(config_with_key(place)))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


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
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write six tiny patients in the layout of BraTS; never change them, copy them."""
    from medseg.testing.cases import write_brats

    return write_brats(tmp_path_factory.mktemp("patients"), cases=6)


@pytest.fixture(scope="session")
def empty_tracking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a tracking database without runs: its tables take ten seconds, a copy of it none."""
    from medseg.tracking.mlflow.address import default_uri
    from medseg.tracking.mlflow.store import open_store

    path = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own
        with open_store(default_uri(f"sqlite:///{path.as_posix()}")):
            pass
    return path


@pytest.fixture(scope="session")
def monai_imported() -> None:
    """Import MONAI, deaf to the deprecations that its own imports meet; one thread is enough for tiny cases."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

        import medseg.learning.training.fit  # noqa: F401
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


LongWorkspace = Callable[[str], AbstractContextManager[Path]]


@pytest.fixture(scope="session")
def long_workspace(tmp_path_factory: pytest.TempPathFactory, empty_tracking: Path) -> LongWorkspace:
    """Give fixtures that outlive a test what `workspace` and `own_places` give to a test, in a `with` block.

    The same name is the same place.
    """

    @contextmanager
    def work_in(name: str) -> Iterator[Path]:
        place = tmp_path_factory.getbasetemp() / name
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


@pytest.fixture(scope="session")
def finished(long_workspace: LongWorkspace, patients: Path) -> RunResult:
    """Run a tiny pipeline once for all tests that only look at what a run leaves behind."""
    from medseg.api import run_pipeline

    with long_workspace("finished"):
        found = run_pipeline("brats2d", patients, set=TINY, device="cpu")
        return replace(found, folder=found.folder.resolve())
