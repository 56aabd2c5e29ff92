"""The list of runs, in a terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from medseg.cli.printing.run_tables import print_runs
from medseg.pipeline.options import RunOptions
from medseg.pipeline.study.part import Part


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"status": "FINI'])
def test_a_damaged_run_is_listed_beside_sound_ones(made_run, content: str) -> None:
    from medseg.api import runs

    made_run("sound", {})
    Path(made_run("spoilt", {}).path, "run.json").write_text(content)
    shown = io.StringIO()
    print_runs(Console(file=shown, width=80), runs(), "text")

    lines = {line.split()[0]: line.split()[1:] for line in shown.getvalue().splitlines() if line.split()}
    assert lines["spoilt"] == ["DAMAGED", "7", "-", "-"]  # the seed is that of its definition
    assert lines["sound"][0] != "DAMAGED"


def test_a_fold_is_told_from_the_others_of_its_name(made_run) -> None:
    from medseg.api import runs

    for fold in (1, 2):
        folder = made_run(f"run{fold}", {}, part_of=Part("emps-folds-x", fold))
        folder.write(replace(folder.read(), options=RunOptions.of(device="cpu", run_name="cv")))
    made_run("run3", {}, part_of=Part("emps-folds-y", 1))
    shown = io.StringIO()
    print_runs(Console(file=shown, width=100), runs(), "text")

    for name in ("run1 (cv-fold1)", "run2 (cv-fold2)", "run3 (fold1)"):
        assert name in shown.getvalue()


@pytest.mark.parametrize("mine", [True, False])
def test_what_a_run_that_is_alive_has_on_its_way_does_not_wait_for_anybody(made_run, mine: bool) -> None:
    from medseg.api import runs

    made_run("run", {})
    found = runs().assign(waiting=2, mine=mine)
    said = {}
    for status in ("RUNNING", "FAILED", "GONE"):
        shown = io.StringIO()
        print_runs(Console(file=shown, width=200), found.assign(status=status), "text")
        said[status] = "runs sync" in shown.getvalue() or "GONE or waiting" in shown.getvalue()

    assert said == {"RUNNING": False, "FAILED": True, "GONE": True}


@pytest.mark.parametrize("waiting", [0, 3])
def test_names_of_runs_stay_whole_in_a_narrow_terminal_whatever_the_data_are_called(waiting: int) -> None:
    file = io.StringIO()
    name = "radiology_cnn-20261130-161036-a43e"
    row = {
        "run": name,
        "name": "wider",
        "status": "FINISHED",
        "seed": 7,
        "val_score": 0.5,
        "mine": True,
        "leaks": "",
        "altered": False,
        "part": None,
    }
    found = pd.DataFrame([row | {"data": "432 of 435 generated", "waiting": waiting}])

    print_runs(Console(file=file, width=80 + 4 * bool(waiting)), found, "text")

    lines = file.getvalue().splitlines()
    assert any(line.strip().startswith(name) for line in lines)
    assert all(len(line) <= 84 for line in lines)
    assert ("waiting" in file.getvalue()) == bool(waiting)
