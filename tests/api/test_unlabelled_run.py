"""A run on few images with a label and more without: the latter are prepared, and nothing is scored on them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medseg.api import RunResult, prepare_data, run_pipeline
from medseg.cli.main import app
from medseg.testing.labelled import disc, write_class_folders
from medseg.testing.pictures import write_picture
from medseg.tracking.mlflow.store import open_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
]

MANIFEST = "manifest=brain_mri_ssl"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twenty pictures with a label; a copy of each without, four of their own, and one that cannot be read."""
    root = tmp_path / "data"
    write_class_folders(root / "labelled", ("left", "right"), cases=10)
    pool = root / "unlabelled"
    pool.mkdir()
    for path in (root / "labelled").rglob("*.png"):
        shutil.copy(path, pool / f"yn_{path.parent.name}_{path.name}")
    for number in range(4):
        write_picture(pool / f"c4_{number}.png", disc([number % 2], 2, seed=(400, number)))
    (pool / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return root


@pytest.mark.usefixtures("workspace", "undrawn")
def test_a_run_leaves_out_what_would_leak_and_what_cannot_be_read(
    data: Path, tiny_radiology: tuple[str, ...]
) -> None:
    settings = (*tiny_radiology, MANIFEST, "steps.fit.epochs=1", "split.stratify=class")

    run = run_pipeline("radiology_cnn", data, set=settings, device="cpu", jobs=1)

    roles = json.loads((run.folder / "split.json").read_text(encoding="utf-8"))
    scored = {name for role in ("val", "test") for name in roles[role]}
    copies = {f"unlabelled_yn_{name.removeprefix('labelled_')}" for name in scored}
    learnt = {f"unlabelled_yn_{name.removeprefix('labelled_')}" for name in roles["train"]}
    assert set(roles["unlabelled"]) == learnt | {f"unlabelled_c4_{number}" for number in range(4)}
    left_out = {row["case"] for row in rows(run, "left_out.csv")}
    assert left_out == copies | {"unlabelled_broken"}
    assert {row["case"] for row in rows(run, "slices.csv") if row["role"] == "unlabelled"} == set(
        roles["unlabelled"]
    )
    assert {row["case"] for row in rows(run, "scores/test.csv")} == set(roles["test"])
    with open_store(run.tracking_uri) as client:
        tracked = client.get_run(run.run_id)
    assert tracked.data.tags["unlabelled.cases"] == str(len(roles["unlabelled"]))
    assert tracked.data.tags["unlabelled.held_back"] == str(len(copies))
    assert (tracked.data.tags["data.left_out"], tracked.data.tags["data.faults"]) == ("1", "0")
    assert not [name for name in tracked.data.metrics if "unlabelled" in name]
    store = prepare_data("radiology_cnn", data, set=settings, jobs=1)
    assert {sample.case for sample in store.role("unlabelled")} == set(roles["unlabelled"])
    assert all(sample.labels is None for sample in store.role("unlabelled"))
    assert store.image(store.role("unlabelled")[0]).shape == store.image(store.role("train")[0]).shape


def rows(run: RunResult, name: str) -> list[dict[str, str]]:
    with (run.folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("workspace", "undrawn")
def test_data_check_says_all_of_it_and_finds_no_fault(data: Path, tiny_radiology: tuple[str, ...]) -> None:
    sets = [word for setting in (*tiny_radiology, MANIFEST) for word in ("--set", setting)]
    found = CliRunner().invoke(app, ["data", "check", "radiology_cnn", "--data", str(data), *sets])
    assert found.exit_code == 0, found.output
    said = " ".join(found.output.split())
    assert "Files: 20 with a label, 25 without a label." in said
    assert "SKIPPED: 1 of 25 images without a label has faults and is left out" in said
    assert "20 images without a label are, pixel by pixel, among those with a label" in said
    assert "Without a label: " in said
    assert "No faults." in said
