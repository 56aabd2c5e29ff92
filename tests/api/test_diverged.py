"""What is told of a run that going on would end as it did."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import medseg
from medseg.api import load_model
from medseg.api.finding import find_run_folder, unfinished
from medseg.api.opening import open_pipeline
from medseg.cli.main import app
from medseg.errors import ModelError, OtherSettingsError, RunError, ShortOfMemoryError, TrainingError
from medseg.pipeline.declaration.anew import needed
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.options import RunOptions
from medseg.pipeline.study.part import Part
from medseg.steps import fit as fit_step

LEARNS = {"fit": {"optimiser": {"lr": 0.001}}, "evaluate": {"role": "test"}}


@pytest.mark.slow
@pytest.mark.usefixtures("monai_imported", "figureless")
def test_a_training_that_diverged_is_begun_anew_by_the_command_that_is_told(
    particles: Path, tiny_emps: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OtherSettingsError, match=r"loss became|NaN or infinity"):
        medseg.run_pipeline(
            "emps", particles, set=[*tiny_emps, "steps.fit.optimiser.lr=1e30"], device="cpu", jobs=1
        )

    folder = find_run_folder("latest")
    state = folder.read()
    assert (state.status, state.mine) == ("FAILED", True)
    told = folder.way_on(state)
    assert "pipeline resume" not in told
    command = shlex.split(told[told.index("medseg pipeline run") :])
    assert command[4:] == ["--set", "steps.fit.optimiser.lr=1e+29", "--data", "FOLDER"]
    definition = open_pipeline(command[3], assignments=[command[5]]).definition
    assert definition.steps["fit"]["optimiser"]["lr"] == 1e29

    shown = CliRunner().invoke(app, ["runs", "show", "latest"], env={"COLUMNS": "300"})
    assert told in shown.output
    for ask in (unfinished, lambda: load_model(folder.path)):
        with pytest.raises(RunError, match="Begin a new run") as caught:
            ask()
        assert "Go on with it" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "done", "steps", "expected"),
    [
        (OtherSettingsError("nan"), [], LEARNS, "steps.fit.optimiser.lr=0.0001"),
        (OtherSettingsError("nan"), ["fit"], LEARNS, "steps.fit.optimiser.lr=0.0001"),  # when it is scored
        (OtherSettingsError("none", setting="best_by=score"), [], LEARNS, "steps.fit.best_by=score"),
        (OtherSettingsError("nan"), ["model"], {"model": {}, "evaluate": {}}, ""),  # it learned elsewhere
        (TrainingError("a process ended"), [], LEARNS, ""),
        (ShortOfMemoryError("full", setting="loading.batch_size=4"), [], LEARNS, "loading.batch_size=4"),
        (ShortOfMemoryError("full"), [], LEARNS, ""),  # not even one slice fits
    ],
)
def test_what_a_new_run_is_to_set(error: Exception, done: list[str], steps: dict, expected: str) -> None:
    assert needed(error, steps, done) == expected


def test_other_settings_are_an_error_of_trainings_and_of_models() -> None:
    assert isinstance(OtherSettingsError(""), TrainingError)
    assert isinstance(OtherSettingsError(""), ModelError)


def test_a_part_that_diverged_tells_to_start_all_parts_again(tmp_path: Path) -> None:
    options, said = RunOptions.of(device="cpu", allow=("own",)), "steps.fit.optimiser.lr=0.1"
    part = State("a", "emps", None, options, anew=said, part_of=Part("emps-folds-x", 2))
    told: Callable[[State], str] = RunFolder(tmp_path / "a").way_on
    assert "Start emps-folds-x again with other settings, such as --set steps.fit.optimiser.lr=0.1" in told(
        part
    )
    assert told(State("a", "emps", None, options)).endswith("a --allow own")
    assert State.of(part.content()) == part


@pytest.mark.slow
@pytest.mark.usefixtures("monai_imported", "figureless")
def test_a_training_that_lacked_memory_is_gone_on_with_where_more_is_free_or_begun_anew(
    particles: Path, tiny_emps: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refuse = fit_step.refuse_too_large
    with monkeypatch.context() as crowded:
        crowded.setattr(fit_step, "refuse_too_large", lambda n, b, d, _: refuse(n, b, d, n.of(b) - 1))
        with pytest.raises(ShortOfMemoryError, match=r"Set loading\.batch_size=\d or less"):
            medseg.run_pipeline("emps", particles, set=tiny_emps, device="cpu", jobs=1)

    folder = find_run_folder("latest")
    told = folder.way_on(folder.read())
    assert told.startswith(
        f"Where more memory is free, go on: medseg pipeline resume {folder.called}. Else begin a new run"
    )
    command = shlex.split(told[told.index("medseg pipeline run") :])
    assert open_pipeline(command[3], assignments=[command[5]]).definition.loading.batch_size < 4
    medseg.resume_pipeline(device="cpu", jobs=1)
    assert folder.read().status == "FINISHED"
