"""What closes a de-identification: files and changes by kind, warnings, and what was left out."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from medseg.cli.guard import print_faults
from medseg.cli.tables import say
from medseg.text import many

if TYPE_CHECKING:
    from medseg.api.exporting.deidentification import Deidentified

_COLUMNS = ("written", "left out", "removed", "emptied", "replaced", "shifted")


def print_deidentified(
    console: Console, errors: Console, found: Deidentified, out: Path, *, show_paths: bool
) -> None:
    """The closing table; numbers of files are those of the report."""
    from medseg.api.exporting.deidentification import LIMITS  # noqa: PLC0415 - as the command

    table = Table("kind", *_COLUMNS, box=None, header_style="bold")
    for kind, counts in sorted(found.kinds.items()):
        table.add_row(kind, *(str(counts[column]) for column in _COLUMNS))
    console.print(table)
    look_at = defaultdict(list)
    for each in found.files:
        for warning in each.warnings:
            look_at[warning].append(each.number)
    for warning, numbers in look_at.items():
        which = f"no. {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} files, first no. {numbers[0]}"
        say(errors, f"Warning: {which}: {warning}.", "yellow")
    written = sum(counts["written"] for counts in found.kinds.values())
    say(console, f"Wrote {many(written, 'file')} to {out}; {found.report.name} there lists every file.")
    say(console, LIMITS, "italic")
    if found.left_out:
        say(errors, f"{many(len(found.left_out), 'file')} left out:", "bold red")
        print_faults(errors, found.left_out, show_paths=show_paths)
