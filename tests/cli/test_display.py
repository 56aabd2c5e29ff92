"""Progress as it is shown, on a terminal and in a file."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from medseg.cli import display as module
from medseg.cli.display import PlainDisplay, TerminalDisplay, _Rate, display


def plain(seconds: float, parts: int, unit: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is printed of work that took so long."""
    clock = iter((10.0, 10.0 + seconds))
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    out = io.StringIO()
    with display(Console(file=out)).bar("working", parts, unit) as bar:
        for _ in range(parts):
            bar.advance()
    return out.getvalue().strip()


@pytest.mark.parametrize(
    ("seconds", "parts", "unit", "expected"),
    [
        (4.0, 8, "cases", "working: 8 cases in 4.0 s, 2.0 cases/s"),
        (288.5, 4, "epochs", "working: 4 epochs in 288.5 s, 72.1 s each"),
        (3.0, 2, "", "working: 3.0 s"),
        (0.5, 8, "cases", ""),
    ],
    ids=["quick parts", "slow parts", "no parts", "done at once"],
)
def test_a_file_gets_one_line_of_work_that_took_a_while(
    seconds: float, parts: int, unit: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plain(seconds, parts, unit, monkeypatch) == expected


def test_what_is_shown_depends_on_where() -> None:
    assert isinstance(display(Console(file=io.StringIO())), PlainDisplay)
    assert isinstance(display(Console(file=io.StringIO(), force_terminal=True)), TerminalDisplay)


def test_what_is_loud_stands_out_in_a_file() -> None:
    out = io.StringIO()
    shown = PlainDisplay(Console(file=out))
    shown.say("all is well")
    shown.say("GENERATED DATA", loud=True)
    assert out.getvalue().splitlines() == ["all is well", "*** GENERATED DATA ***"]


@pytest.mark.parametrize(
    ("speed", "unit", "expected"),
    [(12.34, "cases", "12.3 cases/s"), (0.25, "epochs", "4.0 s each"), (None, "cases", ""), (5.0, "", "")],
)
def test_a_terminal_shows_how_fast_it_goes(speed: float | None, unit: str, expected: str) -> None:
    task: Any = SimpleNamespace(fields={"unit": unit}, finished_speed=None, speed=speed)
    assert str(_Rate().render(task)) == expected
