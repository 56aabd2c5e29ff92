"""The script of the documentation runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import medseg.readers
import medseg.transforms

if TYPE_CHECKING:
    from medseg.api import RunResult

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "research-scripts.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_script_of_the_page_runs_as_a_file(finished: RunResult, patients: Path, tmp_path: Path) -> None:
    (script,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "research.py").write_text(script, encoding="utf-8")
    folders = sorted(patients.iterdir())[:2]

    command = [sys.executable, "research.py", finished.folder / "model", *folders]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=500)

    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[0] == "one channel: (24, 28, 12) voxels of [1.0, 1.0, 1.0] mm"
    assert [line.split(":")[0] for line in told[1:3]] == ["epoch 1", "epoch 2"]
    assert "of 12 slices" in told[2]
    assert told[3] == "on the grid of the file: True"
    assert told[4].startswith("as predict says: True")


def test_the_page_names_every_transform_and_reader() -> None:
    for name in (*medseg.transforms.__all__, *medseg.readers.__all__):
        assert f"`{name}`" in PAGE or f".{name}`" in PAGE, name
