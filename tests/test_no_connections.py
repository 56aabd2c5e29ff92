"""No connection leaves the machine in a whole run and a prediction."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ipaddress, socket, sys

met = []

def outside(host):
    if host in (None, "", b"", "localhost", b"localhost", socket.gethostname()):
        return False
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return not ipaddress.ip_address(text.split("%")[0]).is_loopback
    except ValueError:
        return True

def guard(host):
    if outside(host):
        met.append(host)
        raise OSError(f"a connection to {host} was tried")

def guarded(call):
    def wrapped(self, address, *rest):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            guard(address[0])
        return call(self, address, *rest)
    return wrapped

for name in ("connect", "connect_ex"):
    setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
look_up = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    guard(host)
    return look_up(host, *rest, **more)
socket.getaddrinfo = getaddrinfo

if sys.argv[1] == "prove the guard":
    import urllib.request
    try:
        urllib.request.urlopen("https://example.org", timeout=2)
    except OSError:
        pass
    sys.exit(0 if met == ["example.org"] else 3)

from medseg.cli.main import app

data, out, *settings = sys.argv[1:]
words = [part for each in settings for part in ("--set", each)]
for command in (
    ["pipeline", "run", "brats2d", "--data", data, "--device", "cpu", *words],
    ["predict", "latest", data, "-o", out],
):
    try:
        app(command)
    except SystemExit as ended:
        assert not ended.code, ended.code
import atexit
atexit.register(lambda: met and sys.stderr.write(f"CONNECTIONS {met}"))
sys.exit(4 if met else 0)
"""


def test_the_guard_catches_a_connection() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "prove the guard"], check=False, timeout=60)

    assert done.returncode == 0


@pytest.mark.slow
def test_a_run_and_a_prediction_open_no_connection(
    workspace: Path, patients: Path, tiny: tuple[str, ...]
) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DO_NOT_TRACK"))
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(patients), "out", *tiny, "steps.fit.epochs=1"],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    assert "CONNECTIONS" not in done.stderr
    assert (workspace / "out" / "volumes.csv").exists()
