"""What docs/extending.md says works: its files, written as they stand there, and its commands."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from medseg.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([^`]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
ENTRY_POINTS = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_tracking: Path) -> Path:
    """A working folder with the package of the page, installed beside it as an installer would."""
    folder = tmp_path_factory.mktemp("ward")
    shutil.copyfile(empty_tracking, folder / "mlflow.db")
    for name, text in FILES.items():
        path = folder / ("site" if name.startswith("ward/") else ".") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "site" / "ward" / "__init__.py").touch()
    facts = folder / "site" / "ward-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: ward\nVersion: 1.0\n", encoding="utf-8")
    lines = [
        line
        for group, points in ENTRY_POINTS.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (facts / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def medseg(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    paths = [str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "MEDSEG_CACHE": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "medseg", *words],
        cwd=folder,
        env={**kept, **own, "MEDSEG_CONFIG": str(folder / "config")},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


@pytest.fixture(scope="module")
def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return medseg(folder, "pipeline", "run", "ward.yaml", "--allow", "ward")


def test_the_page_shows_each_seam_of_its_table() -> None:
    named = {Path(name).stem for name in FILES if name.startswith("ward/")}

    assert named >= {"networks", "transforms", "darkening", "tasks", "steps", "layouts", "formats", "samples"}


@pytest.mark.slow
def test_a_package_from_outside_brings_every_part_of_a_pipeline(
    folder: Path, run: subprocess.CompletedProcess[str]
) -> None:
    assert run.returncode == 0, run.stderr
    (done,) = (folder / "medseg-runs").iterdir()
    scores = pd.read_csv(done / "scores" / "test.csv")
    assert set(scores["group"]) <= {f"patient{number}" for number in range(4)}, "the layout tells the patient"
    assert scores.query("name == 'blob'")["dice"].between(0, 1).all()
    counted = run.stdout + run.stderr
    assert "slices by role" in counted


def test_the_form_for_batches_comes_to_what_the_transform_does(
    monai_imported: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from monai.transforms import Compose

    from medseg.learning.augmentation.batched import table
    from medseg.learning.augmentation.by_place import AugmentByPlace

    monkeypatch.syspath_prepend(str(folder / "site"))
    monkeypatch.setattr(table, "FORMS", dict(table.FORMS))
    try:
        transform = importlib.import_module("ward.darkening").RandDarkend(["image"], prob=0.6)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "ward"]:
            del sys.modules[name]
    augment, places = Compose([transform]), [(1, index) for index in range(8)]
    random = AugmentByPlace(augment, 3, ("image",))
    images, expected = torch.rand(8, 1, 6, 5, generator=torch.Generator().manual_seed(0)), []
    for place, image in zip(places, images, strict=True):
        augment.set_random_state(seed=int(np.random.SeedSequence([3, *place]).generate_state(1)[0]))
        expected.append(augment({"image": image})["image"])
    batch = {"image": images.clone(), "label": torch.zeros(8, 1, dtype=torch.uint8)}
    random(batch, random.draw(places, (1, 6, 5)))

    assert random.one_by_one((1, 6, 5)) == ()
    assert not torch.equal(batch["image"], images)
    torch.testing.assert_close(batch["image"], torch.stack(expected))


@pytest.mark.slow
def test_a_model_of_that_package_predicts_files_of_its_format(
    folder: Path, run: subprocess.CompletedProcess[str]
) -> None:
    assert run.returncode == 0, run.stderr
    scan = folder / "SCANS" / "new-scan1"
    scan.mkdir(parents=True)
    np.savez(scan / "t2.npz", voxels=np.full((32, 32, 8), 50, np.float32), affine=np.eye(4))

    done = medseg(folder, "predict", "latest", "SCANS", "-o", "predictions", "--allow", "ward")

    assert done.returncode == 0, done.stderr
    assert (folder / "predictions" / "volumes.csv").exists()


def test_a_package_that_is_not_allowed_is_named_with_the_option_that_allows_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder / "site"))
    done = CliRunner().invoke(app, ["pipeline", "run", "ward.yaml"])

    assert done.exit_code == 2
    assert "--allow" in done.stderr
    assert "Traceback" not in done.stderr
    assert "ward" not in sys.modules, "nothing of the package may run"


# NumPy leaves a file open that turns out to be no archive.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_its_reader_meets_broken_archives(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder / "site"))
    monkeypatch.delitem(sys.modules, "ward", raising=False)

    importlib.import_module("ward.test_formats").test_a_broken_archive_is_read_or_refused(tmp_path)
    importlib.import_module("ward.test_privacy").test_an_export_names_nobody(tmp_path)
