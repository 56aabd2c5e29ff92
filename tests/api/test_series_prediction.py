"""From DICOM studies to slices and label maps: the same as from the NIfTI that is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from medseg.api import predict
from medseg.component import build
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError
from medseg.images.dicom.series.read import read_series, series_of
from medseg.images.nifti.write import write_nifti
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.testing.series import Stack, uid_of, write_series

pytestmark = pytest.mark.usefixtures("undrawn")

NETWORK: dict[str, Any] = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 2,
    "in_channels": 2,
    "out_channels": 2,
    "channels": [2, 4],
    "strides": [2],
}
CLASSES = ("background", "tumour")
NORMALISE = {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"], "channel_wise": True}
TEXTS = dict.fromkeys(("name", "about", "source", "licence", "citation", "obtain"), "ward")
SHARED = {
    **TEXTS,
    "ids": "pseudonyms",
    "channels": ["flair", "t1"],
    "classes": list(CLASSES),
    "label_values": {0: "background", 1: "tumour"},
}
SERIES = Manifest.model_validate(
    {
        **SHARED,
        "layout": {
            "series": {"flair": {"SeriesDescription": "flair"}, "t1": {"SeriesDescription": "t1"}},
            "mask": "labels/{PatientID}.nii.gz",
        },
    }
)
NIFTI = Manifest.model_validate(
    {**SHARED, "layout": {"images": "{case}_{channel}.nii.gz", "mask": "labels/{case}.nii.gz"}}
)
OBLIQUE = Stack(orientation=(0.0, 0.8, 0.6, 1.0, 0.0, 0.0), spacing=(1.2, 0.9), step=2.5)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two studies as DICOM, and as NIfTI beside."""
    root, rng = tmp_path_factory.mktemp("both"), np.random.default_rng(4)
    for number in range(2):
        name = f"p{number}"
        given = {"PatientID": name, "StudyInstanceUID": uid_of(name), "RescaleIntercept": -100}
        for channel in ("flair", "t1"):
            volume = rng.integers(0, 900, (6, 20, 26)).astype(np.uint16)
            folder = root / "dicom" / "images" / name
            paths = write_series(folder, volume, OBLIQUE, SeriesDescription=channel, **given)
            stored = read_series(paths)
            (root / "nifti" / "labels").mkdir(parents=True, exist_ok=True)
            write_nifti(stored.data, stored.geometry, root / "nifti" / f"{name}_{channel}.nii.gz")
        for kind in ("dicom", "nifti"):
            mask = root / kind / "labels" / f"{name}.nii.gz"
            mask.parent.mkdir(exist_ok=True)
            write_nifti((stored.data > 500).astype(np.uint8), stored.geometry, mask)
    return root


def preparation(manifest: Manifest, axis: str = "axial") -> Preparation:
    rule = SliceRule.model_validate({"size": (32, 32), "axis": axis, "transforms": [NORMALISE]})
    return Preparation(("flair", "t1"), rule, files=manifest.files())


def predictor(manifest: Manifest) -> Predictor:
    torch.manual_seed(0)
    network = build(NETWORK, at="network", kind=torch.nn.Module).eval()
    return Predictor(network, NETWORK, ClassMasks(CLASSES), preparation(manifest), manifest)


@pytest.mark.parametrize("axis", ["axial", "sagittal"])
def test_a_study_gives_the_slices_of_the_nifti_made_from_it_voxel_for_voxel(both, axis):
    for manifest, folder in ((SERIES, "dicom"), (NIFTI, "nifti")):
        assert scan(manifest, both / folder).faults == ()
    studies, volumes = scan(SERIES, both / "dicom").cases, scan(NIFTI, both / "nifti").cases
    by_patient = {case.group: case for case in studies}
    for case in volumes:
        made = []
        for manifest, each in ((SERIES, by_patient[case.group]), (NIFTI, case)):
            parts = preparation(manifest, axis)
            made.append(parts.apply(parts.read(each, manifest.label_rule())))
        np.testing.assert_array_equal(made[0].image, made[1].image)
        np.testing.assert_array_equal(made[0].label, made[1].label)
        assert made[0].label.any()


def test_a_study_is_predicted_as_its_nifti_is_and_written_where_it_lies(both, tmp_path):
    of_series = predict(predictor(SERIES), [both / "dicom" / "images" / "p1"], tmp_path / "series")
    assert of_series.faults == ()
    (one,) = of_series.cases
    _, other = predict(predictor(NIFTI), [both / "nifti"], tmp_path / "nifti").cases
    found, expected = nibabel.load(one.path), nibabel.load(other.path)
    np.testing.assert_array_equal(found.get_fdata(), expected.get_fdata())
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-4)
    paths = [path for path in (both / "dicom" / "images" / "p1").iterdir() if path.name.startswith("flair")]
    np.testing.assert_allclose(found.affine, series_of(paths).affine, atol=1e-4)


def test_a_model_of_series_is_saved_and_loaded_with_its_layout(both, tmp_path):
    loaded = Predictor.load(predictor(SERIES).save(tmp_path / "model"))
    assert loaded.manifest == SERIES
    (one,) = predict(loaded, [both / "dicom" / "images" / "p0"], tmp_path / "out").cases
    assert one.path is not None


def test_a_study_without_a_channel_is_refused_for_its_reason(both, tmp_path):
    volume = np.ones((3, 8, 8), np.uint16)
    write_series(tmp_path / "in", volume, SeriesDescription="flair", PatientID="p", StudyInstanceUID="1.2.3")
    with pytest.raises(DataError) as caught:
        predict(predictor(SERIES), [tmp_path / "in"], tmp_path / "out")
    (fault,) = caught.value.faults
    assert (fault.part, fault.found) == (
        "t1",
        "no series of the study fits 'layout.series.t1' of the manifest",
    )


@pytest.mark.parametrize("on", ["", "local:1"])
def test_slices_that_are_named_one_by_one_are_the_studies_that_they_are_of(both, tmp_path, on, monkeypatch):
    monkeypatch.chdir(both)
    images = both / "dicom" / "images"
    usual = predict(predictor(SERIES), [images], tmp_path / "folder")
    slices = sorted(path.relative_to(both) for path in images.rglob("*") if path.is_file())
    again = predict(predictor(SERIES), slices, tmp_path / "files", on=on)

    assert again.faults == ()
    assert [each.case for each in again.cases] == [each.case for each in usual.cases]
    for each in usual.cases:
        first, second = (
            nibabel.load(tmp_path / place / f"{each.case}.nii.gz") for place in ("folder", "files")
        )
        np.testing.assert_array_equal(first.get_fdata(), second.get_fdata())
        np.testing.assert_array_equal(first.affine, second.affine)
