"""Channels on several grids: refused, or resampled onto one, alike from the first check to what a server answers."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from pydicom import dcmread
from typer.testing import CliRunner

from medseg.api import RunResult, predict, run_pipeline
from medseg.cli.main import app
from medseg.component import build
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError, DefinitionError, ModelError
from medseg.images.dicom.series.read import read_series
from medseg.images.itk.kind import ItkFiles
from medseg.images.itk.write import write_volume
from medseg.images.nifti.read import read_nifti
from medseg.images.nifti.write import write_nifti
from medseg.learning.inference.ensemble import ensemble
from medseg.learning.inference.export.bundle.configuration import configuration
from medseg.learning.inference.from_bytes import answer
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.testing.series import Stack, uid_of, write_series

NETWORK: dict[str, Any] = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 2,
    "in_channels": 2,
    "out_channels": 2,
    "channels": [2, 4],
    "strides": [2],
}
NORMALISE = {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"], "channel_wise": True}
SHARED = {
    **dict.fromkeys(("name", "about", "source", "licence", "citation", "obtain"), "ward"),
    "ids": "pseudonyms",
    "channels": ["flair", "t1"],
    "shown": "flair",
    "classes": ["background", "tumour"],
    "label_values": {0: "background", 1: "tumour"},
}
SERIES = {"series": {name: {"SeriesDescription": f"^{name}$"} for name in ("flair", "t1")}}
KINDS: dict[str, dict[str, Any]] = {
    "series": {"layout": SERIES},
    "nifti": {"layout": {"images": "{case}_{channel}.nii.gz"}},
    "itk": {"layout": {"images": "{case}_{channel}.nrrd"}, "format": "itk"},
}
STACKS = {
    "flair": (Stack(corner=(-12, -14, -10), spacing=(1.5, 1.5), step=5.0), (5, 18, 16)),
    "t1": (Stack(corner=(-10, -11, -9), orientation=(0.0, 0.8, 0.6, 1.0, 0.0, 0.0), step=1.2), (14, 14, 26)),
}


def manifest(kind: str, **more: Any) -> Manifest:
    return Manifest.model_validate({**SHARED, **KINDS[kind], **more})


def predictor(given: Manifest, align: Any = "reference") -> Predictor:
    torch.manual_seed(3)
    network = build(NETWORK, at="network", kind=torch.nn.Module).eval()
    rule = SliceRule.model_validate({"size": (32, 32), "align": align, "transforms": [NORMALISE]})
    preparation = Preparation(("flair", "t1"), rule, files=given.files())
    return Predictor(network, NETWORK, ClassMasks(given.classes), preparation, given)


@pytest.fixture(autouse=True)
def no_figures(undrawn: None, monai_imported: None) -> None:
    """Drawing takes long, and importing MONAI longer."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one patient in each format: an axial FLAIR, and an oblique T1 of other voxels."""
    root, rng = tmp_path_factory.mktemp("apart"), np.random.default_rng(8)
    for name, (stack, shape) in STACKS.items():
        volume = rng.integers(1, 900, shape).astype(np.uint16)
        given = {"PatientID": "p1", "StudyInstanceUID": uid_of("p1")}
        stored = read_series(write_series(root / "series", volume, stack, SeriesDescription=name, **given))
        for kind in ("nifti", "itk"):
            (root / kind).mkdir(exist_ok=True)
        write_nifti(stored.data, stored.geometry, root / "nifti" / f"p1_{name}.nii.gz")
        write_volume(stored.data, stored.geometry, root / "itk" / f"p1_{name}.nrrd")
    return root


def written(of: Predictor, folder: Path, out: Path, **more: Any) -> Path:
    (case,) = predict(of, [folder], out, **more).cases
    assert case.path is not None
    return case.path


