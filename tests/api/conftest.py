"""A tiny run on pictures, once for all tests that only look at what it leaves behind."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from medseg.api import RunResult, run_pipeline
from medseg.testing.pictures import shapes, write_emps, write_picture

#: What makes `emps` learn from tiny pictures within seconds.
TINY_EMPS = (
    "slices.size=[32,32]",
    "network.channels=[4,8]",
    "network.strides=[2]",
    "network.num_res_units=1",
    "loading.batch_size=4",
    "split.val=0.25",
    "split.test=0.5",
    "steps.fit.epochs=6",
    "steps.fit.validate_every=1",
    "steps.fit.optimiser.lr=0.005",
)

#: Sizes (H, W) of pictures that are not like the others.
OTHER_SIZES = {"emps02": (66, 34), "emps05": (30, 72)}


@pytest.fixture(scope="session")
def tiny_emps() -> tuple[str, ...]:
    """Give the settings of a tiny `emps`, as `--set` takes them."""
    return TINY_EMPS


@pytest.fixture(scope="session")
def particles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write eight pictures of four articles in the layout of `emps`, of several sizes; never change them."""
    folder = write_emps(tmp_path_factory.mktemp("particles"), cases=8, size=(40, 56))
    for number, (name, size) in enumerate(OTHER_SIZES.items()):
        picture, instances = shapes(size, seed=900 + number)
        write_picture(folder / "images" / f"{name}.png", picture, "RGB")
        write_picture(folder / "segmaps" / f"{name}.png", instances)
    return folder


@pytest.fixture(scope="session")
def pictured(
    tmp_path_factory: pytest.TempPathFactory, empty_tracking: Path, particles: Path, monai_imported: None
) -> RunResult:
    """Run a tiny `emps` once; as `finished` does with patients."""
    place = tmp_path_factory.mktemp("pictured")
    shutil.copyfile(empty_tracking, place / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries; other tests run with warnings as errors
        patch.setenv("MEDSEG_CACHE", str(place / "cache"))
        patch.setenv("MEDSEG_CONFIG", str(place / "config"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(place)
        found = run_pipeline("emps", particles, set=TINY_EMPS, device="cpu", jobs=1)
        return replace(found, folder=found.folder.resolve())
