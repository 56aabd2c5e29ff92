"""Progress as it is shown, on a terminal and in a file."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from medseg.cli import display as module
from medseg.cli.display import PlainDisplay, TerminalDisplay, _Rate, display, print_line, print_whole


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


LONG = (
    "The runs were scored on other test patients, so that nothing can be paired: name two runs of one split."
)


def printed(text: str, **how: object) -> str:
    file = io.StringIO()
    print_line(Console(file=file, width=40, **how), text)
    return file.getvalue()


def test_a_terminal_breaks_lines_between_words() -> None:
    lines = printed(LONG, force_terminal=True).splitlines()

    assert len(lines) > 1
    assert all(len(line) <= 40 for line in lines)
    assert " ".join(line.strip() for line in lines) == LONG


def test_a_word_that_is_longer_than_the_terminal_stays_whole() -> None:
    path = "/a/" + "b" * 60
    assert f"{path}\n" in printed(f"It lies in {path}", force_terminal=True)


@pytest.mark.parametrize(
    "text",
    [
        "Predict: medseg predict brats2d-20261130-155938-610d INPUT -o OUT --device cpu",
        "Model:   /home/somebody/a folder of some length/medseg-runs/brats2d-20261130/model",
    ],
)
def test_what_is_there_to_be_copied_stays_whole(text: str) -> None:
    assert printed(text, force_terminal=True) == f"{text}\n"


@pytest.mark.parametrize(
    ("command", "after"),
    [
        ("medseg pipeline resume acdc-3", " goes on."),
        ("medseg pipeline run my.yaml --data /a", ", once it is there."),
        ("medseg data check acdc --data DIR", " lists them."),
        ("medseg runs list", ". Then look."),
        ("medseg predict latest IN -o OUT", ""),
        ("pip install 'medseg[cluster]'", " brings it."),
    ],
)
@pytest.mark.parametrize("before", ["It stopped; ", "It stopped there, as one says, and "])
def test_a_command_in_a_sentence_can_be_copied(before: str, command: str, after: str) -> None:
    lines = printed(f"{before}{command}{after}", force_terminal=True).splitlines()

    assert any(command in line for line in lines)
    assert all(len(line) <= 40 for line in lines)


def test_a_command_that_is_longer_than_the_terminal_is_left_to_the_terminal_to_break() -> None:
    command = "medseg pipeline run acdc --set steps.fit.epochs=3 --data /data/acdc --device cpu"
    lines = printed(f"It is to be begun anew, by {command}.", force_terminal=True).splitlines()

    assert lines == ["It is to be begun anew, by", f"{command}."]


def test_what_a_program_reads_stays_whole_in_a_terminal_too() -> None:
    file = io.StringIO()
    print_whole(Console(file=file, width=40, force_terminal=True), LONG)
    assert file.getvalue() == f"{LONG}\n"


def test_files_and_pipes_get_lines_as_they_are() -> None:
    assert printed(LONG) == f"{LONG}\n"
