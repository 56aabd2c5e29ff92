"""Runs that are tracked in a database of their own, as `medseg runs` finds them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from medseg.pipeline.folder import RunFolder

TrackedRun = Callable[..., RunFolder]


@pytest.fixture
def uri(tmp_path: Path, empty_tracking: Path) -> str:
    """Give the address of a tracking database without runs, in the working folder of `made_run`."""
    (tmp_path / "work").mkdir(exist_ok=True)
    shutil.copyfile(empty_tracking, tmp_path / "work" / "mlflow.db")
    return f"sqlite:///{(tmp_path / 'work' / 'mlflow.db').as_posix()}"


@pytest.fixture
def tracked_run(
    uri: str, made_run: Callable[..., RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrackedRun:
    """Make a finished run whose MLflow run is in that database, still RUNNING there."""
    from medseg.tracking.mlflow.recorder import MlflowRecorder

    monkeypatch.chdir(tmp_path / "work")

    def make(name: str, table: pd.DataFrame | None = None, **state: object) -> RunFolder:
        folder = Path("medseg-runs") / name
        recorder = MlflowRecorder.start(uri, experiment="brats2d", name=name, folder=folder, system=False)
        made: RunFolder = made_run(
            name,
            {} if table is None else {"": table},
            **{"tracked": recorder.run_id, "tracking_uri": uri, **state},
        )
        return made

    return make
