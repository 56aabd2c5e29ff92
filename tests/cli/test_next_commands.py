"""What a run prints for what comes next works as it is printed, and what is said of a model is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medseg.api.result import RunResult
from medseg.cli.main import app
from medseg.cli.next_commands import compare_line, going_on, predict_line
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.options import RunOptions
from medseg.tracking.mlflow.address import default_uri

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
    pytest.mark.usefixtures("figureless"),
]

NETWORK = '''
from monai.networks.nets import UNet


class OwnNetwork(UNet):
    """A network of the user's own."""
'''


def medseg(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def result(folder: Path, **changes: Any) -> RunResult:
    return RunResult(folder.name, folder, "id", "sqlite:///x.db", False, False, **changes)


@pytest.mark.slow
def test_the_printed_prediction_works_for_a_model_of_a_package_that_was_allowed(
    workspace: Path, patients: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "ownnets.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(str(workspace))
    settings = (*tiny, "network._target_=ownnets.OwnNetwork", "steps.fit.epochs=1")
    sets = [word for setting in settings for word in ("--set", setting)]
    ran = medseg("pipeline", "run", "brats2d", "--data", patients, *sets, "--allow", "ownnets")
    assert ran.exit_code == 0, ran.output
    (printed,) = re.findall(r"^Predict: medseg (.*)$", ran.stdout, re.MULTILINE)
    case = {"INPUT": str(patients / "Brats_001"), "OUT": "out"}
    answer = medseg(*(case.get(word, word) for word in shlex.split(printed)))

    assert answer.exit_code == 0, answer.output
    (name,) = (path.name for path in (workspace / "medseg-runs").iterdir())
    latest = medseg("predict", "latest", case["INPUT"], "-o", "out2", "--allow", "ownnets")
    assert f"Model of the run {name}, pipeline brats2d." in latest.stdout


def test_a_run_of_another_folder_is_named_by_its_place(workspace: Path) -> None:
    here, there = Path("medseg-runs/x-1").absolute(), workspace.parent / "a b" / "medseg-runs" / "x-1"

    assert predict_line(result(here)) == "medseg predict x-1 INPUT -o OUT"
    assert shlex.split(predict_line(result(there)))[2] == str(there)


def test_runs_are_compared_where_they_are_tracked(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compare_line(default_uri(None)) == "medseg ui"
    other = f"sqlite:///{(workspace / 'other place.db').as_posix()}"
    assert shlex.split(compare_line(other)) == ["medseg", "ui", "--tracking-uri", other]
    assert compare_line("https://mlflow.example") == "open https://mlflow.example"
    assert "the whole address of" in compare_line("postgresql://***@host/runs")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@host/runs")
    assert compare_line("postgresql://***@host/runs") == "medseg ui"


def test_after_an_interruption_the_run_of_this_process_is_named_and_no_other(workspace: Path) -> None:
    assert going_on() == "Nothing was begun."
    older = RunFolder.create("older")
    older.write(State(older.path.name, "older", None, RunOptions.of(device="cpu"), status="KILLED"))
    assert going_on() == "Nothing was begun."
    mine = RunFolder.create("mine")
    mine.claim(State(mine.path.name, "mine", None, RunOptions.of(device="cpu"), status="KILLED"))
    assert going_on() == f"Go on with: medseg pipeline resume {mine.path.name}"


def test_an_interruption_before_a_run_began_offers_none(
    workspace: Path, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medseg.api.run_pipeline", interrupted)
    stopped = medseg("pipeline", "run", "brats2d", "--data", patients)

    assert stopped.exit_code == 130
    assert "Interrupted. Nothing was begun." in stopped.stderr


def test_the_page_of_runs_is_said_to_be_there_only_when_it_is(workspace: Path) -> None:
    refused = medseg("ui", "--tracking-uri", "https://mlflow.example")

    assert refused.exit_code == 2
    assert "127.0.0.1" not in refused.output