@pytest.mark.parametrize("channel", ["flair", "t1"])
def test_every_format_gives_the_same_label_map_on_the_grid_of_the_reference(
    study: Path, tmp_path: Path, channel: str
) -> None:
    align = "reference" if channel == "flair" else {"reference": channel}
    paths = {kind: written(predictor(manifest(kind), align), study / kind, tmp_path / kind) for kind in KINDS}
    expected, grid = read_nifti(paths["nifti"]), read_nifti(study / "nifti" / f"p1_{channel}.nii.gz").geometry
    assert 0.05 < expected.data.mean() < 0.95
    for kind, path in paths.items():
        found = (ItkFiles().read_image if kind == "itk" else read_nifti)(path)
        np.testing.assert_array_equal(found.data, expected.data, err_msg=kind)
        assert found.geometry.same_grid(grid), kind


def test_a_dicom_segmentation_refers_to_the_series_of_the_reference_whichever_is_shown(
    study: Path, tmp_path: Path
) -> None:
    pytest.importorskip("highdicom")
    of = predictor(manifest("series"), {"reference": "t1"})
    seg = dcmread(written(of, study / "series", tmp_path, format="seg"))
    series = {item.SeriesInstanceUID for item in seg.ReferencedSeriesSequence}
    files = [dcmread(path) for path in (study / "series").iterdir()]
    assert series == {each.SeriesInstanceUID for each in files if each.SeriesDescription == "t1"}


def test_label_maps_drawn_in_dicom_are_read_on_the_slices_of_the_reference(
    study: Path, tmp_path: Path
) -> None:
    pytest.importorskip("highdicom")
    folder = tmp_path / "study"
    shutil.copytree(study / "series", folder)
    of = predictor(manifest("series"), {"reference": "t1"})
    path = written(of, folder, tmp_path / "out", format=["nifti", "seg"])
    shutil.copy(next(path.parent.glob("*.seg.dcm")), folder)
    drawn = {
        "series": SERIES["series"],
        "mask": {"structures": {"tumour": "tumour"}, "tags": {"Manufacturer": "medseg"}},
    }
    asked = manifest("series", layout=drawn)
    (case,) = scan(asked, folder).cases
    volume = predictor(asked, {"reference": "t1"}).read(case)
    expected = read_nifti(path)
    np.testing.assert_array_equal(volume.geometry.from_ras(volume.label), expected.data)
    with pytest.raises(DataError, match=r"frames of 14 x 26 .*where the series has 18 x 16"):
        predictor(asked).read(case)


def test_other_frames_of_reference_are_refused_and_named_nowhere(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "series", tmp_path / "study")
    for path in (tmp_path / "study").glob("t1*"):
        data = dcmread(path)
        data.FrameOfReferenceUID = "1.2.3.4.5"
        data.save_as(path)
    with pytest.raises(DataError) as caught:
        predict(predictor(manifest("series")), [tmp_path / "study"], tmp_path / "out")
    (fault,) = caught.value.faults
    assert (fault.part, "another frame of reference than the channel flair" in fault.found) == ("t1", True)
    assert "1.2.3" not in str(caught.value)


def test_without_the_setting_a_prediction_is_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        predict(predictor(manifest("nifti"), None), [study / "nifti"], tmp_path)
    (fault,) = caught.value.faults
    assert (fault.part, "another grid" in fault.found) == ("t1", True)
    assert "slices.align=reference" in fault.remedy


def test_a_saved_model_a_server_and_an_ensemble_do_the_same(study: Path, tmp_path: Path) -> None:
    model = predictor(manifest("nifti"), {"reference": "t1"})
    loaded = Predictor.load(model.save(tmp_path / "model"))
    assert "onto the grid of `t1`" in (tmp_path / "model" / "README.md").read_text()
    expected = nibabel.load(written(model, study / "nifti", tmp_path / "one")).get_fdata()
    files = {name: (study / "nifti" / f"p1_{name}.nii.gz").read_bytes() for name in STACKS}
    (tmp_path / "served.nii.gz").write_bytes(base64.b64decode(answer(loaded, files)["mask"]))
    both = written(ensemble([model, loaded]), study / "nifti", tmp_path / "both")
    for path in (tmp_path / "served.nii.gz", both, written(loaded, study / "nifti", tmp_path / "two")):
        np.testing.assert_array_equal(nibabel.load(path).get_fdata(), expected)
    with pytest.raises(ModelError, match="other settings of slices"):
        ensemble([model, predictor(manifest("nifti"))])


