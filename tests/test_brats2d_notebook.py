"""The pipeline of the original notebook: declared as it was, trained and used at a tiny size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import medseg
from medseg.api import RunResult
from medseg.learning.inference.predictor import Predictor

TINY = (
    "slices.size=[96,48]",
    "network.filters=2",
    "loading.batch_size=3",
    "loading.predict_batch=3",
    "steps.fit.epochs=2",
    "steps.fit.validate_every=2",
    "steps.fit.optimiser.lr=0.002",
)


@pytest.fixture(scope="session")
def notebook_run(run_once, patients, monai_imported) -> RunResult:
    return run_once(
        "notebook", lambda: medseg.run_pipeline("brats2d_notebook", patients, set=TINY, device="cpu")
    )


def test_it_is_declared_as_the_original_was():
    declared = medseg.load_pipeline("brats2d_notebook")
    fit, loss = declared.steps["fit"], declared.task["loss"]
    assert fit["optimiser"] == {"_target_": "torch.optim.Adam", "lr": 2e-4, "betas": [0.5, 0.999]}
    assert (fit["epochs"], fit["validate_every"], fit["pictures_every"], fit["keep"]) == (100, 10, 1, "every")
    assert (declared.loading.batch_size, declared.loading.predict_batch) == (10, 10)
    assert loss == {"_target_": "medseg.learning.MapCrossEntropy", "factor": 0.5}
    assert declared.network["as_in_training"] is True
    assert declared.loading.augment == []


def test_it_tests_the_patients_that_brats2d_tests():
    one, other = (medseg.load_pipeline(name) for name in ("brats2d", "brats2d_notebook"))
    assert (one.seed, one.split, one.manifest) == (other.seed, other.split, other.manifest)


def test_every_epoch_and_the_figure_of_the_validation_are_kept(notebook_run):
    step = notebook_run.folder / "steps" / "fit"
    assert sorted(path.name for path in (step / "epochs").iterdir()) == [
        "epoch-0001.safetensors",
        "epoch-0002.safetensors",
    ]
    assert [path.name for path in (notebook_run.folder / "figures").glob("fit_validation_*")] == [
        "fit_validation_0002.png"
    ]


def test_prediction_gives_the_voxels_that_were_scored(notebook_run, patients, tmp_path):
    import nibabel
    import pandas as pd

    scores = pd.read_csv(notebook_run.folder / "scores" / "test.csv")
    case = scores["case"].iloc[0]
    medseg.predict(notebook_run.folder / "model", [patients / case], tmp_path / "out", device="cpu")
    file = tmp_path / "out" / f"{case}.nii.gz"
    labels = np.asarray(nibabel.load(file).dataobj)
    spacing = np.prod(nibabel.load(file).header.get_zooms()[:3]) / 1000
    manifest = medseg.Manifest.named("brats2019")
    stored = {name: value for value, name in manifest.label_values.items()}
    for name in ("necrotic_core", "oedema", "enhancing"):
        row = scores[(scores["case"] == case) & (scores["name"] == name)].iloc[0]
        assert np.isclose((labels == stored[name]).sum() * spacing, row["volume_predicted_ml"])


def test_the_saved_model_predicts_in_its_own_batches(notebook_run):
    predictor = Predictor.load(notebook_run.folder / "model")
    slices = np.random.default_rng(0).normal(size=(7, 4, 96, 48)).astype(np.float32)
    together, parts = predictor.logits(slices), [slices[i : i + 3] for i in (0, 3, 6)]
    np.testing.assert_array_equal(together, np.concatenate([predictor.logits(part) for part in parts]))
    assert not np.allclose(together, replace(predictor, batch_size=7).logits(slices))
