"""Shows tracked runs in MLflow's own page, served to this machine alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Callable
from typing import IO

import psutil

from medseg.errors import RunError
from medseg.machine.installed import brought
from medseg.tracking.mlflow.address import artifact_location, masked, sqlite_path
from medseg.tracking.mlflow.page.view import VIEWS, start_of
from medseg.tracking.mlflow.quiet import quiet_environment
from medseg.tracking.mlflow.store import open_store

HOST = "127.0.0.1"
_APP = "medseg"
_CREDENTIALS = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
_PATIENCE = 120.0  # seconds: the first start makes the schema, on a slow disk


def ui_command(uri: str, port: int) -> list[str]:
    """Return the command of a server that shows the store at `uri` on 127.0.0.1.

    Args:
        uri: Address of a database; a password in it would be seen by other users in the list of processes,
            so the address itself travels in `ui_environment`.
        port: To listen on.

    Raises:
        RunError: `uri` is a server already, which has a page of its own; or medseg is not installed as it is.
    """
    if uri.startswith(("http://", "https://", "databricks")):
        raise RunError(f"{masked(uri)} is a tracking server with a page of its own: open that address.")
    if _APP not in brought("mlflow.app").names:  # an older installation of these sources, or none
        raise RunError(
            "MLflow does not find medseg's page, as if medseg were not installed. Install it again, in the folder of "
            "its sources: pip install -e ."
        )
    location = artifact_location(uri)
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--app-name", _APP),  # see app.py
        *("--host", HOST, "--port", str(port), "--workers", "1"),
        *("--allowed-hosts", f"{HOST}:{port},localhost:{port}"),
        *("--cors-allowed-origins", f"http://{HOST}:{port},http://localhost:{port}"),
        *(() if location is None else ("--artifacts-destination", location)),
    ]


def ui_environment(uri: str) -> dict[str, str]:
    """Return the server's environment: this process's, with the store's address and without telemetry."""
    environment = quiet_environment(os.environ)
    if sqlite_path(uri) is not None:  # a file asks for none, and what it names is not to get them
        environment = {
            name: value for name, value in environment.items() if not name.startswith(_CREDENTIALS)
        }
    return {
        **environment,
        "MLFLOW_BACKEND_STORE_URI": uri,
        "PYTHONSAFEPATH": "1",  # `-m` would look for MLflow in the working folder first
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # runners for language models, of no use here
    }


def serve_ui(
    uri: str,
    port: int = 5000,
    open_browser: bool = False,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page until Ctrl-C or until the server ends.

    Args:
        uri: Address of the tracking store.
        port: To listen on, at 127.0.0.1 alone.
        open_browser: Open the page once it answers.
        ready: Called with the page's address once it answers.

    Raises:
        RunError: The port is in use, `uri` has a page of its own, or the server fails.
        TrackingError: The store cannot be used.
    """
    command = ui_command(uri, port)
    _refuse_busy(port)
    with open_store(uri) as client:  # its server would make the database in place
        start = start_of(client)
    # uvicorn looks for modules in its working folder, whatever Python was told: it gets an empty one
    with tempfile.TemporaryFile() as complaints, tempfile.TemporaryDirectory(prefix="medseg-ui-") as empty:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            command,
            cwd=empty,
            env={**ui_environment(uri), VIEWS: json.dumps(start.views)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            start_new_session=os.name == "posix",  # Ctrl-C is ours to hear: the server is ended below, whole
        )
        try:
            if _answers(process, port):
                address = f"http://{HOST}:{port}{start.path}"
                if ready is not None:
                    ready(address)
                if open_browser:
                    webbrowser.open(address)
            process.wait()
        except KeyboardInterrupt:
            return
        finally:
            ended_itself = process.poll() is not None
            _end(process)
        if ended_itself and process.returncode != 0:
            raise RunError(f"The page of the tracked runs ended: {_last_line(complaints)}.")


def has_desktop() -> bool:
    """Whether a browser can show a page: a server without a screen may have one that takes the terminal."""
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


def _refuse_busy(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name == "posix":  # elsewhere this option would share the port instead of passing over TIME_WAIT
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            other = port + 1 if 1024 <= port < 65535 else 5001  # lower ones belong to the system
            raise RunError(
                f"Port {port} on {HOST} cannot be used ({error}). Choose another: medseg ui --port {other}"
            ) from error


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection((HOST, port), timeout=1.0).close()
        except OSError:
            time.sleep(0.2)
        else:
            return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, asking first."""
    try:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        if member.is_running():
            member.terminate()
    _, left = psutil.wait_procs(family, timeout=10)
    for member in left:
        member.kill()
    process.wait()


def _last_line(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    lines = complaints.read().decode("utf-8", "replace").strip().splitlines() or ["it gave no reason"]
    return masked(lines[-1])[:300].rstrip(".")
