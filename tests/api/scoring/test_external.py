"""A saved model is scored on data that it has not learned from, as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import medseg
from medseg.api.result import RunResult
from medseg.api.scoring.learned import learned_by
from medseg.cli.main import app
from medseg.errors import DataError, DefinitionError
from medseg.pipeline.options import RunOptions
from medseg.progress import Silent
from medseg.testing.cases import write_brats
from medseg.testing.pictures import write_emps
from medseg.yaml import read_yaml

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
    pytest.mark.usefixtures("undrawn"),
]


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients whom no run of the tests has seen."""
    folder = tmp_path_factory.mktemp("others")
    write_brats(folder, cases=2, seed=99)
    for each in list(folder.iterdir()):
        each.rename(folder / each.name.replace("Brats", "Other"))
        for path in list((folder / each.name.replace("Brats", "Other")).iterdir()):
            path.rename(path.with_name(path.name.replace("Brats", "Other")))
    return folder


@pytest.fixture(scope="module")
def scored(finished: RunResult, others: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("scored"))
        return medseg.evaluate(
            finished.folder, others, device="cpu", jobs=1, run_name="at the other hospital"
        )


@pytest.mark.slow
def test_every_case_is_scored_by_what_predict_gives(
    finished: RunResult, scored: RunResult, others: Path, tmp_path: Path
) -> None:
    table = scored.scores().set_index(["case", "name"])
    predictor = finished.predictor
    stored = {name: value for value, name in predictor.manifest.label_values.items()}

    done = medseg.predict(finished.folder, [others], tmp_path, device="cpu")

    assert sorted(each.case for each in done.cases) == sorted(set(table.index.get_level_values("case")))
    for each in done.cases:
        said = np.asarray(nib.load(each.path).dataobj)
        (path,) = (others / each.case).glob("*seg*")
        truth = np.asarray(nib.load(path).dataobj)
        for name in ("oedema", "enhancing"):
            one, other = said == stored[name], truth == stored[name]
            dice = 2 * (one & other).sum() / (one.sum() + other.sum())
            assert table.loc[(each.case, name), "dice"] == pytest.approx(dice)


@pytest.mark.slow
def test_nothing_is_learned_and_the_weights_are_those_of_the_model(
    finished: RunResult, scored: RunResult
) -> None:
    ours, theirs = (each.folder / "model" / "weights.safetensors" for each in (scored, finished))

    assert ours.read_bytes() == theirs.read_bytes()
    split = json.loads((scored.folder / "split.json").read_text())
    assert (split["train"], split["val"], len(split["test"])) == ([], [], 2)
    assert not (scored.folder / "steps" / "fit").exists()


@pytest.mark.slow
def test_the_run_lies_below_the_pipeline_of_the_model_and_names_its_run(
    finished: RunResult, scored: RunResult
) -> None:
    tags = json.loads((scored.folder / "tags.json").read_text())

    assert tags["model.run"] == finished.name
    assert learned_by(scored.folder / "model").gap == f"not known of {finished.name}"  # which lies elsewhere
    assert scored.name.startswith("brats2d-")
    declared = read_yaml(scored.folder / "definition.yaml")
    before = read_yaml(finished.folder / "definition.yaml")["steps"]["evaluate"]
    assert declared["steps"]["evaluate"] == {**before, "role": "test"}
    tracked = (scored.folder / "tracked" / "definition.yaml").read_text()
    assert str(finished.folder) not in tracked


@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on_when_the_model_is_gone(
    finished: RunResult, others: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shutil.copytree(finished.folder / "model", workspace / "model")

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("medseg.steps.evaluate.Evaluate.__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            medseg.evaluate(model, others, device="cpu", jobs=1)
    shutil.rmtree(model)

    done = medseg.resume_pipeline(device="cpu")

    assert done.scores()["case"].nunique() == 2


def test_cases_that_the_model_has_learned_from_are_refused(
    finished: RunResult, patients: Path, workspace: Path
) -> None:
    with pytest.raises(
        DataError, match=r"\d of these \d cases have the name, or the patient.*--allow-learned"
    ):
        medseg.evaluate(finished.folder, patients, device="cpu", jobs=1)
    assert not list(workspace.glob("medseg-runs/*"))


@pytest.mark.slow
def test_slices_of_another_make_than_those_of_training_are_refused(
    finished: RunResult, others: Path, workspace: Path
) -> None:
    with pytest.raises(
        DefinitionError, match=r"slices with fit pad, and the definition has resize.*slices\.fit"
    ):
        medseg.evaluate(finished.folder, others, set=["slices.fit=resize"], device="cpu", jobs=1)


def test_a_copy_of_the_model_is_known_by_its_run_in_the_working_folder(
    finished: RunResult, patients: Path, workspace: Path
) -> None:
    model = shutil.copytree(finished.folder / "model", workspace / "copied")
    shutil.copytree(finished.folder, workspace / "medseg-runs" / finished.name)

    with pytest.raises(DataError, match=r"cases have the name, or the patient.*--allow-learned"):
        medseg.evaluate(model, patients, device="cpu", jobs=1)


def test_where_it_is_not_known_that_is_said_and_kept(
    finished: RunResult, patients: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Begun(Exception):  # noqa: N818
        pass

    class Heard(Silent):
        def say(self, text: str, *, loud: bool = False) -> None:
            said.append((text, loud))

    said: list[tuple[str, bool]] = []

    def begin(*known: Any) -> None:
        raise Begun(known)

    model = shutil.copytree(finished.folder / "model", workspace / "copied")
    monkeypatch.setattr("medseg.api.scoring.external.Conductor", begin)
    with pytest.raises(Begun) as caught:
        medseg.evaluate(model, patients, device="cpu", tags=["site=north"], progress=Heard())

    (known,) = caught.value.args
    tags = next(each for each in known if isinstance(each, RunOptions)).own_tags()
    assert tags == {"site": "north", "model.learned_from": f"not known of {finished.name}"}
    ((text, loud),) = said
    assert text.startswith(f"WHAT THE MODEL HAS LEARNED FROM is not known of {finished.name}: ")
    assert loud


def test_data_of_other_classes_are_refused(finished: RunResult, tmp_path: Path, workspace: Path) -> None:
    write_emps(tmp_path / "pictures", cases=2, size=(40, 56))

    with pytest.raises(DefinitionError, match=r"has the classes .*, the model has"):
        medseg.evaluate(finished.folder, tmp_path / "pictures", manifest="emps", device="cpu")


@pytest.mark.slow
def test_the_command_scores_pictures_and_ends_with_their_table(
    pictured: RunResult, tmp_path: Path, workspace: Path
) -> None:
    write_emps(tmp_path / "new", cases=2, size=(40, 56), seed=50)
    for path in sorted((tmp_path / "new").rglob("*.png")):
        path.rename(path.with_name(f"new_{path.name}"))

    done = CliRunner().invoke(
        app, ["evaluate", str(pictured.folder), "--data", str(tmp_path / "new"), "--device", "cpu"]
    )

    assert done.exit_code == 0, done.output
    assert "nothing is learned" in done.output
    threshold = read_yaml(next(workspace.glob("medseg-runs/*/definition.yaml")))["task"]["threshold"]
    assert threshold == pictured.predictor.task.threshold
    (table,) = workspace.glob("medseg-runs/*/scores/test.csv")
    assert pd.read_csv(table)["case"].nunique() == 2
