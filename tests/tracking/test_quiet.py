from __future__ import annotations

import os
import subprocess
import sys

import pytest

from medseg.tracking.mlflow.quiet import quiet_environment


def test_telemetry_is_off_whatever_the_environment_says() -> None:
    loud = {"MLFLOW_DISABLE_TELEMETRY": "false", "DO_NOT_TRACK": "0", "_MLFLOW_TESTING_TELEMETRY": "true"}
    found = quiet_environment({**loud, "_MLFLOW_TELEMETRY_SESSION_ID": "1", "PATH": "/bin"})
    assert found["MLFLOW_DISABLE_TELEMETRY"] == found["DO_NOT_TRACK"] == "true"
    assert found["PATH"] == "/bin"
    assert not [name for name in found if name.startswith("_MLFLOW")]


def test_patience_that_the_user_has_set_is_kept() -> None:
    assert quiet_environment({})["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    chosen = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7", "MLFLOW_HTTP_REQUEST_TIMEOUT": "90"}
    assert quiet_environment(chosen).items() >= chosen.items()


def test_importing_the_trackers_imports_no_mlflow() -> None:
    script = (
        "import sys, medseg.tracking.mlflow, medseg.tracking.mlflow.recorder, medseg.tracking.mlflow.runs, "
        "medseg.tracking.mlflow.page.server, medseg.tracking.jsonl, medseg.tracking.fan_out; "
        "print({'mlflow', 'torch', 'pandas', 'requests'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "set()"


@pytest.mark.slow
def test_telemetry_that_the_caller_has_switched_on_before_is_put_away() -> None:
    script = (
        "import mlflow; from mlflow.telemetry import get_telemetry_client as client; before = client(); "
        "from medseg.tracking.mlflow.quiet import quiet_mlflow; quiet_mlflow(); print(before is not None, client())"
    )
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "SYSTEMROOT", "TMPDIR")}
    kept |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "https_proxy": "http://127.0.0.1:1"}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=kept, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["True", "None"]
