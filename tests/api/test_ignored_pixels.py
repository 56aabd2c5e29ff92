"""Runs on label maps that are annotated in part: scored by hand on what is, with what the saved model predicts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medseg.api import RunResult, check_data, predict, run_pipeline
from medseg.datasets.finding.scan import scan
from medseg.errors import DataError
from medseg.named import find_manifest
from medseg.testing.pictures import write_emps, write_picture
from medseg.yaml import read_yaml, to_yaml

pytestmark = pytest.mark.slow

IGNORED = 7
TINY = (
    "slices.size=[28,24]",  # without a margin, which is background
    "network.channels=[4,8]",
    "network.strides=[2]",
    "network.num_res_units=1",
    "loading.batch_size=8",
    "steps.fit.epochs=2",
    "steps.fit.patience=null",
)


def manifest(name: str, of: str, **changes: object) -> None:
    """Write a manifest beside the run."""
    said = read_yaml(find_manifest(of).path)
    Path("data_manifests").mkdir(exist_ok=True)
    Path(f"data_manifests/{name}.yaml").write_text(
        to_yaml({**said, "name": name, **changes}), encoding="utf-8"
    )


@pytest.fixture(scope="module")
def partly(written_once, patients: Path) -> Path:
    """Six patients; of each a block that cuts through the tumour is not annotated, and one slice."""

    def write(folder: Path) -> None:
        shutil.copytree(patients, folder)
        for path in folder.glob("*/*_seg.nii.gz"):
            image = nibabel.load(path)
            stored = np.asarray(image.dataobj).copy()
            stored[12:, :15], stored[..., 5] = IGNORED, IGNORED
            nibabel.save(nibabel.Nifti1Image(stored, image.affine, image.header), path)

    return written_once("partly", write)


@pytest.fixture(scope="module")
def volumes(run_once, partly: Path, blank_figures, monai_imported) -> RunResult:
    def run() -> RunResult:
        manifest("partly", "brats2019", ignore=IGNORED)
        weights = ("task.class_weights=frequency", "steps.fit.pictures_every=1")
        tiny = (*TINY, *weights, "manifest=partly", "split.val=0.2", "split.test=0.3")
        with blank_figures():
            return run_pipeline("brats2d", partly, set=tiny, device="cpu", jobs=1)

    return run_once("partly_run", run)


def test_volumes_are_scored_by_their_annotated_voxels(volumes: RunResult, partly: Path) -> None:
    rows = pd.read_csv(volumes.folder / "scores" / "test.csv").set_index(["case", "name"])
    names = {"oedema": (3,), "whole_tumour": (2, 3, 4)}
    for case in rows.index.get_level_values(0).unique():
        path = partly / case / f"{case}_seg.nii.gz"
        truth = np.asarray(nibabel.load(path).dataobj)
        found = next(each for each in scan(volumes.predictor.manifest, partly).cases if each.id == case)
        labels = volumes.predictor.predict(found).labels
        known = truth != IGNORED
        index = np.array([0, 2, 3, 1, 4])[np.where(known, truth, 0)]  # 0 is outside or healthy
        for name, members in names.items():
            mine, theirs = (np.isin(each[known], members) for each in (index, labels))
            expected = 2 * (mine & theirs).sum() / (mine.sum() + theirs.sum())
            assert rows.loc[(case, name), "dice"] == pytest.approx(expected)
            assert rows.loc[(case, name), "volume_truth_ml"] == pytest.approx(mine.sum() / 1000)
    matrix = pd.read_csv(volumes.folder / "scores" / "test_confusion.csv", index_col=0)
    every = [np.asarray(nibabel.load(path).dataobj) for path in partly.glob("*/*_seg.nii.gz")]
    cases = len(rows.index.get_level_values(0).unique())
    assert matrix.to_numpy().sum() == cases * (every[0] != IGNORED).sum()


def test_the_store_counts_annotated_pixels_and_keeps_no_slice_without_any(
    volumes: RunResult, partly: Path, long_workspace
) -> None:
    from medseg.api import prepare_data

    settings = (*TINY, "manifest=partly", "split.val=0.2", "split.test=0.3")
    with long_workspace("partly_run"):
        store = prepare_data("brats2d", partly, set=settings)
        label = np.stack([store.mask(sample) for sample in store.role("train")])
    counts = [np.count_nonzero(label == index) for index in range(5)]

    assert 5 not in {sample.position for sample in store.samples}
    assert set(np.unique(label)) == {0, 1, 2, 3, 4, 255}
    assert store.voxel_counts("train").tolist() == counts


def test_a_check_tells_how_many_voxels_are_ignored(partly: Path, workspace: Path) -> None:
    manifest("partly", "brats2019", ignore=IGNORED)
    rows = check_data("brats2d", partly, set=("manifest=partly",)).report.label_rows()
    stored = np.stack([np.asarray(nibabel.load(path).dataobj) for path in partly.glob("*/*_seg.nii.gz")])

    expected = {"value": 7, "class": "(ignored)", "voxels": int((stored == IGNORED).sum()), "cases": 6}
    assert expected in rows


def test_a_case_that_nobody_annotated_is_a_fault(partly: Path, workspace: Path) -> None:
    manifest("partly", "brats2019", ignore=IGNORED)
    shutil.copytree(partly, "data")
    path = Path("data/Brats_001/Brats_001_seg.nii.gz")
    image = nibabel.load(path)
    blank = np.full(image.shape, IGNORED, dtype=np.int16)
    nibabel.save(nibabel.Nifti1Image(blank, image.affine, image.header), path)
    (fault,) = check_data("brats2d", "data", set=("manifest=partly",)).report.faults

    assert (fault.case, fault.part) == ("Brats_001", "mask")
    assert "nothing is annotated" in fault.text()
    assert "leave the case out" in fault.remedy


def test_a_loss_of_neighbours_is_refused_by_the_check(partly: Path, workspace: Path) -> None:
    manifest("partly", "brats2019", ignore=IGNORED)
    loss = "task.loss={_target_: monai.losses.NACLLoss, classes: 5, dim: 2}"
    refused = check_data("brats2d", partly, set=("manifest=partly", loss, *TINY)).refused

    assert any("compares each with its neighbours" in str(each) for each in refused)


def test_archives_have_no_class_for_it(partly: Path, workspace: Path) -> None:
    from medseg.api.data import export_npz

    manifest("partly", "brats2019", ignore=IGNORED)
    with pytest.raises(DataError, match="Take 'ignore' out"):
        export_npz("brats2d", "archives", data=partly, set=("manifest=partly",))


@pytest.fixture(scope="module")
def pictures(run_once, written_once, blank_figures, monai_imported) -> tuple[RunResult, Path]:
    def write(folder: Path) -> None:
        write_emps(folder, cases=8, size=(32, 40))
        for path in (folder / "segmaps").iterdir():
            stored = np.array(Image.open(path))
            stored[:, 22:] = 250
            write_picture(path, stored)

    data = written_once("partly_pictures", write)

    def run() -> RunResult:
        manifest("partly", "emps", ignore=[250])
        tiny = (
            "slices.size=[32,32]",
            "network.channels=[4,8]",
            "network.strides=[2]",
            "loading.batch_size=4",
        )
        shares = ("split.val=0.25", "split.test=0.5", "steps.fit.epochs=2", "steps.fit.validate_every=1")
        with blank_figures():
            return run_pipeline("emps", data, set=(*tiny, *shares, "manifest=partly"), device="cpu", jobs=1)

    return run_once("partly_pictures_run", run), data


def test_pictures_are_scored_and_their_threshold_is_searched_by_annotated_pixels(
    pictures: tuple[RunResult, Path],
) -> None:
    run, data = pictures
    threshold = np.float32(run.predictor.task.threshold)
    cases = {case.id: case for case in scan(run.predictor.manifest, data).cases}

    def seen(role: str) -> list[tuple[str, np.ndarray, np.ndarray]]:
        names = json.loads((run.folder / "split.json").read_text())[role]
        masks = {name: np.array(Image.open(data / "segmaps" / f"{name}.png"))[:, :22] > 0 for name in names}
        chances = {
            name: run.predictor.predict(cases[name], probabilities=True).probabilities for name in names
        }
        return [(name, masks[name], chances[name][0, :, :, 0].T[:, :22]) for name in names]

    rows = pd.read_csv(run.folder / "scores" / "test.csv").set_index("case")
    for name, truth, chance in seen("test"):
        predicted = chance >= threshold
        expected = 2 * (truth & predicted).sum() / (truth.sum() + predicted.sum())
        assert rows.loc[name, "dice"] == pytest.approx(expected)
        assert rows.loc[name, "brier"] == pytest.approx(((chance - truth) ** 2).mean())
        assert rows.loc[name, "truth_pixels"] == truth.sum()

    truth, chance = (np.concatenate([each[at].ravel() for each in seen("val")]) for at in (1, 2))
    dice = {
        t: 2 * (truth & (chance >= t)).sum() / (truth.sum() + (chance >= t).sum()) for t in np.unique(chance)
    }
    found = 2 * (truth & (chance >= threshold)).sum() / (truth.sum() + (chance >= threshold).sum())
    assert found == pytest.approx(max(dice.values()))


def test_what_is_predicted_has_classes_everywhere(pictures: tuple[RunResult, Path], tmp_path: Path) -> None:
    run, data = pictures
    predict(run.folder, [data / "images" / "emps01.png"], tmp_path / "out", device="cpu")
    (path,) = (tmp_path / "out").glob("*emps01*.png")

    assert set(np.unique(np.array(Image.open(path)))) <= {0, 255}
