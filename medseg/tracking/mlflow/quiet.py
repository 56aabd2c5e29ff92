"""Keeps MLflow from calling home and from talking: before it is imported, and in the servers we start."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Mapping

# `MLFLOW_DISABLE_TELEMETRY` and `DO_NOT_TRACK` (which must read "true", not "1") are what
# mlflow/telemetry/utils.py:is_telemetry_disabled asks, in the client, in the server and in the handler that
# tells the browser whether the page may report.
_ALWAYS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_PRINT_MODEL_URLS_ON_CREATION": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # of a run that ends, in the midst of a table
    # A redirect leads to an address that nobody gave: to a login page, which answers 200 to a file and keeps nothing.
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
}
# These would switch it on again, or pass an open session on to a child.
_NEVER = ("_MLFLOW_TESTING_TELEMETRY", "_MLFLOW_TELEMETRY_SESSION_ID", "_MLFLOW_TELEMETRY_LOGGING")
# MLflow's own defaults wait four minutes for a dead server; a training must not. The user's values win.
_UNLESS_SET = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
# What these report reaches the person through the recorder, once and in one sentence.
_SILENCED = {
    "mlflow": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,
    "mlflow.utils.environment": logging.ERROR,
    "mlflow.utils.requirements_utils": logging.ERROR,  # compares versions of an installed medseg
    "alembic": logging.WARNING,
    "urllib3.connectionpool": logging.ERROR,
}


def quiet_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environment` in which MLflow reports to nobody and gives up early.

    Args:
        environment: Variables by name, such as `os.environ`.
    """
    kept = {name: value for name, value in environment.items() if name not in _NEVER}
    return {**_UNLESS_SET, **kept, **_ALWAYS}


def quiet_mlflow() -> None:
    """Switch off MLflow's telemetry and noise in this process; to be called before MLflow is imported.

    The variables are set in `os.environ`, so that processes started later inherit them. Where the caller has
    imported MLflow already, its telemetry client is put away as well.
    """
    expected = quiet_environment(os.environ)
    for name in _NEVER:
        os.environ.pop(name, None)
    os.environ.update(expected)
    # MLflow warns of its own type hints, its own use of SQLAlchemy, and of examples that nobody asked for.
    warnings.filterwarnings("ignore", module=r"(mlflow|alembic)(\.|$)")
    for name, level in _SILENCED.items():
        logging.getLogger(name).setLevel(level)
    if "mlflow.telemetry" in sys.modules:
        sys.modules["mlflow.telemetry"].set_telemetry_client()
