"""Every benchmark runs: small, as a file, in one process that has imported nothing of medseg before."""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

#: What a benchmark needs that is not installed with medseg.
NEEDS = {"fuzz_readers": "atheris"}
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


def lacks(script: Path) -> str:
    """The package that a benchmark needs, and that is not here; empty if it has all."""
    needed = NEEDS.get(script.stem, "")
    return needed if needed and importlib.util.find_spec(needed) is None else ""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, empty_tracking: Path) -> dict[str, list[str]]:
    """What each benchmark prints, and how it failed, if it did."""
    folder = tmp_path_factory.mktemp("benchmarks")
    shutil.copyfile(empty_tracking, folder / "mlflow.db")
    ready = [script for script in BENCHMARKS if not lacks(script)]
    command = [sys.executable, "-c", PROGRAM, *map(str, ready)]
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
    if missing := lacks(script):
        pytest.skip(f"{missing} is not installed: pip install {missing}")
    printed, failed = told[str(script)]

    assert not failed
    assert any(character.isdigit() for character in printed), "it prints what it measured"


def test_fuzzing_says_what_it_needs_where_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (script,) = (script for script in BENCHMARKS if script.stem == "fuzz_readers")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", [str(script), "--quick"])

    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")

    assert ended.value.code == 2
    assert "pip install atheris" in capsys.readouterr().err
