"""What `medseg predict` says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from medseg.class_names import BETWEEN
from medseg.cli.guard import MEND, print_faults
from medseg.cli.printing.amounts import measure_text
from medseg.cli.tables import RESEARCH, say
from medseg.datasets.case import cases_text
from medseg.text import many, printable

if TYPE_CHECKING:
    from medseg.api.predicting.asking import PredictedCase
    from medseg.api.prediction import Predicted

#: Of the time that a case took, among the names of measures.
_SECONDS = ""

#: Before the name of a class of whole images, among the names of measures; and the class itself.
_CHANCE, _CLASS = "probability_", "class"

#: That of the class which is told, where there is no room for those of all.
_ITS_CHANCE = "its probability"

#: Cases that are listed: who predicts hundreds looks at the table in the folder.
_MOST_ROWS = 40


def print_predicted(
    console: Console,
    errors: Console,
    found: Predicted,
    out: Path | None,
    *,
    show_paths: bool,
    key_map: Path | None = None,
) -> int:
    """What `predict` did; gives the exit code."""
    table, left_out = _volume_table(found, console.width)
    console.print(table)
    if left_out:
        say(console, f"Too wide for this terminal, see {found.table}: {', '.join(left_out)}.")
    if (more := len(found.cases) - _MOST_ROWS) > 0:
        say(console, f"And {many(more, 'further case')}, see {found.table}.")
    _print_warnings(errors, found)
    if show_paths and not found.pseudonyms:
        for case, source in found.sources.items():
            say(console, f"{case}: {source}")
        for name in found.left:
            say(console, f"of no case: {name}")
    elif found.left and not found.pseudonyms:
        say(
            console, "--show-paths lists the files that belong to no case; their names may identify patients."
        )
    mean = sum(each.seconds for each in found.cases) / len(found.cases)
    noun = re.sub(r"s\b", "", found.noun, count=1) if len(found.cases) == 1 else found.noun
    files = f"{len(found.cases)} {noun} and {found.table}" if noun else found.table
    if out is not None:
        say(console, f"Wrote {files} to {out}; {mean:.1f} s a case.")
    if found.archive:
        stored = f"Stored {len(found.stored)} of {many(len(found.cases), 'case')} in {found.archive}"
        checked = ", each read back from there and found the same" if found.stored else ""
        say(console, f"{stored}{checked}; {mean:.1f} s a case.")
    if key_map is not None:
        say(console, f"Wrote which name is which to {key_map}, readable by you alone.")
    elif not (found.pseudonyms or show_paths):
        say(console, "Names are pseudonyms: --write-key-map FILE writes which is which, for you alone.")
    say(console, RESEARCH, "italic")
    if found.faults:
        say(
            errors,
            f"Error: {many(len(found.faults), 'fault')}; these files were not predicted"
            f"{', or not stored' if found.archive else ''}:",
            "bold red",
        )
        print_faults(errors, found.faults, show_paths=show_paths or found.pseudonyms)
        return MEND
    return 0


def _print_warnings(errors: Console, found: Predicted) -> None:
    told: dict[str, list[str]] = {}
    for each in found.cases:
        for warning in each.warnings:
            told.setdefault(warning, []).append(each.case)
    texts = [f"{ids[0] if len(ids) == 1 else cases_text(ids)}: {warning}" for warning, ids in told.items()]
    for text in texts[:_MOST_ROWS]:
        say(errors, f"Warning: {text}.", "yellow")
    if (more := len(texts) - _MOST_ROWS) > 0:
        say(errors, f"And {many(more, 'further warning')} of such cases.", "yellow")


def _volume_table(found: Predicted, room: int) -> tuple[Table, list[str]]:
    """Volumes, a case a row, and the columns for which there is no room.

    Ids stay whole, to be copied. What goes first is what comes first: the background, then other classes;
    the regions come last. Of classes of images, that which is told and its probability stay.
    """
    cases = found.cases[:_MOST_ROWS]
    columns = {
        name: [measure_text(each.measures[name], name) for each in cases] for name in cases[0].measures
    }
    # Heads may break between words, but classes of images are called as in the data: `10_x`.
    heads = {name: _of(name) if name.startswith(_CHANCE) else _of(name).replace("_", " ") for name in columns}
    heads |= {_SECONDS: "s", _ITS_CHANCE: _ITS_CHANCE}
    columns[_SECONDS] = [f"{each.seconds:.1f}" for each in cases]
    ids = min(max(len(each.case) for each in cases), room // 2)
    first = [*found.first]
    shown, widths = _fitting(columns, heads, room - ids - 3, first)
    if _CLASS in first and len(shown) < len(columns):
        told = columns.pop(_CLASS)
        columns = {_CLASS: told, _ITS_CHANCE: [_chance(each) for each in cases], **columns}
        shown, widths = _fitting(columns, heads, room - ids - 3, [*first, _ITS_CHANCE])
    table = Table(
        title=Text(found.title), header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column("case", overflow="fold", min_width=ids)
    for name in shown:
        table.add_column(Text(heads[name]), justify="right", min_width=widths[name] - 2)
    for row, each in enumerate(cases):
        table.add_row(Text(printable(each.case)), *(Text(columns[name][row]) for name in shown))
    return table, [_of(name) for name in columns if name not in shown]


def _fitting(
    columns: Mapping[str, Sequence[str]], heads: Mapping[str, str], room: int, first: Sequence[str]
) -> tuple[list[str], dict[str, int]]:
    """Names of the columns for which there is room, and how wide they are with the gap between them."""
    widths = {name: max(map(len, [*heads[name].split(), *cells])) + 2 for name, cells in columns.items()}
    shown = list(columns)
    while len(shown) > max(2, len(first)) and sum(widths[name] for name in shown) > room:
        shown.remove(next(name for name in shown if name not in first))
    return shown, widths


def _chance(case: PredictedCase) -> str:
    """The probability of the class that is told; of several classes those of each."""
    named = [name for name in case.measures if name.startswith(_CHANCE)]
    told = str(case.measures[_CLASS]).split(BETWEEN)
    return (
        BETWEEN.join(f"{case.measures[name]:.3f}" for name in named if name.removeprefix(_CHANCE) in told)
        or "-"
    )


def _of(measure: str) -> str:
    """What a measure is of; the title of the table says what it is."""
    return measure.removesuffix("_ml").removeprefix(_CHANCE)
