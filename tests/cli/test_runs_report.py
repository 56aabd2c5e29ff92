"""`medseg runs report`: it says where the page is, and ends with 2 where the user can mend something."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from medseg.cli.main import app


def medseg(*words: str, code: int = 0):
    done = CliRunner().invoke(app, ["runs", "report", *words])
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return done


@pytest.fixture
def two(made_run) -> None:
    rows = [{"case": f"c{n}", "group": f"p{n}", "name": "core", "dice": n / 8} for n in range(8)]
    for name in ("a", "b"):
        made_run(name, {"": pd.DataFrame(rows)})


@pytest.mark.usefixtures("two")
def test_the_page_is_written_and_its_path_said() -> None:
    assert medseg("a").stdout == "Report: medseg-runs/a/report.html\n"
    assert Path("medseg-runs/a/report.html").is_file()
    assert "--force" in medseg("a", code=2).stderr
    assert medseg("a", "--force").stdout == "Report: medseg-runs/a/report.html\n"


@pytest.mark.usefixtures("two", "undrawn")
def test_two_runs_go_into_one_page_at_the_place_that_is_named() -> None:
    medseg("a", "b", "-o", "both.html")
    assert "2 runs compared" in Path("both.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    "words", [["nobody"], ["a,"], ["a", "-o", "scores.csv"], ["a", "nobody"], ["a", "-o", "no/dir"]]
)
def test_what_the_user_can_mend_ends_with_2(words: list[str]) -> None:
    assert "Error: " in medseg(*words, code=2).stderr
