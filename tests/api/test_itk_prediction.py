"""From MetaImage and NRRD to label maps: the same as from NIfTI, in the format of the input."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
from typer.testing import CliRunner

from medseg.api import predict
from medseg.cli.main import app
from medseg.component import build
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError
from medseg.images.itk.kind import ItkFiles
from medseg.images.nifti.read import read_nifti
from medseg.learning.inference.from_bytes import answer
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.yaml import parse_yaml

NETWORK: dict[str, Any] = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [2, 4],
    "strides": [2],
}
CLASSES = ("background", "tumour")
NORMALISE = {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"], "channel_wise": True}
TURNED = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
MANIFEST = """
name: ward
about: x
source: x
licence: x
citation: x
obtain: x
ids: pseudonyms
channels: [scan]
classes: [background, tumour]
label_values: {0: background, 7: tumour}
format: itk
layout: {images: "{case}_scan.*", mask: "{case}_seg.*"}
"""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one volume in each format, as a file of its own."""
    root, rng = tmp_path_factory.mktemp("itk"), np.random.default_rng(3)
    image = SimpleITK.GetImageFromArray(rng.integers(0, 900, (5, 26, 20)).astype(np.int16))
    image.SetSpacing((0.8, 1.2, 3.0))
    image.SetOrigin((-40.0, 12.5, 7.0))
    image.SetDirection(TURNED)
    mask = SimpleITK.Cast(image > 500, SimpleITK.sitkUInt8) * 7
    for name in ("a.mha", "b.mhd", "c.nrrd", "d.nhdr", "e.hdr", "f.nii.gz"):
        stem, ending = name.split(".", 1)
        SimpleITK.WriteImage(image, str(root / f"{stem}_scan.{ending}"))
        SimpleITK.WriteImage(mask, str(root / f"{stem}_seg.{ending}"))
    return root


def manifest(**changed: Any) -> Manifest:
    return Manifest.model_validate({**parse_yaml(MANIFEST, "ward"), **changed})


@pytest.fixture(autouse=True)
def no_figures(undrawn: None, monai_imported: None) -> None:
    """Drawing takes long, and importing MONAI longer."""


def predictor(given: Manifest) -> Predictor:
    torch.manual_seed(0)
    network = build(NETWORK, at="network", kind=torch.nn.Module).eval()
    rule = SliceRule.model_validate({"size": (32, 32), "axis": "axial", "transforms": [NORMALISE]})
    preparation = Preparation(("scan",), rule, files=given.files())
    return Predictor(network, NETWORK, ClassMasks(CLASSES), preparation, given)


@pytest.mark.slow
def test_a_model_predicts_every_format_alike_and_answers_in_it(ours: Path, tmp_path: Path) -> None:
    of_nifti = manifest(format=None, layout={"images": "{case}_scan.nii*"})
    (one,) = predict(predictor(of_nifti), [ours], tmp_path / "nifti").cases
    assert one.path is not None
    expected = read_nifti(one.path)
    assert set(np.unique(expected.data)) == {0, 7}

    found = predict(predictor(manifest()), [ours], tmp_path / "itk", probabilities=True)

    (left_out,) = found.faults  # NIfTI, among files that ITK reads
    assert (left_out.case, left_out.part) == ("f", "scan")
    assert "but for the ending" in left_out.found
    assert [case.path.name for case in found.cases if case.path] == [
        "a.mha",
        "b.mha",
        "c.nrrd",
        "d.nrrd",
        "e.nii.gz",
    ]
    for case in found.cases:
        assert case.path is not None
        read = read_nifti if case.path.name.endswith(".nii.gz") else ItkFiles().read_image
        stored = read(case.path)
        np.testing.assert_array_equal(stored.data, expected.data)
        np.testing.assert_allclose(stored.geometry.affine, expected.geometry.affine, atol=1e-6)
        ending = case.path.name.partition(".")[2]
        chance = read(case.path.parent / case.case / f"probability_tumour.{ending}")
        np.testing.assert_array_equal(chance.data > 0.5, expected.data == 7)


