"""Looking at a case of a run: which one, what is written, and that nothing names the patient."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
import SimpleITK
from typer.testing import CliRunner

from medseg.api import RunResult, predict, view
from medseg.api.viewing import window
from medseg.api.viewing.choosing import best_and_worst, chosen
from medseg.api.viewing.seen import Seen
from medseg.cli.main import app
from medseg.datasets.case import Case
from medseg.datasets.reading.volume import Volume
from medseg.errors import DefinitionError, RunError
from medseg.geometry.grid import Geometry


@pytest.fixture
def run(finished: RunResult, tmp_path: Path) -> Path:
    """A copy of a finished run: what is looked at is written into it."""
    return Path(shutil.copytree(finished.folder, tmp_path / "medseg-runs" / finished.name))


def voxels(path: Path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T


def test_a_case_is_written_as_a_scene_with_all_its_files(run: Path, patients: Path, tmp_path: Path) -> None:
    found = view(run, "worst", window=False, device="cpu")
    scores = RunResult(run.name, run, "", "", generated=False, leaking=False).scores()
    foreground = scores[scores["name"].isin(["necrotic_core", "oedema", "enhancing", "whole_tumour"])]
    assert found.case == foreground.groupby("case")["dice"].mean().idxmin()
    assert found.scene == run / "views" / found.case / "scene.mrml"
    folder = found.scene.parent
    scene = ET.fromstring(found.scene.read_bytes())  # noqa: S314 - ours
    files = [unquote(node.get("fileName", "")) for node in scene if node.get("fileName")]
    assert {*files, "scene.mrml"} == {path.name for path in folder.iterdir()}

    source = next((patients / found.case).glob("*_flair.nii.gz"))
    assert np.array_equal(voxels(folder / "image_flair.nrrd"), voxels(source))
    assert SimpleITK.ReadImage(str(folder / "image_flair.nrrd")).GetOrigin() == pytest.approx(
        SimpleITK.ReadImage(str(source)).GetOrigin()
    )
    stored = voxels(next((patients / found.case).glob("*_seg.nii.gz")))
    values = {
        0: 0,
        1: 3,
        2: 4,
        4: 5,
    }  # of the data set, and those of the segments: the place of the class, from 1
    assert np.array_equal(voxels(folder / "truth.seg.nrrd"), np.vectorize(values.get)(stored))

    predict(run, [patients / found.case], tmp_path / "out", device="cpu")
    predicted = voxels(tmp_path / "out" / f"{found.case}.nii.gz")
    assert np.array_equal(voxels(folder / "prediction.seg.nrrd"), np.vectorize(values.get)(predicted))

    # a label map that was written before, and drawn over, is shown in place of a new one
    path = tmp_path / "out" / f"{found.case}.nii.gz"
    drawn = SimpleITK.GetImageFromArray(np.where(voxels(path).T == 0, 2, 0).astype(np.uint8))
    drawn.CopyInformation(SimpleITK.ReadImage(str(path)))
    SimpleITK.WriteImage(drawn, str(path))
    beside = view(run, found.case, prediction=tmp_path / "out", window=False, device="cpu")
    assert beside.scene == tmp_path / "out" / found.case / "scene.mrml"
    shown = voxels(beside.scene.with_name("prediction.seg.nrrd"))
    assert np.array_equal(shown == 4, predicted == 0)


def test_nothing_that_is_written_names_a_patient(run: Path, patients: Path, tmp_path: Path) -> None:
    described = run / "model" / "model.json"
    told = json.loads(described.read_text())
    told["manifest"]["ids"] = "identifying"
    described.write_text(json.dumps(told))
    found = view(run / "model", "1", data=patients, out=tmp_path / "out", window=False, device="cpu")

    assert "rats" not in found.case.lower()
    assert found.scene is not None
    for path in (tmp_path / "out").rglob("*"):
        assert "brats_" not in str(path.relative_to(tmp_path)).lower()
        assert not path.is_file() or b"brats_" not in path.read_bytes().lower()


def test_pixels_that_nobody_annotated_are_a_grey_segment(finished: RunResult) -> None:
    labels = np.array([[[0, 2, 255]]], np.uint8)
    volume = Volume(np.zeros((4, 1, 1, 3), np.float32), labels, Geometry((1, 1, 3), np.eye(4)))
    found = Seen.of("a", finished.predictor, volume, np.array([[[0, 3, 4]]], np.uint8))
    assert found.maps["truth"].tolist() == [[[0, 3, 6]]]
    assert found.maps["prediction"].tolist() == [[[0, 4, 5]]]
    assert [(each.value, each.label) for each in found.segments] == [
        *((3, "necrotic_core"), (4, "oedema"), (5, "enhancing"), (6, "not annotated"))
    ]


def test_without_a_case_of_that_name_the_command_says_what_there_is(run: Path) -> None:
    result = CliRunner().invoke(app, ["view", str(run), "nobody", "--no-window", "--device", "cpu"])
    assert result.exit_code == 2
    assert "there is no case 'nobody'" in result.output
    assert "Brats_001" in result.output


def test_without_napari_the_command_says_how_to_get_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(window, "import_module", missing)
    result = CliRunner().invoke(app, ["view", str(run), "worst"])
    assert result.exit_code == 2
    assert "napari[pyqt6]" in " ".join(result.output.split())
    assert "--no-window" in result.output


def test_without_a_display_there_is_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "import_module", lambda name: name)
    monkeypatch.setattr(window.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RunError, match=r"no display.*--no-window"):
        window.refuse_without_window()
    monkeypatch.setenv("DISPLAY", ":0")
    window.refuse_without_window()


def test_a_model_alone_knows_neither_data_nor_a_place(run: Path, patients: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="--data"):
        view(run / "model", "Brats_001", window=False, device="cpu")
    with pytest.raises(RunError, match="--out"):
        view(run / "model", "Brats_001", data=patients, window=False, device="cpu")
    with pytest.raises(RunError, match="that a run has scored"):
        view(run / "model", "worst", data=patients, out=tmp_path, window=False, device="cpu")
    found = view(run / "model", "2", data=patients, out=tmp_path / "out", window=False, device="cpu")
    assert found.scene == tmp_path / "out" / found.case / "scene.mrml"


def test_a_picture_is_shown_in_a_window_alone(
    pictured: RunResult, particles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DefinitionError, match="pictures"):
        view(pictured.folder, "emps02", window=False, device="cpu")
    shown = []
    for place in ("refuse_without_window", "open_window"):
        monkeypatch.setattr(f"medseg.api.viewing.view.{place}", lambda *layers: shown.append(layers))
    found = view(pictured.folder, "emps02", data=particles, device="cpu")
    assert found.scene is None
    layers, title = shown[-1]
    assert [layer.name for layer in layers][-2:] == ["truth", "prediction"]
    assert {layer.data.shape for layer in layers} == {(66, 34)}
    assert title.startswith("emps02")


def case(name: str, position: int) -> Case:
    return Case(name, name, {}, position=position)


def test_ids_come_before_words_and_numbers() -> None:
    cases = [case("2", 1), case("worst", 2), case("b", 3)]
    ranked = {"worst": "b", "best": "2", "median": "gone"}
    assert chosen("2", cases, lambda: ranked).position == 1
    assert chosen("3", cases, lambda: ranked).id == "b"
    assert chosen("worst", cases, lambda: ranked).id == "worst"
    assert chosen("best", cases, lambda: ranked).id == "2"
    with pytest.raises(RunError, match="gone"):
        chosen("median", cases, lambda: ranked)


def test_best_and_worst_are_by_the_mean_over_the_selected_names() -> None:
    table = pd.DataFrame(
        {
            "case": ["a", "a", "b", "b", "c", "c"],
            "name": ["background", "tumour"] * 3,
            "dice": [1.0, 0.2, 0.1, 0.9, 1.0, np.nan],
        }
    )
    assert best_and_worst(table, ["tumour"]) == {"best": "b", "median": "b", "worst": "a"}
    with pytest.raises(RunError, match="no Dice"):
        best_and_worst(table.drop(columns="dice"), ["tumour"])
