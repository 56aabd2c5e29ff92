"""Which name is which: written on request alone, for one pair of eyes, and never into what is passed on."""

from __future__ import annotations

import csv
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from medseg.api import RunResult, load_model, predict, write_case_map
from medseg.api.exporting.key_maps import write_late
from medseg.cli.main import app
from medseg.datasets.key_map import CASE_COLUMNS, refuse_key_map, write_key_map
from medseg.datasets.pseudonym import pseudonym, secret_key
from medseg.errors import DataError, RunError
from medseg.learning.inference.predictor import Predictor
from medseg.testing.pictures import write_picture

pytestmark = pytest.mark.usefixtures("monai_imported", "undrawn")


@pytest.fixture
def hiding(finished: RunResult) -> Predictor:
    """A model whose data have identifying ids."""
    model = load_model(finished.folder, device="cpu")
    return replace(model, manifest=model.manifest.model_copy(update={"ids": "identifying"}))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_prediction_writes_which_is_which(hiding: Predictor, patients: Path, tmp_path: Path) -> None:
    two = [patients / "Brats_001", patients / "Brats_002"]

    found = predict(hiding, two, tmp_path / "out", key_map=tmp_path / "names.csv")

    known = {row["case"]: row for row in rows(tmp_path / "names.csv")}
    assert tuple(next(iter(known.values()))) == CASE_COLUMNS
    assert set(known) == {each.case for each in found.cases}
    for folder in two:
        row = known[pseudonym("case", folder.name, secret_key())]
        assert (row["id"], row["source"]) == (folder.name, str(folder))
        assert row["patient"] == pseudonym("patient", row["patient_id"], secret_key())
    if os.name == "posix":
        assert (tmp_path / "names.csv").stat().st_mode & 0o777 == 0o600
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [path for path in written if b"Brats_00" in path.read_bytes()]


@pytest.mark.slow
def test_it_is_not_written_unasked_nor_where_nothing_was_predicted(
    hiding: Predictor, patients: Path, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(patients / "Brats_001", tmp_path / "Brats_001"))
    for path in broken.iterdir():
        path.write_bytes(b"no image")

    with pytest.raises(DataError, match="no case could be predicted"):
        predict(hiding, [broken], tmp_path / "out", key_map=tmp_path / "names.csv")
    assert not (tmp_path / "names.csv").exists()
    predict(hiding, [patients / "Brats_002"], tmp_path / "out")
    assert not list(tmp_path.rglob("names.csv"))


@pytest.mark.slow
def test_files_of_no_case_are_told_with_paths_alone(
    finished: RunResult, patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    data = Path(shutil.copytree(patients / "Brats_001", tmp_path / "data" / "Brats_001")).parent
    shutil.copyfile(data / "Brats_001" / "Brats_001_t1.nii.gz", data / "Jane.nii.gz")
    model = load_model(finished.folder, device="cpu")
    model = replace(model, manifest=model.manifest.model_copy(update={"ids": "identifying"}))
    monkeypatch.setattr("medseg.api.prediction.load_model", lambda *_, **__: model)
    words = ["predict", "latest", str(data), "-o", str(tmp_path / "out")]

    quiet, loud = CliRunner().invoke(app, words), CliRunner().invoke(app, [*words, "--show-paths"])

    assert quiet.exit_code == loud.exit_code == 0, quiet.output
    assert "Jane" not in quiet.output
    assert "--write-key-map FILE" in quiet.output
    assert "of no case: " in loud.output
    assert "Jane.nii.gz" in loud.output


@pytest.mark.parametrize("form", ["file", "link", "no folder", "out", "run"])
def test_a_place_that_is_taken_or_passed_on_is_refused_before_anything_is_read(
    form: str, tmp_path: Path
) -> None:
    path = tmp_path / "names.csv"
    out = tmp_path / "out"
    if form == "file":
        path.touch()
    elif form == "link":
        path.symlink_to(tmp_path / "nowhere")
    elif form == "no folder":
        path = tmp_path / "a" / "names.csv"
    elif form == "out":
        out = tmp_path
    else:
        (tmp_path / "run.json").touch()

    with pytest.raises(RunError, match=r"key map"):
        predict("no model", [tmp_path], out, key_map=path)


def test_a_file_that_appears_meanwhile_is_left_alone_and_half_a_map_is_removed(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    with pytest.raises(FileExistsError):
        write_key_map(tmp_path / "there", ["a"], [])
    assert (tmp_path / "there").read_text() == "x"

    def fail() -> None:
        raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        write_key_map(tmp_path / "half", ["a"], (fail() for _ in range(1)))  # type: ignore[misc]
    assert not (tmp_path / "half").exists()
    refuse_key_map(tmp_path / "new.csv", tmp_path / "elsewhere")


def test_the_names_of_a_data_set_are_listed_without_reading_it(
    workspace: Path, patients: Path, tmp_path: Path
) -> None:
    count, faults = write_case_map("brats2d", patients, tmp_path / "names.csv")
    said = CliRunner().invoke(app, ["data", "key-map", "brats2d", "again.csv", "--data", str(patients)])

    assert (count, faults) == (6, ())
    assert said.exit_code == 0, said.output
    assert rows(tmp_path / "names.csv") == rows(workspace / "again.csv")
    assert [row["case"] for row in rows(tmp_path / "names.csv")] == [f"Brats_00{n}" for n in range(1, 7)]
    with pytest.raises(DataError, match="there is no case to list"):
        write_case_map("brats2d", workspace, tmp_path / "none.csv")
    assert not (tmp_path / "none.csv").exists()


def test_a_row_whose_file_is_missing_is_in_the_map_too(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_picture(data / "a.png", np.zeros((8, 8), np.uint8))
    (data / "images.csv").write_text(
        "image,label,patient,role\na.png,no,p,\nb.png,yes,q,\n", encoding="utf-8"
    )

    count, faults = write_case_map("radiology", data, tmp_path / "names.csv", set=["manifest=image_table"])

    known = {row["id"]: row for row in rows(tmp_path / "names.csv")}
    assert count == 2
    assert {Path(name).stem for name in known} == {"a", "b"}
    missing = next(row for name, row in known.items() if Path(name).stem == "b")
    assert missing["source"] == ""
    assert any(fault.case == missing["case"] for fault in faults)


@pytest.mark.parametrize("mark", ["volumes.csv", "deidentification.csv", "model.json"])
def test_a_map_is_not_written_into_what_is_passed_on(tmp_path: Path, mark: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / mark).touch()
    (tmp_path / "medseg-runs").mkdir()
    for folder in ("out", "medseg-runs"):
        with pytest.raises(RunError, match="lies in a folder that is passed on"):
            write_case_map("radiology", tmp_path, tmp_path / folder / "names.csv")


def test_a_map_that_cannot_be_written_in_the_end_says_what_is_whole(tmp_path: Path) -> None:
    (tmp_path / "names.csv").touch()
    with pytest.raises(
        RunError, match=r"names\.csv, the key map, .* all else is\. .*: medseg data key-map PIPELINE"
    ):
        write_late(tmp_path / "names.csv", CASE_COLUMNS, [])
