"""The documentation site is whole, and the reference of the command line is that of the program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WRITE = [sys.executable, "-m", "typer", "medseg.cli.main", "utils", "docs", "--name", "medseg"]


@pytest.mark.slow
def test_the_reference_of_the_command_line_is_that_of_the_program() -> None:
    done = subprocess.run(WRITE, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)

    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written.strip() == done.stdout.strip(), (
        "write it anew: python -m typer medseg.cli.main utils docs --name medseg --output docs/cli.md"
    )


def test_every_decision_is_listed() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    listed = (ROOT / "docs" / "decisions" / "index.md").read_text(encoding="utf-8")

    for page in pages:
        title = page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        assert f"[{title}]({page.name})" in listed


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-d", str(tmp_path / "trees"), "docs"]
    done = subprocess.run(
        [*command, str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    assert "run_pipeline" in page
    assert "allow_duplicates" in page, "arguments are listed"
