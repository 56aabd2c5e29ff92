"""Who works on medseg all day runs the tests that are not marked `slow`: the mark must tell the truth."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST = "MEDSEG_LONGEST_TEST"

TESTS = """
import time
import pytest

@pytest.fixture
def own():
    time.sleep(0.6)

@pytest.fixture(scope="module")
def for_all():
    time.sleep(0.6)

def test_quick(): pass
def test_of_a_long_fixture_for_all(for_all): pass
def test_long(): time.sleep(0.6)
def test_of_a_long_fixture(own): pass

@pytest.mark.slow
def test_marked(own): time.sleep(0.6)
"""


def run(folder: Path, *words: str, longest: str | None) -> subprocess.CompletedProcess[str]:
    """Run `TESTS` with the configuration and the fixtures of all tests."""
    shutil.copyfile(ROOT / "tests" / "conftest.py", folder / "conftest.py")
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    (folder / "test_them.py").write_text(TESTS)
    environment = {name: value for name, value in os.environ.items() if name != LONGEST}
    environment |= {} if longest is None else {LONGEST: longest}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "test_them.py", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_long_test_without_the_mark_fails_where_a_longest_time_is_set(tmp_path: Path) -> None:
    done = run(tmp_path, longest="0.5")

    assert done.returncode == 1, done.stdout + done.stderr
    failed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED")}
    assert failed == {"test_them.py::test_long", "test_them.py::test_of_a_long_fixture"}
    assert "make it quicker, or mark it slow" in done.stdout


@pytest.mark.slow
def test_by_default_nobody_looks_at_the_clock_and_slow_tests_can_be_left_out(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "not slow", longest=None)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed, 1 deselected" in done.stdout


@pytest.mark.parametrize("text", ["CONTRIBUTING.md", "pyproject.toml"])
def test_the_mark_is_told_of(text: str) -> None:
    assert "not slow" in (ROOT / text).read_text(encoding="utf-8")
