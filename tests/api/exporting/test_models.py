"""`medseg.export`: a run's model as a file, for programs that run it without medseg."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from medseg.api import RunResult, export
from medseg.cli.main import app
from medseg.errors import DefinitionError, RunError


@pytest.fixture(scope="module")
def written(finished: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export(finished.folder, path)
    return path


@pytest.mark.slow
def test_onnxruntime_alone_gives_the_logits_of_the_run(finished: RunResult, written: Path) -> None:
    import onnxruntime

    predictor = finished.predictor
    slices = np.random.default_rng(0).normal(size=(2, *predictor.input_shape)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": slices})

    assert np.allclose(logits, predictor.logits(slices), atol=1e-4)
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["medseg.channels"]) == ["flair", "t1", "t1ce", "t2"]
    assert "the softmax over axis 1" in said["medseg.output"]
    assert said["medseg.pipeline"] == "brats2d"
    assert said["medseg.version"] == predictor.about["version.medseg"]
    assert finished.name not in str(said)
    assert str(finished.folder.parent) not in str(said)


@pytest.mark.slow
def test_the_command_says_what_was_written(finished: RunResult, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(finished.folder), "-o", str(tmp_path / "model.onnx")])

    assert done.exit_code == 0, done.output
    assert (tmp_path / "model.onnx").stat().st_size > 1000
    assert "any number at a time" in done.output
    assert "Research use only" in done.output


def test_a_file_that_is_there_is_left_alone(finished: RunResult, written: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(RunError, match=r"model.onnx is there already.*--force"):
        export(finished.folder, written)
    with pytest.raises(RunError, match=r"is a folder\. Name the file"):
        export(finished.folder, written.parent, force=True)
    assert written.read_bytes() == before


def test_another_form_is_refused_with_those_there_are(finished: RunResult, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="'coreml', expected onnx or bundle"):
        export(finished.folder, tmp_path / "model", to="coreml")
    assert list(tmp_path.iterdir()) == []


def test_the_command_ends_with_2_where_the_extra_is_missing(
    finished: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    done = CliRunner().invoke(app, ["export", str(finished.folder), "-o", str(tmp_path / "model.onnx")])

    assert done.exit_code == 2
    assert "medseg[onnx]" in done.output
    assert list(tmp_path.iterdir()) == []