def test_a_bundle_of_monai_reads_as_the_model_does(study: Path) -> None:
    model = predictor(manifest("nifti"), {"reference": "t1"})
    config = configuration(model)
    (load, *_) = config["preprocessing"]["transforms"]
    assert (load["_target_"], load["reference"]) == ("medseg.transforms.LoadCased", "t1")
    assert (
        "reference" not in configuration(predictor(manifest("nifti"), None))["preprocessing"]["transforms"][0]
    )


@pytest.mark.parametrize(
    ("align", "reason"),
    [
        ("flair", "is 'flair', expected `reference`, for the grid of the first channel, or"),
        ({"refrence": "t1"}, "refrence"),
        ({"reference": "pet"}, "slices.align.reference is 'pet', which is not among 'channels'"),
    ],
)
def test_a_setting_that_means_nothing_is_refused_with_what_there_is(
    align: Any, reason: str, patients: Path
) -> None:
    setting = f"slices.align={json.dumps(align)}"
    with pytest.raises(DefinitionError, match=re.escape(reason)):
        run_pipeline("brats2d", patients, set=[setting])


def test_pictures_have_no_place_in_mm(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"slices\.align resamples by where files say that voxels lie"):
        run_pipeline("nuclei", tmp_path, set=["slices.align=reference"])


@pytest.fixture(scope="module")
def apart(patients: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the patients with every second slice of T2 alone."""
    root = tmp_path_factory.mktemp("several") / "patients"
    shutil.copytree(patients, root)
    for path in root.glob("*/*_t2.nii.gz"):
        image = nibabel.load(path)
        voxels, affine = np.asarray(image.dataobj)[..., ::2], image.affine @ np.diag([1, 1, 2, 1])
        nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return root


@pytest.fixture(scope="module")
def run(
    run_once: Any, apart: Path, tiny: tuple[str, ...], blank_figures: Any, monai_imported: None
) -> RunResult:
    def made() -> RunResult:
        with blank_figures():
            return run_pipeline("brats2d", apart, set=(*tiny, "slices.align=reference"), device="cpu", jobs=1)

    return run_once("aligned", made)


def said(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.slow
@pytest.mark.usefixtures("workspace")
def test_a_check_refuses_what_a_run_refuses_and_notes_what_it_resamples(
    apart: Path, tiny: tuple[str, ...]
) -> None:
    settings = [word for each in tiny for word in ("--set", each)]
    refused = said("pipeline", "check", "brats2d", "--data", apart, *settings)
    assert refused.exit_code == 2, refused.output
    assert "slices.align=reference" in " ".join(refused.output.split())

    passed = said(
        "pipeline", "check", "brats2d", "--data", apart, *settings, "--set", "slices.align=reference"
    )
    assert passed.exit_code == 0, passed.output
    noted = said("data", "check", "brats2d", "--data", apart, "--set", "slices.align=reference")
    assert noted.exit_code == 0, noted.output
    assert "resampled onto the grid of the channel flair" in " ".join(noted.output.split())


@pytest.mark.slow
def test_a_run_learns_from_what_its_model_predicts_from_and_scores_what_it_writes(
    run: RunResult, apart: Path, tmp_path: Path
) -> None:
    names = json.loads((run.folder / "split.json").read_text())["test"]
    predict(run.folder, [apart / name for name in names], tmp_path, device="cpu")
    rows = pd.read_csv(run.folder / "scores" / "test.csv").set_index(["case", "name"])["dice"]
    for name in names:
        found = np.asarray(nibabel.load(tmp_path / f"{name}.nii.gz").dataobj)
        truth = np.asarray(nibabel.load(apart / name / f"{name}_seg.nii.gz").dataobj)
        both = found > 0, truth > 0
        expected = 2 * (both[0] & both[1]).sum() / (both[0].sum() + both[1].sum())
        assert rows[name, "whole_tumour"] == pytest.approx(expected)
