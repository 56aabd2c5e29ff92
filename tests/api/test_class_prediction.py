"""Classifying whole images: one, many, in folders and beside each other; tables, heat maps and what is never told."""

from __future__ import annotations

import csv
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from medseg.api import RunResult, predict
from medseg.cli.main import app
from medseg.datasets.finding.scan import scan
from medseg.errors import DataError, DefinitionError
from medseg.learning.inference.predictor import Predictor
from medseg.testing.dicoms import write_dicom
from medseg.testing.labelled import disc, write_class_folders
from medseg.testing.pictures import write_picture

NAME = "Zylinski"  # in names of files and folders and in attributes of DICOM: never to be told
OF = 5
AS_IT_IS = {"WindowCenter": 128, "WindowWidth": 256}  # leaves values from 0 to 255 as they are


@pytest.fixture(scope="module")
def model(classified: RunResult) -> Path:
    return classified.folder / "model"


@pytest.fixture(scope="module")
def predictor(model: Path) -> Predictor:
    return Predictor.load(model)


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    with (out / "classes.csv").open(encoding="utf-8", newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def chances_of(row: dict[str, str], names: tuple[str, ...]) -> np.ndarray:
    return np.array([float(row[f"probability_{name}"]) for name in names])


def dicom(path: Path, which: int, seed: int, **attributes: Any) -> Path:
    told = {"PatientID": f"{NAME}-1", "PatientName": f"{NAME}^Ada", **AS_IT_IS, **attributes}
    return write_dicom(path, disc([which], OF, seed=(seed,)), **told)


def mixed(folder: Path) -> Path:
    """Two PNGs in folders of classes, one at the top, and two DICOM files, one of them without an ending."""
    write_picture(folder / "A" / f"{NAME}_Ada_1.png", disc([2], OF, seed=(1,)))
    write_picture(folder / "b" / f"{NAME}_Ada_1.png", disc([3], OF, seed=(2,)))
    write_picture(folder / "loose.png", disc([0], OF, seed=(3,)))
    dicom(folder / "b" / f"{NAME}.dcm", 4, 4)
    dicom(folder / "IM0001", 1, 5)
    return folder


@pytest.mark.slow
def test_one_picture_gives_its_class_and_probabilities_that_sum_to_one(
    model: Path, class_names: tuple[str, ...], tmp_path: Path
) -> None:
    write_picture(tmp_path / f"{NAME}.png", disc([1], OF, seed=(9,)))
    found = predict(model, [tmp_path / f"{NAME}.png"], tmp_path / "out")
    ((case, row),) = rows_of(tmp_path / "out").items()

    assert list(row) == ["case", "class", *(f"probability_{name}" for name in class_names), "warnings"]
    assert row["class"] == "2_y"
    chances = chances_of(row, class_names)
    assert chances.sum() == pytest.approx(1, abs=1e-6)
    assert class_names[int(chances.argmax())] == "2_y"
    assert found.cases[0].case == case
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"classes.csv", "README.txt"}
    assert "Research use only" in (tmp_path / "out" / "README.txt").read_text(encoding="utf-8")


def test_a_dicom_file_and_the_png_of_its_pixels_are_told_alike(
    model: Path, class_names: tuple[str, ...], tmp_path: Path
) -> None:
    picture = disc([3], OF, seed=(4,))
    write_picture(tmp_path / "one.png", picture)
    write_dicom(tmp_path / "two", picture, **AS_IT_IS)
    write_dicom(tmp_path / "three.dcm", 255 - picture, PhotometricInterpretation="MONOCHROME1", **AS_IT_IS)
    write_dicom(
        tmp_path / "four.dcm", picture.astype(np.uint16) * 16, BitsStored=12
    )  # without a window: spread
    predict(
        model, [tmp_path / name for name in ("one.png", "two", "three.dcm", "four.dcm")], tmp_path / "out"
    )
    rows = list(rows_of(tmp_path / "out").values())
    chances = np.array([chances_of(row, class_names) for row in rows])

    assert [row["class"] for row in rows] == ["b", "b", "b", "b"]
    assert np.array_equal(chances[1], chances[0])
    assert np.array_equal(chances[2], chances[0])
    assert np.allclose(chances[3], chances[0], atol=1e-5)


