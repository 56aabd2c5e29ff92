"""Tiny runs, once for all tests that only look at what they leave behind."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from medseg.api import RunResult, run_pipeline
from medseg.pipeline.folder import RunFolder
from medseg.testing.dicoms import write_dicom
from medseg.testing.labelled import disc, write_class_folders
from medseg.testing.pictures import shapes, write_emps, write_picture

WrittenOnce = Callable[[str, Callable[[Path], object]], Path]
RunOnce = Callable[[str, Callable[[], RunResult]], RunResult]

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
def particles(written_once: WrittenOnce) -> Path:
    """Write eight pictures of four articles in the layout of `emps`, of several sizes; never change them."""

    def write(folder: Path) -> None:
        write_emps(folder, cases=8, size=(40, 56))
        for number, (name, size) in enumerate(OTHER_SIZES.items()):
            picture, instances = shapes(size, seed=900 + number)
            write_picture(folder / "images" / f"{name}.png", picture, "RGB")
            write_picture(folder / "segmaps" / f"{name}.png", instances)

    return written_once("particles", write)


@pytest.fixture(scope="session")
def pictured(run_once: RunOnce, particles: Path, monai_imported: None) -> RunResult:
    """Run a tiny `emps` once; as `finished` does with patients."""
    settings = {"set": TINY_EMPS, "device": "cpu", "jobs": 1, "register": "champion"}
    return run_once("pictured", lambda: run_pipeline("emps", particles, **settings))


#: Names of classes that sort otherwise as words than by code point; the last is one letter, or two when decomposed.
CLASS_NAMES = ("10_x", "2_y", "A", "b", "é")

#: What makes `radiology_cnn` learn from tiny pictures within seconds.
TINY_RADIOLOGY = (
    "slices.size=[24,32]",
    "network.feature_maps=8",
    "network.dense=16",
    "network.dropout=0.2",
    "loading.batch_size=8",
    "steps.fit.epochs=4",
    "steps.fit.pictures_every=2",
    "steps.fit.optimiser.lr=0.003",
)


@pytest.fixture(scope="session")
def tiny_radiology() -> tuple[str, ...]:
    """Give the settings of a tiny `radiology_cnn`, as `--set` takes them."""
    return TINY_RADIOLOGY


@pytest.fixture(scope="session")
def class_names() -> tuple[str, ...]:
    """Give the classes of `sorted_pictures`, in the one order that they have everywhere."""
    return CLASS_NAMES


@pytest.fixture(scope="session")
def sorted_pictures(written_once: WrittenOnce) -> Path:
    """Write pictures of five classes below Train, Val and Test; never change them.

    Those of Test are DICOM, two of each patient, and one of each of the first four classes shows another class: there
    are mistakes to be seen. The folder of the last class is spelt in two ways, one of which is composed of two
    characters.
    """
    return written_once("sorted_pictures", _write_sorted)


def _write_sorted(folder: Path) -> None:
    write_class_folders(folder, CLASS_NAMES, cases=6, roles=("Train", "Val"))
    decomposed = [unicodedata.normalize("NFD", name) for name in CLASS_NAMES]
    write_class_folders(folder, decomposed, cases=6, roles=("Test",), seed=1, suffix=".dcm", write=_dicom)
    for place, name in enumerate(decomposed[:4]):
        wrong = disc([(place + 1) % len(decomposed)], len(decomposed), seed=(77, place))
        _dicom(folder / "Test" / name / "0007.dcm", wrong)


def _dicom(path: Path, picture: NDArray[np.uint8]) -> None:
    """Two pictures of each patient; seen through a window that leaves values from 0 to 255 as they are."""
    place = CLASS_NAMES.index(unicodedata.normalize("NFC", path.parent.name))
    told = {"PatientID": f"Zylinski-{place}-{int(path.stem) // 2}", "PatientName": "Zylinski^Ada"}
    write_dicom(path, picture, WindowCenter=128, WindowWidth=256, **told)


@pytest.fixture(scope="session")
def classified(run_once: RunOnce, sorted_pictures: Path, monai_imported: None) -> RunResult:
    """Run a tiny `radiology_cnn` once; as `pictured` does with masks."""
    settings = {"set": TINY_RADIOLOGY, "device": "cpu", "jobs": 1}
    return run_once("classified", lambda: run_pipeline("radiology_cnn", sorted_pictures, **settings))


@pytest.fixture
def ended(workspace: Path, finished: RunResult) -> RunFolder:
    """A copy of the finished run, with its tracking database."""
    shutil.copyfile(finished.folder.parents[1] / "mlflow.db", workspace / "mlflow.db")
    folder = RunFolder(Path("medseg-runs") / finished.name)
    shutil.copytree(finished.folder, folder.path)
    uri = f"sqlite:///{(workspace / 'mlflow.db').as_posix()}"
    folder.write(replace(folder.read(), tracking_uri=uri))
    return folder


@pytest.fixture
def killed(ended: RunFolder) -> RunFolder:
    """A copy of the finished run that says that it was killed before its last step."""
    state = ended.read()
    made = {name: known for name, known in state.made.items() if known[0] == "fit"}
    ended.write(replace(state, status="KILLED", done=("fit",), made=made))
    shutil.rmtree(ended.path / "scores")
    return ended
