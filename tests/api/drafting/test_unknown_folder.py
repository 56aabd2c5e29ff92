"""From an unknown folder to the first epoch: two commands, and nothing that is edited."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import medseg
from medseg.cli.main import app
from medseg.errors import DataError, DefinitionError
from medseg.testing.layouts import patients, write_decathlon, write_nnunet, write_volume

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

SHAPE = (24, 28, 8)

#: What makes a draft learn within a second.
TINY = ("network.channels=[4,8]", "network.strides=[2]", "steps.fit.epochs=1", "steps.fit.pictures_every=0")


def said(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def of_other_voxels(folder: Path) -> Path:
    """A Decathlon data set with four channels in a file and other voxels in each."""
    write_decathlon(folder, cases=0)
    for number, (name, images, mask) in enumerate(patients(4, SHAPE)):
        affine = np.diag([0.8 + 0.1 * number, 0.8 + 0.1 * number, 3.0 + number, 1.0])
        write_volume(folder / "imagesTr" / f"{name}.nii.gz", images.transpose(1, 2, 3, 0), affine)
        write_volume(folder / "labelsTr" / f"{name}.nii.gz", mask, affine)
    said = '{"modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}, "labels": {"0": "background", '
    (folder / "dataset.json").write_text(said + '"1": "edema", "2": "non-enhancing", "3": "enhancing"}}')
    return folder


@pytest.mark.slow
def test_two_commands_lead_from_a_folder_to_a_model_that_answers(workspace: Path) -> None:
    """4-D files whose voxels differ: channels are taken from one file, and slices resampled in their plane."""
    data = of_other_voxels(workspace / "my data")
    new = said("pipeline", "new", "gliomas", "--data", data)
    assert new.exit_code == 0, new.output
    assert "spacing:" in Path("pipelines/gliomas.yaml").read_text()

    check, train = (
        shlex.split(line)
        for line in re.findall(
            r"^(?:See whether a run would begin|Train): medseg (.*)$", new.output, re.MULTILINE
        )
    )
    checked = said(*check)
    assert checked.exit_code == 0, checked.output
    assert "a run would begin" in checked.output
    done = said(*train, *(word for setting in TINY for word in ("--set", setting)))
    assert done.exit_code == 0, done.output

    (ask,) = re.findall(r"^Predict: medseg (.*)$", done.output, re.MULTILINE)
    one = data / "imagesTr" / "case_001.nii.gz"
    answer = said(*({"INPUT": str(one), "OUT": "said"}.get(word, word) for word in shlex.split(ask)))
    assert answer.exit_code == 0, answer.output
    assert list((workspace / "said").glob("*.nii.gz"))


def test_drafts_are_found_by_their_name_and_not_overwritten_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_nnunet(tmp_path / "data", cases=3, shape=SHAPE)
    monkeypatch.chdir(tmp_path)

    made = medseg.new_pipeline("mine", data)
    assert made.definition == Path("pipelines/mine.yaml")
    assert medseg.load_pipeline("mine").manifest == "mine"
    assert medseg.Manifest.named("mine").channels == ("flair",)

    made.definition.write_text("changed")
    with pytest.raises(DefinitionError, match="--force"):
        medseg.new_pipeline("mine", data)
    assert made.definition.read_text() == "changed"
    medseg.new_pipeline("mine", data, force=True)
    assert medseg.load_pipeline("mine").name == "mine"


def test_where_nothing_can_be_learned_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()

    with pytest.raises(DataError, match="no layout was recognised"):
        medseg.new_pipeline("mine", tmp_path / "data")

    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_scan_shows_patterns_and_what_belongs_to_nothing_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_nnunet(tmp_path / "data", cases=3, shape=SHAPE)
    (data / "odd.nii.gz").write_text("x")
    (data / "imagesTr" / "case_002_0000.nii.gz").write_bytes(b"")
    monkeypatch.chdir(tmp_path)

    done = said("data", "scan", "data", "--jobs", 1)

    assert done.exit_code == 0, done.output
    for words in (
        "Layout: nnU-Net raw data (sure)",
        "images: imagesTr/{case}_{channel}.nii*",
        "Cases: 3 of 3 patients",
        "1 case: the file is empty",
        "1 oedema:",
        "odd.nii.gz",
        "medseg pipeline new NAME --data data",
    ):
        assert words in done.output
    assert "case_001" not in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_cases_that_lack_a_file_are_told_and_the_next_commands_leave_them_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_nnunet(tmp_path / "data", cases=3, shape=SHAPE)
    (data / "labelsTr" / "case_002.nii.gz").unlink()
    monkeypatch.chdir(tmp_path)

    done = said("pipeline", "new", "mine", "--data", "data", "--jobs", 1)

    assert done.exit_code == 0, done.output
    assert "the file is missing" in done.output
    assert "Train: medseg pipeline run mine --data data --skip-bad" in done.output
    assert "Patients: 2. Training, validation and test need one each" in done.output


@pytest.mark.parametrize(
    "words", [("data", "scan", "absent"), ("pipeline", "new", "mine", "--data", "absent")]
)
def test_a_folder_that_is_not_there_can_be_mended(words: tuple[str, ...]) -> None:
    done = said(*words)

    assert done.exit_code == 2
    assert "no such folder" in done.output
