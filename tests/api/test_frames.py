"""Files of several pictures as cases: frames of DICOM with classes, and with label maps of as many pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from medseg.api import predict, run_pipeline
from medseg.cli.main import app
from medseg.component import build
from medseg.datasets.manifest.manifest import Manifest
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.testing.dicoms import write_dicom
from medseg.testing.labelled import write_class_folders

TEXTS = dict.fromkeys(("name", "about", "source", "licence", "citation", "obtain"), "cines")
FRAMES = 3
MANIFEST = {
    **TEXTS,
    "ids": "identifying",
    "channels": ["picture"],
    "pictures": {"channels": "grey", "frames": "slices"},
    "image_labels": "one",
    "layout": {"class_folders": True},
    "group": {"tag": "PatientID"},
}


def cine(path: Path, picture: NDArray[np.uint8]) -> None:
    """One picture, brighter from frame to frame, of a patient of its own."""
    frames = np.stack([np.minimum(picture, 200) + 20 * number for number in range(FRAMES)]).astype(np.uint8)
    who = f"{path.parent.name}-{path.stem}"
    write_dicom(path, frames, NumberOfFrames=FRAMES, PatientID=who, WindowCenter=128, WindowWidth=256)


@pytest.fixture
def cines(workspace: Path) -> Path:
    place = workspace / "data_manifests" / "cines.yaml"
    place.parent.mkdir()
    place.write_text(json.dumps(MANIFEST))
    return write_class_folders(workspace / "cines", cases=6, suffix=".dcm", write=cine)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_cines_are_cases_whose_frames_are_learned_from_and_answered_for_together(
    cines: Path, workspace: Path, tiny_radiology: tuple[str, ...]
) -> None:
    more = ("manifest=cines", "split={by: group, val: 0.25, test: 0.25}", "steps.fit.epochs=1")
    settings = [word for each in (*tiny_radiology, *more) for word in ("--set", each)]
    checked = CliRunner().invoke(app, ["pipeline", "check", "radiology_cnn", "--data", str(cines), *settings])
    assert checked.exit_code == 0, checked.output

    run = run_pipeline("radiology_cnn", cines, set=(*tiny_radiology, *more), device="cpu", jobs=1)

    table = pd.read_csv(run.folder / "scores" / "test.csv")
    split = json.loads((run.folder / "split.json").read_text())
    assert len(table) == len(split["test"])
    assert sum(len(split[role]) for role in ("train", "val", "test")) == 12
    found = predict(run.folder, [cines / "left" / "0001.dcm"], workspace / "out", device="cpu")
    assert len(found.cases) == 1

    place = workspace / "data_manifests" / "cines.yaml"
    place.write_text(json.dumps({**MANIFEST, "pictures": {"channels": "grey"}}))
    refused = CliRunner().invoke(
        app, ["data", "check", "radiology_cnn", "--data", str(cines), "--set", more[0]]
    )
    assert refused.exit_code == 2, refused.output
    assert "write `frames: slices` under 'pictures' of the manifest" in " ".join(refused.output.split())


def masks() -> Predictor:
    network: dict[str, Any] = {
        "_target_": "monai.networks.nets.UNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [2, 4],
        "strides": [2],
    }
    manifest = Manifest.model_validate(
        {
            **TEXTS,
            "ids": "pseudonyms",
            "channels": ["picture"],
            "pictures": {"channels": "grey", "frames": "slices"},
            "classes": ["background", "bright"],
            "label_values": {0: "background", 1: "bright"},
            "layout": {"images": "{case}.tif", "mask": "masks/{case}.tif"},
        }
    )
    torch.manual_seed(2)
    rule = SliceRule.model_validate(
        {
            "size": (16, 16),
            "transforms": [{"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"]}],
        }
    )
    parts = Preparation(("picture",), rule, files=manifest.files())
    made = build(network, at="network", kind=torch.nn.Module).eval()
    return Predictor(made, network, ClassMasks(manifest.classes), parts, manifest)


@pytest.mark.usefixtures("monai_imported", "undrawn")
def test_pages_are_predicted_as_one_label_map_of_as_many_slices(tmp_path: Path) -> None:
    stack = np.random.default_rng(1).integers(0, 255, (5, 14, 12)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata=None)
    model = masks()
    (case,) = predict(model, [tmp_path / "a.tif"], tmp_path / "out").cases
    assert case.path is not None
    found = np.asarray(nibabel.load(case.path).dataobj)
    assert found.shape == (12, 14, 5)
    assert any("1 mm was taken" in each for each in case.warnings)
    normal = (stack - stack.mean()) / stack.std()
    padded = np.zeros((5, 1, 16, 16), np.float32)
    padded[:, 0, 1:15, 2:14] = normal
    expected = model.labels(padded)[:, 1:15, 2:14]
    assert (expected == found.T).mean() > 0.9  # but for the margin, which is filled with the background
