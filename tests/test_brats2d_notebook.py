"""The pipeline of the original notebook: declared as it was, trained and used at a tiny size."""

from __future__ import annotations

import shlex
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import medseg
from medseg.api import RunResult
from medseg.api.data import check_data, export_npz, prepare_data
from medseg.api.exporting.subdivision import subdivide
from medseg.cli.main import app
from medseg.errors import DataError, DefinitionError
from medseg.learning.inference.predictor import Predictor
from medseg.testing.pictures import write_emps

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


@pytest.fixture(scope="module")
def archives(patients, tmp_path_factory, monai_imported):
    out = tmp_path_factory.mktemp("archives")
    made = export_npz("brats2d", out, patients, set=["channels=[t1ce, t1, t2, flair]"], jobs=1)
    assert (len(made.paths), made.patients) == (6, 6)
    assert made.reading(medseg.Manifest.named("brats2d_npz")) == "The manifest brats2d_npz reads them."
    return out


def test_archives_hold_the_channels_and_classes_of_the_files(patients, archives):
    import nibabel

    with np.load(archives / "Brats_001.npz", allow_pickle=False) as held:
        data, seg = held["data"], held["seg"]
    folder = patients / "Brats_001"
    for place, channel in enumerate(("flair", "t1", "t1ce", "t2")):
        stored = np.asarray(nibabel.load(folder / f"Brats_001_{channel}.nii.gz").dataobj)
        np.testing.assert_array_equal(data[..., place], stored)
    truth = np.asarray(nibabel.load(folder / "Brats_001_seg.nii.gz").dataobj)
    for stored, index in ((1, 2), (2, 3), (4, 4)):
        np.testing.assert_array_equal(seg == index, truth == stored)
    assert set(np.unique(seg)) <= {0, 1, 2, 3, 4}


def test_archives_are_checked_and_give_the_slices_of_the_files(patients, archives):
    checked = check_data("brats2d_notebook", archives, set=["manifest=brats2d_npz", *TINY], jobs=1)
    assert (checked.report.faults, checked.refused) == ((), ())
    one, other = (
        prepare_data("brats2d_notebook", data, set=[*TINY, *more], jobs=1)
        for data, more in ((patients, ()), (archives, ("manifest=brats2d_npz",)))
    )
    assert [sample.position for sample in one.samples] == [sample.position for sample in other.samples]
    for mine, theirs in zip(one.samples, other.samples, strict=True):
        np.testing.assert_array_equal(one.mask(mine), other.mask(theirs))
        np.testing.assert_array_equal(one.image(mine), other.image(theirs))


def test_archives_are_never_written_over(patients, archives):
    with pytest.raises(DataError, match="6 of 6 archives written already"):
        export_npz("brats2d", archives, patients, jobs=1)


def test_pictures_are_no_archives(tmp_path):
    with pytest.raises(DataError, match="archives hold volumes with label maps"):
        export_npz("emps", tmp_path / "out", write_emps(tmp_path / "emps", cases=2), jobs=1)


BY_SLICE = "split={by: slice, train: 20, val: 5, test: 0}"


def test_slices_are_listed_and_taken_by_a_definition_that_names_the_list(patients, tmp_path, monai_imported):
    made = subdivide("brats2d_notebook", tmp_path, patients, set=[*TINY, BY_SLICE], jobs=1)
    rows = pd.read_csv(made.index)
    assert rows["train_or_test"].value_counts().to_dict() == {"train": 20, "test": 5}
    assert pd.read_csv(made.parameters).iloc[0].to_dict() == {
        "image_axis": 2,
        "channels": "flair t1 t1ce t2",
        "img_shape": "96 48",
        "train_size": 20,
        "validation_ratio": 0.25,
    }
    store = prepare_data("brats2d_notebook", patients, set=[*TINY, *made.settings], jobs=1)
    listed = {
        (row["file_name"], row["slice"]) for row in rows.to_dict("records") if row["train_or_test"] == "test"
    }
    assert {(f"{sample.case}.npz", sample.position) for sample in store.role("val")} == listed
    assert len(store.role("train")) == 20


def test_the_command_that_it_prints_runs_and_what_it_says_is_so(patients, tmp_path, monai_imported):
    asked = "split={by: slice, train: 4000, val: 800, test: 0}"
    sets = [word for each in (*TINY, asked) for word in ("--set", each)]
    words = [
        "data",
        "subdivide",
        "brats2d_notebook",
        str(tmp_path),
        "--data",
        str(patients),
        "--jobs",
        "1",
        *sets,
    ]
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output

    said = " ".join(made.output.split())
    rows = pd.read_csv(tmp_path / "index.csv")
    assert f"= 4,800 slices, and there are {len(rows)}: all are shrunk in proportion." in said
    assert "This split LEAKS: slices of one patient are in training and in validation" in said
    assert pd.read_csv(tmp_path / "parameters.csv")["train_size"].item() == 4000

    medseg_, pipeline, run, *printed = shlex.split(made.output.splitlines()[-1])
    assert (medseg_, pipeline, run) == ("medseg", "pipeline", "run")
    paths = [each.partition("=")[0] for each in printed if "=" in each]
    assert len(paths) == len(set(paths))
    checked = CliRunner().invoke(app, ["pipeline", "check", *printed])
    assert checked.exit_code == 0, checked.output


def test_settings_that_are_there_are_taken_or_refused(patients, tmp_path, monai_imported):
    given = {"set": [*TINY, BY_SLICE], "jobs": 1}
    first = subdivide("brats2d_notebook", tmp_path, patients, **given)
    before = first.index.read_bytes()
    with pytest.raises(DataError, match=r"parameters\.csv and index.csv are there already"):
        subdivide("brats2d_notebook", tmp_path, patients, **given)

    table = pd.read_csv(first.parameters).assign(train_size=10, validation_ratio=0.2)
    table.to_csv(first.parameters, index=False)
    kept = subdivide("brats2d_notebook", tmp_path, patients, **given, reuse=True)
    assert (kept.made, first.index.read_bytes()) == (False, before)
    anew = subdivide("brats2d_notebook", tmp_path, patients, **given, reuse=True, rebuild=True)
    assert pd.read_csv(anew.index)["train_or_test"].value_counts().to_dict() == {"train": 10, "test": 2}


def test_a_split_without_counts_makes_no_list(patients, tmp_path):
    with pytest.raises(DefinitionError, match="split expected counts of slices"):
        subdivide("brats2d_notebook", tmp_path, patients, set=TINY, jobs=1)
