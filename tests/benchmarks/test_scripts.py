"""Every benchmark runs: small, as a file, in one process that has imported nothing of medseg before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).resolve().parents[2] / "benchmarks").glob("*.py"))

#: One after the other, since most of the time of each is importing torch and MONAI.
PROGRAM = """
import contextlib, io, json, runpy, sys, traceback

_, *scripts = sys.argv
told = {}
for script in scripts:
    sys.argv = [script, "--quick"]
    printed, failed = io.StringIO(), ""
    with contextlib.redirect_stdout(printed):
        try:
            runpy.run_path(script, run_name="__main__")
        except BaseException:
            failed = traceback.format_exc()
    told[script] = [printed.getvalue(), failed]
with open("told.json", "w") as file:
    json.dump(told, file)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, empty_tracking: Path) -> dict[str, list[str]]:
    """What each benchmark prints, and how it failed, if it did."""
    folder = tmp_path_factory.mktemp("benchmarks")
    shutil.copyfile(empty_tracking, folder / "mlflow.db")
    command = [sys.executable, "-c", PROGRAM, *map(str, BENCHMARKS)]
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{(folder / 'mlflow.db').as_posix()}"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | store,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads((folder / "told.json").read_text())
    for script, (printed, failed) in found.items():
        found[script] = [
            printed + done.stdout,
            failed and failed + done.stderr,
        ]  # of processes that it starts
    return found


@pytest.mark.slow
@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda script: script.stem)
def test_a_benchmark_runs_with_quick(script: Path, told: dict[str, list[str]]) -> None:
    printed, failed = told[str(script)]

    assert not failed
    assert any(character.isdigit() for character in printed), "it prints what it measured"