def test_single_files_are_cases_wherever_they_lie(ours: Path, tmp_path: Path) -> None:
    asked = predictor(manifest())
    for name, taken, written in (
        ("b_scan.mhd", "new.mhd", "new.mha"),
        ("c_scan.nrrd", "c_scan.nrrd", "c.nrrd"),
    ):
        folder = tmp_path / written
        folder.mkdir()
        (folder / taken).write_bytes((ours / name).read_bytes())
        if taken.endswith(".mhd"):
            (folder / "b_scan.raw").write_bytes((ours / "b_scan.raw").read_bytes())

        (case,) = predict(asked, [folder / taken], tmp_path / "out").cases

        assert case.path == tmp_path / "out" / written


def test_nifti_is_written_on_wish(ours: Path, tmp_path: Path) -> None:
    (case,) = predict(predictor(manifest()), [ours / "a_scan.mha"], tmp_path, format="nifti").cases

    assert case.path == tmp_path / "a.nii.gz"


def test_one_bad_file_costs_no_other_case(ours: Path, tmp_path: Path) -> None:
    for name in ("a_scan.mha", "c_scan.nrrd"):
        (tmp_path / name).write_bytes((ours / name).read_bytes())
    (tmp_path / "x_scan.mha").write_bytes((ours / "a_scan.mha").read_bytes()[:400])
    (tmp_path / "y_scan.nrrd").write_bytes(b"no image")
    os.mkfifo(tmp_path / "z_scan.mhd")

    found = predict(predictor(manifest()), [tmp_path], tmp_path / "out")

    assert [case.case for case in found.cases] == ["a", "c"]
    assert [(fault.case, fault.part) for fault in found.faults] == [(name, "scan") for name in "xyz"]


def test_a_case_that_fails_while_it_is_drawn_leaves_no_label_map(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise TypeError

    for name in ("a_scan.mha", "c_scan.nrrd"):
        (tmp_path / name).write_bytes((ours / name).read_bytes())
    monkeypatch.setattr("medseg.figures.overlay.volume_overview", fails)

    with pytest.raises(DataError) as raised:
        predict(predictor(manifest()), [tmp_path], tmp_path / "out")

    assert [fault.case for fault in raised.value.faults] == ["a", "c"]
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["a_scan.mha", "c_scan.nrrd"])
def test_bytes_are_known_by_how_they_begin(ours: Path, name: str) -> None:
    found = answer(predictor(manifest()), {"scan": (ours / name).read_bytes()})

    assert "error" not in found
    assert found["mask"]


@pytest.mark.slow
def test_from_a_folder_to_a_definition_and_its_check(workspace: Path) -> None:
    folder = workspace / "theirs"
    folder.mkdir()
    for number, ending in enumerate((".mha", ".nrrd", ".nhdr")):
        drawn = np.random.default_rng(number).integers(0, 900, (5, 26, 20)).astype(np.int16)
        for part, data in (("scan", drawn), ("seg", (drawn > 500).astype(np.uint8))):
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(data), str(folder / f"p{number}_{part}{ending}"))

    drafted = CliRunner().invoke(app, ["pipeline", "new", "ward", "--data", "theirs", "--minutes", "0"])
    assert drafted.exit_code == 0, drafted.output
    assert "format: itk" in (workspace / "data_manifests" / "ward.yaml").read_text()
    check = ["data", "check", "ward", "--data", "theirs", "--jobs", "1"]
    assert CliRunner().invoke(app, check).exit_code == 0
    (folder / "p2_scan.raw").write_bytes(b"short")

    refused = CliRunner().invoke(app, check)

    assert refused.exit_code == 2
    assert "truncated" in " ".join(refused.output.split())
    assert "Traceback" not in refused.output
