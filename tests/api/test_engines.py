"""`medseg predict --engine onnx` writes what it writes with torch."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from medseg.api import RunResult, predict
from medseg.cli.main import app
from medseg.errors import DefinitionError


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_label_maps_of_volumes_are_equal(finished: RunResult, patients: Path, tmp_path: Path) -> None:
    case = patients / "Brats_001"
    words = ["predict", str(finished.folder), str(case), "-o", str(tmp_path / "onnx"), "--engine", "onnx"]
    done = CliRunner().invoke(app, words)
    predict(finished.folder, [case], tmp_path / "torch")

    assert done.exit_code == 0, done.output
    ours, theirs = (
        np.asanyarray(nibabel.load(tmp_path / engine / "Brats_001.nii.gz").dataobj)
        for engine in ("onnx", "torch")
    )
    assert np.array_equal(ours, theirs)
    assert ours.any()
    volumes = [
        (tmp_path / engine / "volumes.csv").read_text(encoding="utf-8") for engine in ("onnx", "torch")
    ]
    assert volumes[0] == volumes[1]


@pytest.mark.slow
def test_masks_of_pictures_are_equal(pictured: RunResult, particles: Path, tmp_path: Path) -> None:
    picture = particles / "images" / "emps02.png"
    for engine in ("onnx", "torch"):
        predict(pictured.folder, [picture], tmp_path / engine, engine=engine)
    ours, theirs = (np.asarray(Image.open(tmp_path / engine / "emps02.png")) for engine in ("onnx", "torch"))

    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"engine": "tensorrt"}, "'tensorrt', expected torch or onnx"),
        ({"engine": "onnx", "device": "cuda"}, "onnx computes on the CPU. Leave out --device cuda"),
        ({"engine": "onnx", "heat_maps": True}, "heat maps need torch's gradients. Leave out --heat-maps"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_before_the_model_is_loaded(
    settings: dict[str, object], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(DefinitionError, match=expected):
        predict(tmp_path / "no model", [tmp_path], tmp_path / "out", **settings)