@pytest.mark.slow
def test_folders_by_class_flat_and_mixed_give_every_picture_once(model: Path, tmp_path: Path) -> None:
    write_class_folders(tmp_path / "by class", ("x", "y", "z"), cases=2)
    for number in range(4):
        write_picture(tmp_path / "flat" / f"{number}.png", disc([number], OF, seed=(number,)))
    mixed(tmp_path / "mixed")
    (tmp_path / "mixed" / "notes.txt").write_text("no picture", encoding="utf-8")

    for name, count in (("by class", 6), ("flat", 4), ("mixed", 5)):
        found = predict(model, [tmp_path / name], tmp_path / f"{name} out")
        rows = rows_of(tmp_path / f"{name} out")
        assert len(rows) == len(found.cases) == count
        assert not found.faults
    predict(model, [tmp_path / "flat", tmp_path / "mixed" / "loose.png"], tmp_path / "both")
    assert len(rows_of(tmp_path / "both")) == 5


def test_the_table_is_to_the_last_bit_what_the_predictor_says(
    predictor: Predictor, class_names: tuple[str, ...], tmp_path: Path
) -> None:
    mixed(tmp_path / "in")
    predict(predictor, [tmp_path / "in"], tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    cases = scan(predictor.manifest, tmp_path / "in", truth=False).cases

    assert {case.id for case in cases} == set(rows)
    for case in cases:
        found = predictor.classify(predictor.read_image(case))
        assert rows[case.id]["class"] == "; ".join(found.names)
        assert np.array_equal(chances_of(rows[case.id], class_names).astype(np.float32), found.probabilities)


@pytest.mark.slow
def test_predicting_the_data_of_the_run_gives_the_probabilities_that_were_scored(
    classified: RunResult, model: Path, sorted_pictures: Path, class_names: tuple[str, ...], tmp_path: Path
) -> None:
    predict(model, [sorted_pictures], tmp_path)
    rows, scored = rows_of(tmp_path), classified.scores().to_dict("records")

    assert len(rows) == 94  # those of training and validation as well
    assert len(scored) == 34
    for row in scored:
        told = rows[row["case"]]
        assert told["class"] == row["predicted"]
        written = np.array([row[f"probability_{name}"] for name in class_names])
        assert np.abs(chances_of(told, class_names) - written).max() <= 1e-7


@pytest.mark.parametrize(("ends", "code"), [(ZeroDivisionError, 2), (KeyboardInterrupt, 130)])
def test_an_error_at_one_case_costs_no_other_and_what_was_predicted_stays_whatever_ends_the_rest(
    ends: type[BaseException], code: int, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medseg.api.outputs import ClassOutput

    original, calls = ClassOutput.predict, itertools.count(1)

    def third_fails(*words: Any) -> Any:
        if next(calls) == 3:
            raise ends
        return original(*words)

    monkeypatch.setattr(ClassOutput, "predict", third_fails)
    found = CliRunner().invoke(
        app, ["predict", str(model), str(mixed(tmp_path / "in")), "-o", str(tmp_path / "out")]
    )

    assert found.exit_code == code
    assert len(rows_of(tmp_path / "out")) == (next(calls) - 2 if code == 2 else 2)
    assert ("ZeroDivisionError" in found.output) == (code == 2)
    assert NAME not in found.output


@pytest.mark.slow
def test_heat_maps_are_drawn_on_wish_and_else_nothing_of_a_case(model: Path, tmp_path: Path) -> None:
    mixed(tmp_path / "in")
    predict(model, [tmp_path / "in"], tmp_path / "without")
    found = predict(model, [tmp_path / "in"], tmp_path / "with", heat_maps=True)
    without, drawn = rows_of(tmp_path / "without"), rows_of(tmp_path / "with")

    assert drawn == without
    assert {path.name for path in (tmp_path / "without").iterdir()} == {"classes.csv", "README.txt"}
    for each in found.cases:
        assert each.path == tmp_path / "with" / each.case / "heat_map.png"
        with Image.open(each.path) as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        assert min(pixels.shape[:2]) > 100
        assert (np.ptp(pixels, axis=2) > 60).mean() > 0.01  # coloured, so that something is shown
        assert not set(image.info) & {"Author", "Comment", "Description", "Source"}


def test_what_lies_outside_the_training_data_is_warned_of(model: Path, tmp_path: Path) -> None:
    picture = disc([0], OF, seed=(6,))
    write_picture(tmp_path / "in" / "a.png", picture // 8)
    write_picture(tmp_path / "in" / "b.png", picture)
    found = predict(model, [tmp_path / "in"], tmp_path / "out")
    rows = rows_of(tmp_path / "out")

    strange, usual = sorted(found.cases, key=lambda each: not each.warnings)
    assert any("in training" in warning for warning in strange.warnings)
    assert rows[strange.case]["warnings"] == "; ".join(strange.warnings)
    assert usual.warnings == ()
    assert rows[usual.case]["warnings"] == ""


def test_what_cannot_be_read_is_named_by_pseudonym_and_keeps_no_other_from_being_told(
    model: Path, tmp_path: Path
) -> None:
    mixed(tmp_path / "in")
    (tmp_path / "in" / f"{NAME}_cut.png").write_bytes((tmp_path / "in" / "loose.png").read_bytes()[:80])
    (tmp_path / "in" / f"{NAME}_empty.png").write_bytes(b"")
    dicom(tmp_path / "in" / "report.dcm", 0, 1, PixelData=None)
    found = predict(model, [tmp_path / "in"], tmp_path / "out")

    assert len(rows_of(tmp_path / "out")) == 5
    assert len(found.faults) == 3
    assert all(NAME not in f"{fault.case} {fault.found} {fault.remedy}" for fault in found.faults)
    with pytest.raises(DataError):
        predict(model, [tmp_path / "in" / f"{NAME}_cut.png"], tmp_path / "nothing")


@pytest.mark.slow
def test_what_identifies_is_neither_printed_nor_written(
    model: Path, class_names: tuple[str, ...], tmp_path: Path
) -> None:
    mixed(tmp_path / "in")
    (tmp_path / "in" / f"{NAME}_cut.png").write_bytes(b"\x89PNG")
    command = ["predict", str(model), str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--heat-maps"]
    done = CliRunner().invoke(app, command)
    rows = rows_of(tmp_path / "out")

    assert done.exit_code == 2, done.output  # one of the files cannot be read
    for case, row in rows.items():
        (line,) = [line for line in done.stdout.splitlines() if line.strip().startswith(case)]
        assert row["class"] in line.split()
    (head,) = [line for line in done.stdout.splitlines() if line.split()[:2] == ["case", "class"]]
    assert head.split()[2:-1] == list(class_names)
    assert "Research use only" in done.stdout
    assert "classes.csv" in done.stdout
    assert NAME.lower() not in done.output.lower()
    for path in (tmp_path / "out").rglob("*"):
        assert NAME.lower() not in path.relative_to(tmp_path).as_posix().lower()
        if path.is_file():
            assert NAME.lower().encode() not in path.read_bytes().lower()
    named = CliRunner().invoke(app, [*command, "--show-paths"])
    assert NAME in named.output


def test_wishes_that_the_model_cannot_fulfil_are_refused_before_anything_is_written(
    model: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "one.png", disc([0], OF))
    with pytest.raises(DefinitionError, match="heat-maps"):
        predict(model, [tmp_path / "one.png"], tmp_path / "out", probabilities=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError):
        predict(model, [tmp_path / "nowhere"], tmp_path / "out")


def test_a_model_whose_classes_are_in_another_order_than_its_data_is_refused(
    model: Path, tmp_path: Path
) -> None:
    import json

    from medseg.errors import ModelError

    shutil.copytree(model, tmp_path / "model")
    place = tmp_path / "model" / "model.json"
    described = json.loads(place.read_text(encoding="utf-8"))
    described["task"]["classes"].reverse()
    place.write_text(json.dumps(described), encoding="utf-8")

    with pytest.raises(ModelError, match="classes"):
        Predictor.load(tmp_path / "model")
