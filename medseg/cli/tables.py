"""Tables that close a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from medseg.cli.guard import MEND, print_faults

if TYPE_CHECKING:
    from medseg.api.data import Checked
    from medseg.api.prediction import Predicted
    from medseg.api.result import RunResult
    from medseg.cases.store import SliceStore
    from medseg.cases.store_plan import StorePlan
    from medseg.pipeline.locate import Found
    from medseg.pipeline.resolve import Resolved

RESEARCH = "Research use only; not a medical device."


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=True)


def print_pipelines(console: Console, found: Sequence[Found]) -> None:
    """Names, what they do, and where they lie."""
    from medseg.errors import MedsegError  # noqa: PLC0415
    from medseg.yaml import read_yaml  # noqa: PLC0415

    table = Table("pipeline", "what it does", "found", box=None, header_style="bold")
    for each in found:
        try:
            about = str(read_yaml(each.path).get("about", ""))
        except MedsegError as error:
            about = f"cannot be read: {str(error).splitlines()[0]}"
        # Text, here and below: a string would be read as rich's markup, in which [/a] ends a style.
        table.add_row(Text(each.name), Text(" ".join(about.split())), Text(each.origin))
    console.print(table)


def print_checked(console: Console, resolved: Resolved) -> None:
    """What `pipeline check` found."""
    definition = resolved.definition
    height, width = definition.slices.size
    _print(
        console,
        f"{definition.name} is in order: {len(definition.steps)} steps ({', '.join(definition.steps)}); "
        f"{definition.network['_target_']} with {resolved.parameters:,} trainable parameters takes "
        f"{len(definition.channels)} x {height} x {width} and gives {len(resolved.predictor.task.classes)} classes.",
        "green",
    )


def print_report(console: Console, found: Checked) -> None:
    """What `data check` found."""
    report = found.report
    if found.generated:
        _print(console, "GENERATED DATA: made-up patients.", "bold yellow")
    grids = Table("cases", "shape", "spacing (mm)", "orientation", title="Grids", header_style="bold")
    for row in report.rows():
        shape, spacing = " x ".join(map(str, row["shape"])), " x ".join(f"{v:g}" for v in row["spacing"])
        grids.add_row(str(row["cases"]), shape, spacing, Text(row["orientation"]))
    console.print(grids)
    labels = Table("value", "class", "voxels", "cases", title="Labels", header_style="bold")
    for row in report.label_rows():
        name = Text(row["class"] or "unknown")
        labels.add_row(str(row["value"]), name, f"{row['voxels']:,}", str(row["cases"]))
    console.print(labels)
    good, every = len(report.good), len(report.listing.cases) + len(report.listing.incomplete)
    groups = len({case.group for case in report.listing.cases})
    _print(console, f"{every} cases of {groups} patients; {good} without faults; {report.read} read now.")
    if report.unlabelled:
        _print(console, f"Note: {len(report.unlabelled)} cases have a label map with a single value.")
    count = len(report.faults)
    _print(console, f"{count} faults." if count else "No faults.", "bold red" if count else "green")


def print_plan(console: Console, plan: StorePlan) -> None:
    """What `data prepare --dry-run` found."""
    bound = "" if plan.exact else "at most "
    _print(
        console,
        f"{plan.cases} cases, {plan.ready} of them prepared already; {bound}{plan.slices:,} slices, "
        f"{bound}{_size(plan.bytes)}, of which {_size(plan.missing_bytes)} are still to be written "
        f"({_size(plan.free_bytes)} free); about {_time(plan.seconds)}.",
    )


def print_store(console: Console, store: SliceStore) -> None:
    """What `data prepare` made."""
    table = Table("role", "cases", "slices", "size", header_style="bold")
    for role in ("train", "val", "test"):
        samples = store.role(role)
        cases = len({sample.case for sample in samples})
        table.add_row(role, str(cases), f"{len(samples):,}", _size(store.nbytes(role)))
    console.print(table)


def print_result(console: Console, result: RunResult) -> None:
    """The closing table of a run: scores, what to beware of, where everything is, what to do next."""
    for path in sorted((result.folder / "scores").glob("*_summary.csv")):
        role = path.name.removesuffix("_summary.csv")
        console.print(_score_table(result, role))
    if result.generated:
        _print(console, "GENERATED DATA: these scores say nothing about real patients.", "bold yellow")
    if result.leaking:
        _print(
            console,
            "LEAKING SPLIT: by slice, so slices of one patient are in training and in test. These scores are too "
            "good.",
            "bold red",
        )
    if (result.folder / "untracked.jsonl").exists():
        _print(
            console,
            "The tracking server went away: what it does not know is in the run's folder.",
            "bold yellow",
        )
    _print(console, f"Model:   {result.folder / 'model'}")
    _print(console, f"Run:     {result.folder} (MLflow run {result.run_id} on {result.tracking_uri})")
    _print(console, f"Predict: medseg predict {result.name} INPUT -o OUT")
    _print(console, "Compare: medseg ui")
    _print(console, RESEARCH, "italic")


def _score_table(result: RunResult, role: str) -> Table:
    summary = result.summary(role)
    shown = ("precision", "recall", "hd95", "volume_difference_ml")
    heads = ("prec.", "recall", "HD95 mm", "mL off")
    kind = ", GENERATED DATA" if result.generated else ""
    # Narrow gaps: all columns fit into the 80 characters of a terminal or a log file.
    table = Table(
        title=Text(f"{role}: mean over patients{kind}"),
        header_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("class or region", no_wrap=True)
    for head in ("Dice", "n", "95% interval", *heads):
        table.add_column(head, justify="right", no_wrap=True)
    for name, rows in summary.groupby("name", sort=False):
        by_score: dict[str, Any] = {str(row.score): row for row in rows.itertuples()}
        cells = [_number(by_score[score]) if score in by_score else "-" for score in shown]
        dice = by_score["dice"]
        interval = f"{dice.low:.3f}-{dice.high:.3f}" if dice.patients else "-"
        table.add_row(Text(str(name)), _number(dice), str(int(dice.patients)), interval, *cells)
    return table


def _number(row: Any) -> str:
    if not row.patients:
        return "-"
    return f"{row.mean:.2f}" if row.score in ("hd95", "volume_difference_ml") else f"{row.mean:.3f}"


def print_predicted(
    console: Console, errors: Console, found: Predicted, out: Path, *, show_paths: bool
) -> int:
    """What `predict` did; gives the exit code."""
    table, left_out = _volume_table(found, console.width)
    console.print(table)
    if left_out:
        _print(console, f"Too wide for this terminal, see volumes.csv: {', '.join(left_out)}.")
    for each in found.cases:
        for warning in each.warnings:
            _print(errors, f"Warning: {each.case}: {warning}.", "yellow")
    if show_paths and not found.pseudonyms:
        for case, source in found.sources.items():
            _print(console, f"{case}: {source}")
    mean = sum(each.seconds for each in found.cases) / len(found.cases)
    _print(console, f"Wrote {len(found.cases)} label maps and volumes.csv to {out}; {mean:.1f} s a case.")
    _print(console, RESEARCH, "italic")
    if found.faults:
        _print(errors, f"Error: {len(found.faults)} faults; these cases were not segmented:", "bold red")
        print_faults(errors, found.faults, show_paths=show_paths or found.pseudonyms)
        return MEND
    return 0


def _volume_table(found: Predicted, room: int) -> tuple[Table, list[str]]:
    """Volumes, a case a row, and the columns for which there is no room.

    Ids stay whole, to be copied. What goes first is what comes first: the background, then other classes;
    the regions come last.
    """
    columns = {
        name: [f"{each.millilitres[name]:.1f}" for each in found.cases] for name in found.cases[0].millilitres
    }
    columns["s"] = [f"{each.seconds:.1f}" for each in found.cases]
    heads = {name: name.replace("_", " ") for name in columns}  # which may break between words
    widths = {
        name: max(map(len, [*heads[name].split(), *cells])) + 2  # and the gap
        for name, cells in columns.items()
    }
    ids = min(max(len(each.case) for each in found.cases), room // 2)
    shown = list(columns)
    while len(shown) > 2 and ids + 3 + sum(widths[name] for name in shown) > room:
        shown.pop(0)
    table = Table(
        title=Text("Volumes (mL)"), header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column("case", overflow="fold", min_width=ids)
    for name in shown:
        table.add_column(Text(heads[name]), justify="right", min_width=widths[name] - 2)
    for row, each in enumerate(found.cases):
        table.add_row(Text(each.case), *(columns[name][row] for name in shown))
    return table, [name for name in columns if name not in shown]


def print_cache(console: Console, folder: Path, contents: Mapping[str, tuple[int, int]]) -> None:
    """What the cache holds."""
    table = Table("kind", "entries", "size", header_style="bold")
    for kind, (entries, size) in contents.items():
        table.add_row(kind, str(entries), _size(size))
    _print(console, f"Cache: {folder}")
    console.print(table)


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
