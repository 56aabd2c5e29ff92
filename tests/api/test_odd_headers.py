"""What is odd about a file is said alike by the check of a data set, by predictions and by a server."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from medseg.api import predict
from medseg.cli.main import app
from medseg.component import build
from medseg.datasets.checks.check import check
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.images.nifti.read import read_nifti
from medseg.learning.inference.from_bytes import answer
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule

NORMALISE = {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"], "channel_wise": True}
SHARED: dict[str, Any] = {
    **dict.fromkeys(("name", "about", "source", "licence", "citation", "obtain"), "ward"),
    "ids": "pseudonyms",
    "classes": ["background", "tumour"],
    "label_values": {0: "background", 1: "tumour"},
}
SHAPE = (12, 16, 3)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])

UNPLACED = {"sform_code": 0, "qform_code": 0}
HALF_TURN = {
    "qform_code": 1,
    "quatern_b": 0,
    "quatern_c": 0,
    "quatern_d": 1,
    "pixdim": [1, 1, 1, 2, 0, 0, 0, 0],
}
ODD: dict[str, dict[str, Any]] = {
    "none": {},
    "qform turned": HALF_TURN,
    "qform shifted": {"qform_code": 1, "qoffset_x": 50, "pixdim": [1, 1, 1, 2, 0, 0, 0, 0]},
    "unknown sform": {"sform_code": 99},
    "unknown qform": {"sform_code": 0, "qform_code": 99},
    "negative sform": {"sform_code": -1, "qform_code": 0},
    "negative size": {**UNPLACED, "pixdim": [1, 1, -1, 2, 0, 0, 0, 0]},
    "no size": {**UNPLACED, "pixdim": [1, 0, 0, 0, 0, 0, 0, 0]},
    "no place": UNPLACED,
    "other sizes": {"pixdim": [1, 3, 3, 3, 0, 0, 0, 0]},
    "micrometres": {"xyzt_units": 3},
    "metres": {"xyzt_units": 1},
    "unknown unit": {"xyzt_units": 5},
    "sheared": {"srow_x": [1, 0.3, 0, 0]},
}


def model(manifest: Manifest, channels: tuple[str, ...]) -> Predictor:
    torch.manual_seed(3)
    network = {
        "_target_": "monai.networks.nets.UNet",
        "spatial_dims": 2,
        "in_channels": len(channels),
        "out_channels": 2,
        "channels": [2, 4],
        "strides": [2],
    }
    built = build(network, at="network", kind=torch.nn.Module).eval()
    rule = SliceRule.model_validate({"size": (16, 16), "transforms": [NORMALISE]})
    preparation = Preparation(channels, rule, files=manifest.files())
    return Predictor(built, network, ClassMasks(manifest.classes), preparation, manifest)


def volumes() -> Manifest:
    layout = {"images": "{case}_{channel}.nii.gz"}
    return Manifest.model_validate({**SHARED, "channels": ["t2"], "shown": "t2", "layout": layout})


def with_header(path: Path, **fields: Any) -> Path:
    """Write a volume whose header has other fields than nibabel would write."""
    data = np.random.default_rng(4).integers(1, 900, SHAPE).astype(np.int16)
    image = nibabel.Nifti1Image(data, AFFINE)
    image.header.set_xyzt_units("mm")
    content = bytearray(image.to_bytes())
    header = nibabel.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(content)))
    return path


def noted(manifest: Manifest, root: Path, channels: tuple[str, ...]) -> list[str]:
    """What the check of a data set notes of the one case in a folder."""
    report = check(scan(manifest, root, truth=False, only=channels), manifest, channels)
    return sorted(row["note"] for row in report.note_rows())


@pytest.fixture(autouse=True)
def no_figures(undrawn: None, monai_imported: None) -> None:
    """Drawing takes long, and importing MONAI longer."""


@pytest.mark.parametrize("fields", ODD.values(), ids=ODD.keys())
def test_a_prediction_and_a_server_warn_of_all_that_the_check_notes_of_a_header(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    manifest = volumes()
    (tmp_path / "in").mkdir()
    path = with_header(tmp_path / "in" / "p1_t2.nii.gz", **fields)
    predictor = model(manifest, ("t2",))

    notes = noted(manifest, tmp_path / "in", ("t2",))
    found = predict(predictor, tmp_path / "in", tmp_path / "out")
    served = answer(predictor, {"t2": path.read_bytes()})

    assert bool(notes) == bool(fields)
    assert sorted(found.cases[0].warnings) == notes
    assert sorted(served["warnings"]) == notes
    (table,) = (tmp_path / "out").glob("*.csv")
    assert all(note in table.read_text(encoding="utf-8") for note in notes)


ELSEWHERE = ("nibabel takes none", "turned into mm", "no voxel size")


@pytest.mark.parametrize("fields", ODD.values(), ids=ODD.keys())
def test_a_label_map_lies_where_the_image_was_read_and_overlays_it_unless_a_warning_says_so(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    path = with_header(tmp_path / "p1_t2.nii.gz", **fields)
    (case,) = predict(model(volumes(), ("t2",)), path, tmp_path / "out").cases
    assert case.path is not None

    written, image = nibabel.load(case.path), nibabel.load(path)
    np.testing.assert_allclose(written.affine, read_nifti(path).geometry.affine, atol=1e-5)
    told = any(part in warning for part in ELSEWHERE for warning in case.warnings)
    assert np.allclose(written.affine, image.affine, atol=1e-5) or told


def grey(path: Path) -> None:
    pixels = np.random.default_rng(5).integers(0, 255, (16, 12, 4)).astype(np.uint8)
    Image.fromarray(pixels, "RGBA").save(path)


def one_plane(path: Path) -> None:
    pixels = np.zeros((16, 12, 3), np.uint8)
    pixels[..., 0] = np.random.default_rng(5).integers(0, 255, (16, 12))
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(("write", "count"), [(grey, 1), (one_plane, 1)])
def test_pictures_are_warned_of_as_the_check_notes_them(
    write: Callable[[Path], None], count: int, tmp_path: Path
) -> None:
    channels = ("red", "green", "blue")
    layout = {"images": "{case}.png"}
    given = {
        **SHARED,
        "channels": channels,
        "shown": "red",
        "layout": layout,
        "pictures": {"channels": "rgb"},
    }
    manifest = Manifest.model_validate(given)
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "p1.png")

    notes = noted(manifest, tmp_path / "in", channels)
    (case,) = predict(model(manifest, channels), tmp_path / "in", tmp_path / "out").cases

    assert len(notes) == count
    assert sorted(case.warnings) == notes


def test_one_warning_of_several_cases_is_printed_once_with_their_number(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("p1", "p2", "p3"):
        with_header(tmp_path / "in" / f"{name}_t2.nii.gz", xyzt_units=3)
    saved = model(volumes(), ("t2",)).save(tmp_path / "model")

    run = ["predict", str(saved), str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, run)

    assert result.exit_code == 0, result.output
    assert result.output.count("Warning: ") == 1
    assert "Warning: 3 cases (p1, p2, p3): its header gives lengths in micrometres" in result.output
