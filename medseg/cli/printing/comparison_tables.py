"""What `medseg runs compare` prints."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from medseg.cli.display import print_whole
from medseg.cli.tables import RESEARCH, say
from medseg.text import many, printable, three_decimals

if TYPE_CHECKING:
    from medseg.pipeline.study.comparison import Comparison, Row

_WORST = 3
"""Patients named of those who got worse; all of them are in the tables."""


def print_comparison(console: Console, found: Comparison, form: str) -> None:
    """A comparison, as text, as CSV (its differences) or as JSON (all of it)."""
    if form == "csv":
        print_whole(console, found.differences().to_csv(index=False).rstrip("\n"))
    elif form == "json":
        from medseg.api.kept.comparing import to_json  # noqa: PLC0415

        print_whole(console, to_json(found))
    else:
        _print_text(console, found)


def _print_text(console: Console, found: Comparison) -> None:
    for each in found.sides:
        say(console, each.label)
    for side, score in dict.fromkeys((row.side, row.score) for row in found.rows):
        rows = [row for row in found.rows if (row.side, row.score) == (side, score)]
        console.print(_table(rows, side, score, found.noun))
        if any(len(each.runs) > 1 for each in found.sides if each.letter in ("A", side)):
            console.print(_spread(rows, side, found))
    tests = ", ".join(dict.fromkeys(row.found.test for row in found.rows))
    say(
        console,
        f"p: {tests}; corrected after Holm for {many(len(found.rows), 'test')}. Interval: 95 %, over {found.noun}s. "
        f"Chance: share of resamples of the {found.noun}s in which it is better.",
    )
    for sentence in found.sentences():
        say(console, sentence, "bold")
    for row in found.rows:
        _say_worst(console, found, row)
    for note in found.notes:
        say(console, f"Note: {note}", "bold yellow" if note.partition(":")[0].isupper() else "")
    say(console, RESEARCH, "italic")


def _table(rows: Sequence[Row], side: str, score: str, noun: str) -> Table:
    """The number of patients stands in the title where all rows have as many: names need the room."""
    counts = {row.found.patients for row in rows}
    less = ", less is better" if rows[0].direction.sign < 0 else ""
    of = f", {many(max(counts), noun)}" if len(counts) == 1 else ""
    table = _empty(f"{score}{less}: {side} compared with A{of}")
    table.add_column("class or region", overflow="fold")
    heads = ("A", side, f"{side} - A", "95% interval", "p", "chance", "worse", *(() if of else ("n",)))
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        found, cells = row.found, [Text(printable(row.name or "all classes"))]
        if row.verdict != "no evidence":
            cells[0].stylize("bold")
        cells += [Text(_number(value)) for value in (found.a, found.b)]
        cells += [
            Text(_difference(found.difference)),
            Text("-" if isnan(found.low) else f"{_difference(found.low)} to {_difference(found.high)}"),
            Text("<0.001" if row.corrected < 0.001 else _number(row.corrected)),
            Text(_share(row.chance)),
            Text(str(int((row.losses() > 0).sum())) if row.of_each_patient else "-"),
        ]
        table.add_row(*cells, *(() if of else (str(found.patients),)))
    return table


def _spread(rows: Sequence[Row], side: str, found: Comparison) -> Table:
    """How much runs of other seeds differ, beside how much patients do."""
    runs = {each.letter: len(each.runs) for each in found.sides}
    table = _empty("standard deviations")
    table.add_column("class or region", overflow="fold")
    for head in (
        f"A, {many(runs['A'], 'seed')}",
        f"{side}, {many(runs[side], 'seed')}",
        f"difference, {found.noun}s",
    ):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        of = row.found
        values = (_difference(value) for value in (of.a_seed_std, of.b_seed_std, of.patient_std))
        table.add_row(Text(printable(row.name or "all classes")), *values)
    return table


def _say_worst(console: Console, found: Comparison, row: Row) -> None:
    losses = row.losses()
    worst = sorted(
        ((float(loss), patient) for loss, patient in zip(losses, found.patients, strict=True) if loss > 0),
        key=lambda each: (-each[0], each[1]),
    )
    if worst:
        named = ", ".join(f"{patient} by {three_decimals(loss)}" for loss, patient in worst[:_WORST])
        more = f", and {len(worst) - _WORST} more" if len(worst) > _WORST else ""
        of = f"{row.score} of {row.name}" if row.name else row.score
        say(console, f"{row.direction.worse.capitalize()} with {row.side}, {of}: {named}{more}.")


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.3f}"


def _difference(value: float) -> str:
    """What may be far less than scores are told by."""
    return "-" if isnan(value) else three_decimals(value)


def _share(value: float) -> str:
    """Never 0 % or 100 %: resamples are few."""
    if isnan(value):
        return "-"
    return ">99%" if value > 0.99 else "<1%" if value < 0.01 else f"{value:.0%}"


def _empty(title: str) -> Table:
    return Table(
        title=Text(printable(title)),
        header_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
