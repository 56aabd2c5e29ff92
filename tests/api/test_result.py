"""What a result reads from its folder, which somebody else may have made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medseg.api.result import RunResult
from medseg.errors import RunError

BRATS = Path(__file__).resolve().parents[2] / "pipelines" / "brats2d.yaml"


@pytest.mark.parametrize("kept", ["5", "[]", "{}", '{"kind": 1, "text": "a", "next_step": "b"}'])
def test_a_verdict_that_is_none_is_refused(tmp_path: Path, kept: str) -> None:
    shutil.copy(BRATS, tmp_path / "definition.yaml")
    (tmp_path / "steps" / "fit").mkdir(parents=True)
    (tmp_path / "steps" / "fit" / "verdict.json").write_text(kept)
    result = RunResult("a-run", tmp_path, "", "", True, False)

    with pytest.raises(RunError, match=r"verdict\.json of the run .*is damaged"):
        result.verdicts()
