"""A run of regions that overlap, from the shipped definition to files, by MONAI's scores and by brute force."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from monai.metrics import DiceMetric

from medseg.api import RunResult, check_data, predict, resume_pipeline, run_pipeline
from medseg.datasets.finding.scan import scan
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.region_masks import RegionMasks
from medseg.learning.training.engine.epochs import Epochs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
]

STORED = {"whole_tumour": (1, 2, 4), "tumour_core": (1, 4), "enhancing_tumour": (4,)}


@pytest.fixture(scope="module")
def settings(tiny: tuple[str, ...]) -> dict[str, Any]:
    more = ("task.thresholds={tumour_core: 0.45}", "steps.fit.optimiser.lr=0.02", "split.test=0.3")
    return {"set": (*tiny, *more), "device": "cpu", "jobs": 1}


@pytest.fixture(scope="module")
def regional(
    run_once: Any, patients: Path, settings: dict[str, Any], blank_figures: Any, monai_imported: None
) -> RunResult:
    def run() -> RunResult:
        with blank_figures():
            return run_pipeline("brats2d_regions", patients, **settings)

    return run_once("regional", run)


@pytest.fixture(scope="module")
def predicted(regional: RunResult, patients: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is written of the test patients."""
    names = json.loads((regional.folder / "split.json").read_text())["test"]
    out = tmp_path_factory.mktemp("predicted")
    predict(regional.folder, [patients / name for name in names], out, probabilities=True, device="cpu")
    return out


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def test_regions_are_scored_as_monai_scores_the_label_maps_that_are_written(
    regional: RunResult, predicted: Path, patients: Path
) -> None:
    rows = pd.read_csv(regional.folder / "scores" / "test.csv").set_index(["case", "name"])["dice"]
    cases = sorted(set(rows.index.get_level_values("case")))
    for case in cases:
        maps = voxels(predicted / f"{case}.nii.gz"), voxels(patients / case / f"{case}_seg.nii.gz")
        both = [np.stack([np.isin(each, members) for members in STORED.values()]) for each in maps]
        expected = DiceMetric(reduction="none")(*(torch.from_numpy(each[None]) for each in both))[0]
        assert [rows[case, name] for name in STORED] == pytest.approx(expected.tolist())


def test_the_label_map_is_painted_by_the_probabilities_of_the_regions(predicted: Path) -> None:
    for path in predicted.glob("*.nii.gz"):
        expected = np.zeros(voxels(path).shape, dtype=np.uint8)
        for name, value, threshold in (
            ("whole_tumour", 2, 0.5),
            ("tumour_core", 1, 0.45),
            ("enhancing_tumour", 4, 0.5),
        ):
            chance = voxels(predicted / path.name.split(".")[0] / f"probability_{name}.nii.gz")
            expected[chance >= np.float32(threshold)] = value
        assert (voxels(path) == expected).all()
        assert set(np.unique(expected)) <= {0, 1, 2, 4}


def test_volumes_are_of_classes_and_regions(predicted: Path) -> None:
    table = pd.read_csv(predicted / "volumes.csv")
    for row in table.to_dict("records"):
        stored = voxels(predicted / f"{row['case']}.nii.gz")
        for name, members in STORED.items():
            assert row[f"{name}_ml"] == pytest.approx(np.isin(stored, members).sum() / 1000, abs=1e-4)


def test_the_saved_model_knows_regions_and_thresholds_and_says_them(regional: RunResult) -> None:
    task = regional.predictor.task

    assert isinstance(task, RegionMasks)
    assert task.maps == tuple(STORED)
    assert task.thresholds == (0.5, 0.45, 0.5)
    assert "`tumour_core` 0.45" in (regional.folder / "model" / "README.md").read_text()


def test_curves_are_of_every_region(regional: RunResult) -> None:
    history = json.loads((regional.folder / "steps" / "fit" / "history.json").read_text())

    assert {f"val/dice/{name}" for name in STORED} <= set(history[-1])


def test_a_resumed_training_ends_as_one_that_was_not_interrupted(
    regional: RunResult,
    patients: Path,
    settings: dict[str, Any],
    workspace: Path,
    undrawn: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train: Callable[..., float] = Epochs._train

    def interrupted(self: Epochs, epoch: int, *given: Any) -> float:
        if epoch == 2:
            raise KeyboardInterrupt
        return train(self, epoch, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Epochs, "_train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_pipeline("brats2d_regions", patients, **settings)
    (folder,) = (workspace / "medseg-runs").iterdir()
    resume_pipeline(folder)

    for name in ("model/weights.safetensors", "scores/test.csv"):
        assert (folder / name).read_bytes() == (regional.folder / name).read_bytes()


def test_a_model_of_regions_is_exported_and_computed_elsewhere(
    regional: RunResult, predicted: Path, patients: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    from medseg.api import export

    name = next(predicted.glob("*.nii.gz")).name
    export(regional.folder, tmp_path / "model.onnx")
    given = [patients / name.split(".")[0]]
    predict(regional.folder, given, tmp_path / "onnx", device="cpu", engine="onnx")
    export(regional.folder, tmp_path / "bundle", to="bundle")  # which is refused where one voxel differs

    assert (voxels(tmp_path / "onnx" / name) == voxels(predicted / name)).all()


def test_mirror_images_and_tiles_go_through_the_same_decision(regional: RunResult, patients: Path) -> None:
    from dataclasses import replace

    predictor = regional.predictor
    rule = predictor.preparation.rule.model_copy(update={"size": (16, 16), "fit": "tile"})
    tiled: Predictor = replace(
        predictor, preparation=replace(predictor.preparation, rule=rule), flips=((1,),)
    )
    case = scan(predictor.manifest, patients).cases[0]
    found = tiled.predict(case, probabilities=True)
    assert found.probabilities is not None

    assert found.probabilities.shape == (3, *found.labels.shape)
    assert (predictor.task.decide(found.probabilities) == found.labels).all()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("manifest=brats2019",), "are in no region"),
        (("network.out_channels=4",), "Set network.out_channels to 3"),
        (("task.regions={whole_tumour: [1, 2, 3]}",), "expected one"),
    ],
)
def test_the_check_finds_what_a_run_would_refuse(
    patients: Path, workspace: Path, tiny: tuple[str, ...], given: tuple[str, ...], why: str
) -> None:
    refused = check_data("brats2d_regions", patients, set=(*tiny, *given)).refused

    assert any(why in str(each) for each in refused)
