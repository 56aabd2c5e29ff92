"""The closing tables of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from medseg.cli.next_commands import compare_line, predict_line
from medseg.cli.printing.origin import origin_in_title, origin_line
from medseg.cli.tables import RESEARCH, say, summary_table
from medseg.text import printable

if TYPE_CHECKING:
    from medseg.api.sweeping.result import SweepResult, Tried

_SHOWN = 15  # the best; all are in the CSV file


def print_sweep(console: Console, result: SweepResult) -> None:
    """What was tried, the best first, and how the winner does on the test part."""
    kind = origin_in_title(result.generated, result.mixture)
    console.print(_trials(result, f"validation scores, the best first{kind}"))
    more = len(result.tried) - _SHOWN
    left = f"{more} more are in" if more > 0 else "Table:"
    say(console, f"{left} {result.folder / 'trials.csv'}")
    for tried in result.tried:
        if tried.fault:
            say(console, f"Combination {tried.number + 1} could not be trained: {tried.fault}", "yellow")
    say(console, f"Best: {', '.join(result.best.settings) or 'as declared'}")
    first = result.results[0]
    if (first.folder / "scores" / "test_summary.csv").exists():
        of = f", seed 1 of {len(result.results)}" if len(result.results) > 1 else ""
        title = f"test, looked at once, for the winner{of}{kind}"
        console.print(summary_table(first.summary(), title))
    if len(result.results) > 1:
        for name, values in result.test_scores().items():
            if (name.count("/") == 2 and name.startswith("test/dice/")) or name.count("/") == 1:
                spread = f"{sum(values) / len(values):.3f}, from {min(values):.3f} to {max(values):.3f}"
                say(console, f"{name}, the mean of {len(values)} seeds: {spread}")
        for number, each in enumerate(result.results, start=1):
            say(console, f"Seed {number}: {each.folder}")
    if origin := origin_line(result.generated, result.mixture):
        say(console, origin, "bold yellow")
    for leak in result.leaks:
        say(console, leak, "bold red")
    say(console, f"Model:    {first.folder / 'model'}")
    say(console, f"Together: {result.folder}")
    say(console, f"MLflow:   run {result.run_id} on {result.tracking_uri}")
    say(console, f"Predict:  {predict_line(first)}")
    say(console, f"Compare:  {compare_line(result.tracking_uri)}")
    say(console, RESEARCH, "italic")


def _trials(result: SweepResult, title: str) -> Table:
    from medseg.api.sweeping.result import ranked  # noqa: PLC0415 - torch and MONAI

    paths = [value.partition("=")[0] for value in result.best.settings]
    several = any(len(each.scores) > 1 for each in result.tried)
    table = Table(
        title=Text(title), header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column("no.", justify="right")
    for short in _short(paths):
        table.add_column(Text(printable(short)), overflow="fold")
    for head in ("score", *(["seeds", "from-to"] if several else []), "min", ""):
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    for each in ranked(result.tried)[:_SHOWN]:
        table.add_row(*_row(each, several=several))
    return table


def _row(tried: Tried, *, several: bool) -> list[str | Text]:
    values = [Text(printable(value.partition("=")[2])) for value in tried.settings]
    score = "-" if tried.score is None else f"{tried.score:.4f}"
    scores = tried.scores
    spread = [str(len(scores)), f"{min(scores):.3f}-{max(scores):.3f}" if scores else "-"] if several else []
    ended = "" if tried.ended == "finished" else tried.ended
    return [str(tried.number + 1), *values, score, *spread, f"{tried.minutes:.1f}", ended]


def _short(paths: Sequence[str]) -> list[str]:
    """The last parts of dotted paths, as many as tell them apart."""
    for parts in range(1, 10):
        short = [".".join(path.split(".")[-parts:]) for path in paths]
        if len({*short}) == len(paths):
            return short
    return list(paths)
