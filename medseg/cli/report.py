"""What `medseg data check` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from medseg.cli.tables import say
from medseg.datasets.case import cases_text
from medseg.datasets.checks.duplicates import twins, twins_note
from medseg.text import many, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medseg.api.data import Checked
    from medseg.datasets.checks.check import Report
    from medseg.datasets.finding.scan import Listing
    from medseg.datasets.manifest.manifest import Manifest
    from medseg.errors import Fault

_SIZES = 8  # of pictures, listed one by one
_MOST_GRIDS = 12


def print_report(console: Console, found: Checked, *, show_paths: bool = False) -> None:
    """What `data check` found; names of files that were paired by order only with `show_paths`."""
    report, numbered = found.report, _numbered(found.manifest)
    if found.generated:
        say(console, "GENERATED DATA: made-up patients.", "bold yellow")
    console.print((_size_table if found.manifest.pictures else _grid_table)(report))
    if report.class_rows():
        console.print(_class_table(report))
    each, groups_are = "pixels" if found.manifest.pictures else "voxels", found.manifest.groups_are
    labels = Table("value", "class", each, "cases", title="Labels", header_style="bold")
    for row in report.label_rows():
        name = Text(printable(row["class"]) or "unknown")
        labels.add_row(
            numbered.get(row["value"], str(row["value"])), name, f"{row['voxels']:,}", str(row["cases"])
        )
    if labels.row_count or not report.class_rows():
        console.print(labels)
    good, every = len(report.good), len(report.listing.cases) + len(report.listing.incomplete)
    of = _groups_text(report.listing, groups_are)
    say(console, f"{many(every, 'case')}{of}; {good} without faults; {report.read} read now.")
    _print_files(console, report.listing)
    _print_left(console, report.listing, show_paths=show_paths)
    mixed = report.origin_note().rstrip(".") if report.mixture() else ""
    for note in filter(None, (mixed, *report.listing.notes)):
        say(console, f"Note: {note}.", "bold yellow")
    _print_pairs(console, report.listing, show_paths=show_paths)
    if report.duplicates.pairs:
        say(console, f"Note: {report.duplicates.told()}.", "bold yellow")
    elif report.class_rows():
        say(console, "No picture was found to be a copy of another.")
    for row in report.note_rows():
        say(console, f"Note: {cases_text(row['ids'])}: {row['note']}.")
    if report.single_valued:
        have = "has" if len(report.single_valued) == 1 else "have"
        say(console, f"Note: {cases_text(report.single_valued)} {have} a label map with a single value.")
    copied = twins_note(twins(report.duplicates, report.listing.cases))
    for note in filter(None, (copied, report.skipped_note())):
        say(console, f"Note: {note}.", "bold yellow")
    for remark in found.remarks:
        say(console, f"Note: {remark}", "bold yellow")
    say(console, f"{_faults_text(report)}.", "bold red" if report.faults else "green")
    for refusal in found.refused:
        say(console, _refused_text(report.faults, refusal), "bold red")


def _print_files(console: Console, listing: Listing) -> None:
    """How many files there are of each use."""
    counts = [f"{count:,} {use}" for use, count in listing.files.items() if count]
    if counts:
        say(console, f"Files: {', '.join(counts)}.")


def _print_left(console: Console, listing: Listing, *, show_paths: bool) -> None:
    """Which files belong to no case; notes say why."""
    if listing.left and not show_paths:
        say(
            console,
            "  --show-paths lists the files that belong to no case; their names may identify patients.",
        )
        return
    for name in listing.left:
        say(console, f"  of no case: {name}")


def _groups_text(listing: Listing, noun: str) -> str:
    """Of how many patients all cases are, those that lack a file among them."""
    groups = [case.group for case in (*listing.cases, *listing.incomplete)]
    known, silent = len(set(groups) - {""}), groups.count("")
    of = f" of {many(known, noun)}" if known else ""
    return f"{of} ({silent} of them of no known {noun})" if silent else of


def _refused_text(faults: Sequence[Fault], refusal: str) -> str:
    """That a run would be refused, also if cases with faults are left out, where some have any."""
    without = " without the cases that have faults" if any(fault.case for fault in faults) else ""
    return f"A run{without} would be refused: {refusal.rstrip('.')}."


def _faults_text(report: Report) -> str:
    """How many there are, and how many of them belong to no case."""
    count, whole = len(report.faults), sum(not fault.case for fault in report.faults)
    if not count:
        return "No faults"
    of = " of the data set itself" if whole == count else f", {whole} of them of the data set itself"
    return many(count, "fault") + (of if whole else "")


def _numbered(manifest: Manifest) -> dict[int, str]:
    """What to say in place of the one value that stands for all numbers of objects."""
    if manifest.instances is None:
        return {}
    others = any(value > 0 for value in (*manifest.label_values, *manifest.ignore))
    return {manifest.label_rule().instance_value: "others above 0" if others else "1 and above"}


def _print_pairs(console: Console, listing: Listing, *, show_paths: bool) -> None:
    """Who was paired with whom by order, for the user to look through."""
    if listing.pairs and not show_paths:
        say(
            console,
            "  Names of files are not shown, since they may identify patients: --show-paths lists the pairs.",
        )
        return
    for image, mask in listing.pairs:
        say(console, f"  {image}  {mask}")


def _grid_table(report: Report) -> Table:
    grids = Table("cases", "shape", "spacing (mm)", "orientation", title="Grids", header_style="bold")
    rows = report.rows()
    for row in rows[:_MOST_GRIDS]:
        shape, spacing = " x ".join(map(str, row["shape"])), " x ".join(f"{v:g}" for v in row["spacing"])
        grids.add_row(str(row["cases"]), shape, spacing, Text(row["orientation"]))
    if rest := rows[_MOST_GRIDS:]:
        ranges = [_range([row[key] for row in rest]) for key in ("shape", "spacing")]
        ways = sorted({row["orientation"] for row in rest})
        grids.add_row(str(sum(row["cases"] for row in rest)), *ranges, Text(", ".join(ways)), style="italic")
        grids.caption = f"The last row: {many(len(rest), 'further grid')}, each of few cases."
    return grids


def _range(found: Sequence[Sequence[float]]) -> str:
    """From the least to the most along each axis, such as `31 to 43 x 40 to 59 x 24 to 47`."""
    least, most = (tuple(map(which, zip(*found, strict=True))) for which in (min, max))
    ends = zip(least, most, strict=True)
    return " x ".join(f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in ends)


def _class_table(report: Report) -> Table:
    """Classes of whole images."""
    classes = Table("class", "cases", title="Classes", header_style="bold")
    for row in report.class_rows():
        classes.add_row(Text(printable(row["class"])), str(row["cases"]))
    if report.unlabelled:
        classes.add_row(Text("without a label", style="italic"), str(len(report.unlabelled)))
    return classes


def _size_table(report: Report) -> Table:
    """Sizes of pictures, rows first; the rare ones of many in one row."""
    sizes = Table("cases", "rows x columns", title="Sizes", header_style="bold")
    rows = report.rows()
    for row in rows[:_SIZES]:
        sizes.add_row(str(row["cases"]), f"{row['shape'][1]} x {row['shape'][0]}")
    rest = rows[_SIZES:]
    if rest:
        high, wide = ([row["shape"][axis] for row in rest] for axis in (1, 0))
        spread = f"{min(high)} to {max(high)} x {min(wide)} to {max(wide)}"
        sizes.add_row(str(sum(row["cases"] for row in rest)), f"{spread} ({len(rest)} further sizes)")
    return sizes
