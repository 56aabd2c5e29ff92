"""What a run says of its data before it begins."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from medseg.api import run_pipeline
from medseg.api.conductor import Conductor
from medseg.api.finding import find_run_folder
from medseg.api.opening import open_pipeline
from medseg.errors import RunError, TrackingError
from medseg.pipeline.folder import RUNS
from medseg.pipeline.options import RunOptions
from medseg.progress import Silent
from medseg.testing.cases import take_place, write_brats
from medseg.tracking.mlflow.recorder import MlflowRecorder

SMALL = ("network.in_channels=4", "network.channels=[4,8]", "network.strides=[2]", "network.num_res_units=0")


class Heard(Silent):
    """Keeps what must not be overlooked."""

    def __init__(self) -> None:
        self.loud: list[str] = []

    def say(self, text: str, *, loud: bool = False) -> None:
        """Keep a message."""
        if loud:
            self.loud.append(text)


def checked(root: Path) -> list[str]:
    """What is said loudly while all is checked."""
    opened, heard = open_pipeline("brats2d", assignments=SMALL), Heard()
    options = RunOptions.of(jobs=1, device="cpu")
    Conductor(opened.definition, opened.manifest, root, options, None, heard)._checked(going_on=False)
    return heard.loud


@pytest.mark.slow
@pytest.mark.usefixtures("monai_imported")
def test_a_run_says_loudly_of_which_cases_sizes_and_sides_are_assumed(tmp_path: Path) -> None:
    write_brats(tmp_path / "data", cases=3, shape=(10, 12, 8))
    for name in ("Brats_001", "Brats_003"):
        take_place(tmp_path / "data" / name)

    place, size = checked(tmp_path / "data")
    assert place.startswith("2 cases (Brats_001, Brats_003): its header gives no place and no directions")
    assert size.startswith("2 cases (Brats_001, Brats_003): its header gives no voxel size along I, J, K")
    assert "mm and mL are no measures" in size


@pytest.mark.slow
@pytest.mark.usefixtures("monai_imported")
def test_a_run_says_all_that_is_odd_about_its_images_as_the_check_does(tmp_path: Path) -> None:
    write_brats(tmp_path / "data", cases=3, shape=(10, 12, 8))
    for path in (tmp_path / "data" / "Brats_002").glob("*.nii.gz"):
        image = nibabel.load(path)
        image.header.set_xyzt_units("micron")
        image.to_filename(path)
    for path in (tmp_path / "data" / "Brats_003").glob("*.nii.gz"):
        image = nibabel.load(path)
        image.set_qform(np.diag([-1, -1, 1, 1]) @ image.affine, 1)
        image.to_filename(path)

    units, place = sorted(checked(tmp_path / "data"), key=lambda text: "sform" in text)
    assert units.startswith("1 case (Brats_002): its header gives lengths in micrometres")
    assert place.startswith("1 case (Brats_003): its sform and its qform place it differently")


class RefusedError(TrackingError):
    """A store that takes no new run."""


@pytest.mark.slow
@pytest.mark.usefixtures("monai_imported")
def test_a_run_that_its_store_refuses_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RefusedError("no login")

    monkeypatch.chdir(tmp_path)
    write_brats(tmp_path / "data", cases=5, shape=(10, 12, 8))
    monkeypatch.setattr(MlflowRecorder, "start", refuse)
    with pytest.raises(RefusedError):
        run_pipeline("brats2d", tmp_path / "data", set=SMALL, device="cpu", jobs=1)

    assert not list(Path(RUNS).iterdir())
    with pytest.raises(RunError, match="no run of yours"):
        find_run_folder("latest")
