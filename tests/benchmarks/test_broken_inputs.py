"""The harness of broken inputs sees what a command must not do."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medseg.testing.broken import Broken

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "broken_inputs.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it forks, and reads /proc")


@pytest.fixture(scope="module")
def harness() -> Any:
    found = importlib.util.spec_from_file_location("broken_inputs", SCRIPT)
    assert found is not None
    assert found.loader is not None
    made = importlib.util.module_from_spec(found)
    sys.modules["broken_inputs"] = made  # where dataclasses look for their module
    found.loader.exec_module(made)
    return made


def fails() -> None:
    raise ZeroDivisionError


def grows() -> None:
    held = bytearray(b"x") * (100 << 20)
    sys.exit(held[0] * 0)


def prints() -> None:
    print("Error: one case is broken")
    sys.exit(2)


@pytest.mark.parametrize(
    ("does", "problem"),
    [
        (fails, "ended with code 97"),
        (lambda: os.kill(os.getpid(), signal.SIGUSR1), "ended with code -10"),
        (lambda: time.sleep(600), "went on for more than"),
        (lambda: sys.exit(2), "gives no reason"),
        (grows, "took 0.1"),
        (prints, ""),
    ],
    ids=["traceback", "crash", "hang", "silence", "growth", "a reason"],
)
def test_what_a_command_must_not_do_is_a_finding(
    harness: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: Callable[[], None], problem: str
) -> None:
    monkeypatch.setattr(harness, "_entry", lambda: lambda *_, **__: does())
    monkeypatch.setattr(harness, "SECONDS", 0.1 if problem.startswith("went on") else 60)
    monkeypatch.setattr(harness, "GROWTH", 50 << 20)
    tried = harness.command(["anything"], tmp_path)
    bench = harness.TableBench("csv", harness.WORLDS["csv"], tmp_path)
    each = Broken("a", "x", "", lambda _: None)

    found = list(harness.problems(bench, [each], {"check": tried}, tmp_path))

    assert [one for one in found if problem in one] if problem else not found
