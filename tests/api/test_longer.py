"""A run that goes on with `set` ends as if it had begun so; what it cannot honour any more is refused."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medseg.api import RunResult, resume_pipeline, run_pipeline
from medseg.cli.main import app
from medseg.errors import DefinitionError, RunError
from medseg.learning.training.checkpoint import Checkpoints
from medseg.pipeline.folder import RUNS, RunFolder
from medseg.pipeline.study.part import Part
from medseg.tracking.mlflow.store import open_store
from medseg.yaml import read_yaml

pytestmark = pytest.mark.usefixtures("figureless")

Copied = Callable[[RunResult], RunFolder]


@pytest.fixture
def copied(workspace: Path) -> Copied:
    """Copy a run that has ended, with its tracking database, into the working folder."""

    def copy(result: RunResult) -> RunFolder:
        shutil.copyfile(result.folder.parents[1] / "mlflow.db", workspace / "mlflow.db")
        folder = RunFolder(RUNS / result.name)
        shutil.copytree(result.folder, folder.path)
        uri = f"sqlite:///{(workspace / 'mlflow.db').as_posix()}"
        folder.write(replace(folder.read(), tracking_uri=uri))
        return folder

    return copy


@pytest.mark.slow
def test_a_finished_run_that_is_trained_for_longer_is_the_run_that_was_so_from_the_start(
    copied: Copied, classified: RunResult, sorted_pictures: Path, tiny_radiology: tuple[str, ...]
) -> None:
    folder = copied(classified)
    words = ["pipeline", "resume", classified.name, "--set", "steps.fit.epochs=6", "--jobs", "1"]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    sets = [*tiny_radiology, "steps.fit.epochs=6"]
    whole = run_pipeline("radiology_cnn", sorted_pictures, set=sets, device="cpu", jobs=1)

    for name in (
        "model/weights.safetensors",
        "scores/test.csv",
        "scores/test_summary.csv",
        "definition.yaml",
    ):
        assert (folder.path / name).read_bytes() == (whole.folder / name).read_bytes(), name
    made = folder.read().made
    assert {made[name][0] for name in made if name.startswith("scores/")} == {"evaluate"}
    assert "Changed since it began: steps.fit.epochs=6" in told.output
    state = folder.read()
    assert state.mine
    assert (state.status, state.done) == ("FINISHED", ("fit", "evaluate"))
    assert state.declared == folder.declaration()
    with open_store(state.tracking_uri) as client:
        run = client.get_run(classified.run_id)
        epochs = [each.step for each in client.get_metric_history(classified.run_id, "epoch/train/loss")]
    assert run.data.tags["resumed.set"] == "steps.fit.epochs=6"
    assert run.info.status == "FINISHED"
    assert epochs == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("steps.fit.epochs=3", "steps.fit.epochs is 3, and 4 are trained already: expected 4 or more."),
        ("steps.fit.patience=2", "steps.fit.patience is 2, expected null"),
        ("steps.fit.optimiser.lr=0.1", "steps.fit.optimiser.lr of the run .* cannot change any more"),
        ("steps.evaluate.beta=0.5", "steps.evaluate.beta of the run .* cannot change any more"),
        ("seed=3", "seed of the run .* cannot change any more"),
        ("network={_target_: medseg.learning.networks.TutorialCNN}", "network.* cannot change any more"),
        ("loading.workers=0", "is finished, and --set changes nothing that is done again"),
    ],
)
def test_what_a_finished_run_cannot_honour_is_refused_and_it_stays_as_it_was(
    change: str, said: str, copied: Copied, classified: RunResult
) -> None:
    folder = copied(classified)
    before = {name: (folder.path / name).read_bytes() for name in ("definition.yaml", "steps/fit/last.pt")}
    with pytest.raises(RunError, match=said) as refused:
        resume_pipeline(classified.name, set=[change], jobs=1)

    assert {name: (folder.path / name).read_bytes() for name in before} == before
    state = folder.read()
    assert (state.status, state.done, state.changed) == ("FINISHED", ("fit", "evaluate"), ())
    _, offered, words = str(refused.value).partition("Begin a new run: medseg pipeline run ")
    if offered:
        shown = CliRunner().invoke(
            app, ["pipeline", "show", *shlex.split(words.removesuffix(" --data FOLDER"))]
        )
        assert shown.exit_code == 0, shown.output


@pytest.mark.slow
def test_a_schedule_that_is_as_long_as_the_training_is_made_anew_and_that_is_said_everywhere(
    copied: Copied, finished: RunResult
) -> None:
    folder = copied(finished)
    words = ["pipeline", "resume", finished.name, "--set", "steps.fit.epochs=3", "--jobs", "1"]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    state = folder.read()
    with open_store(state.tracking_uri) as client:
        tags = client.get_run(finished.run_id).data.tags
        rates = [
            each.value for each in client.get_metric_history(finished.run_id, "epoch/work/learning_rate")
        ]

    assert tags["fit.learning_rate"].endswith("not that of a training of 3 epochs from the start.")
    assert f"goes on from 1e-05 to {rates[2]:.3g}" in tags["fit.learning_rate"]
    assert rates[2] > 1e-5
    said = " ".join(told.output.split())
    assert said.count(tags["fit.learning_rate"]) == 2  # where the training goes on, and at the end
    assert RunResult.verdicts(replace(finished, folder=folder.path))["fit"]["courses"] in said


def test_a_length_that_nobody_noted_is_refused_with_a_command_that_works(
    copied: Copied, finished: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(finished)
    known = Checkpoints.standing
    monkeypatch.setattr(Checkpoints, "standing", lambda self: replace(known(self), planned=0))
    with pytest.raises(RunError, match="an earlier medseg did not note") as refused:
        resume_pipeline(str(folder.path), set=["steps.fit.epochs=3"], jobs=1)
    assert folder.read().status == "FINISHED"
    _, _, words = str(refused.value).partition("Begin a new run: medseg pipeline run ")
    shown = CliRunner().invoke(app, ["pipeline", "show", *shlex.split(words.removesuffix(" --data FOLDER"))])
    assert shown.exit_code == 0, shown.output


@pytest.mark.slow
def test_steps_that_have_not_begun_may_change_and_a_fold_may_not(
    killed: RunFolder,
) -> None:
    with pytest.raises(DefinitionError, match="epoch"):
        resume_pipeline(str(killed.path), set=["steps.fitt.epochs=3"])
    state = killed.write(replace(killed.read(), part_of=Part("some-folds", 1)))
    with pytest.raises(RunError, match="a fold of some-folds, whose folds are all alike"):
        resume_pipeline(str(killed.path), set=["loading.workers=0"])
    killed.write(replace(state, part_of=None))
    result = resume_pipeline(str(killed.path), set=["loading.workers=0", "steps.evaluate.role=val"])

    assert result.changed() == {"loading.workers": 0, "steps.evaluate.role": "val"}
    assert (killed.path / "scores" / "val.csv").exists()
    assert read_yaml(killed.path / "definition.yaml")["steps"]["evaluate"]["role"] == "val"
    assert killed.read().done == ("fit", "evaluate")
