"""Tables that close a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from medseg.cli.display import print_line
from medseg.cli.next_commands import compare_line, named, predict_line
from medseg.cli.printing.amounts import bytes_text, time_text
from medseg.cli.printing.class_table import class_score_table, tables_of
from medseg.cli.printing.origin import origin_in_title, origin_line
from medseg.datasets.roles import ROLES, UNLABELLED
from medseg.text import many, printable, two_decimals

if TYPE_CHECKING:
    from pandas import DataFrame

    from medseg.api.description import Described
    from medseg.api.folds_result import FoldsResult
    from medseg.api.result import RunResult
    from medseg.named import Found
    from medseg.slices.store.estimate import StorePlan
    from medseg.slices.store.store import SliceStore

RESEARCH = "Research use only; not a medical device."


def say(console: Console, text: str, style: str = "") -> None:
    """Print a line, as `print_line`."""
    print_line(console, text, style)


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
        table.add_row(*(Text(printable(text)) for text in (each.name, " ".join(about.split()), each.origin)))
    console.print(table)


def print_described(console: Console, found: Described) -> None:
    """The layers of a network, their sums, and where it is drawn."""
    network, definition = found.network, found.resolved.definition
    table = Table(
        title=Text(f"{definition.name}: {definition.network['_target_']}"),
        header_style="bold",
        box=SIMPLE_HEAD,
    )
    table.add_column("layer", overflow="fold")
    table.add_column("kind", overflow="fold")
    for head in ("output", "parameters", "memory"):
        table.add_column(head, justify="right", no_wrap=True)
    for layer in network.layers:
        shape = "-" if layer.shape is None else " x ".join(map(str, layer.shape))
        size = bytes_text(layer.activation_bytes) if layer.activation_bytes else "-"
        table.add_row(
            Text(layer.name), layer.kind, shape, f"{layer.parameters:,}" if layer.parameters else "-", size
        )
    console.print(table)
    batch = definition.loading.batch_size
    say(
        console,
        f"{network.parameters:,} parameters, {network.trainable:,} of them trainable "
        f"({bytes_text(network.weights_bytes)}). "
        f"Outputs of all layers: {bytes_text(network.activation_bytes)} a slice. "
        f"Training takes about {bytes_text(found.need.of(batch))} with batches of {batch}.",
    )
    say(console, f"Drawn to {found.picture}")


def print_plan(console: Console, plan: StorePlan) -> None:
    """What `data prepare --dry-run` found."""
    bound = "" if plan.exact else "at most "
    say(
        console,
        f"{many(plan.cases, 'case')}, {plan.ready} of them prepared already; {bound}{plan.slices:,} slices, "
        f"{bound}{bytes_text(plan.bytes)}, of which {bytes_text(plan.missing_bytes)} are still to be written "
        f"({bytes_text(plan.free_bytes)} free); about {time_text(plan.seconds)}.",
    )


def print_store(console: Console, store: SliceStore) -> None:
    """What `data prepare` made."""
    table = Table("role", "cases", "slices", "size", header_style="bold")
    for role in (*ROLES, UNLABELLED):
        samples = store.role(role)
        if role == UNLABELLED and not samples:
            continue
        cases = len({sample.case for sample in samples})
        table.add_row(role, str(cases), f"{len(samples):,}", bytes_text(store.nbytes(role)))
    console.print(table)


def print_result(console: Console, result: RunResult) -> None:
    """The closing table of a run: scores, what to beware of, where everything is, what to do next."""
    for path in sorted((result.folder / "scores").glob("*_summary.csv")):
        role = path.name.removesuffix("_summary.csv")
        table = class_score_table if _is_of_images(result.summary(role)) else _score_table
        console.print(table(result, role))
    if verdicts := result.verdicts():
        console.print(_curve_table(verdicts))
    for step, verdict in verdicts.items():
        if courses := verdict.get("courses"):
            say(console, f"{step}: {courses}", "bold yellow")
    if changed := result.changed():
        say(console, f"Changed since it began: {', '.join(f'{path}={now}' for path, now in changed.items())}")
    if origin := origin_line(result.generated, result.mixture):
        say(console, origin, "bold yellow")
    if result.leaking:
        say(
            console,
            "LEAKING SPLIT: by slice, so slices of one patient may be in training and in test. Scores are then too "
            "good.",
            "bold red",
        )
    for kind, leak in result.leaks().items():
        if kind != "split" or not result.leaking:
            say(console, f"LEAK: {leak} Scores may be too good (audit.txt).", "bold red")
    if (result.folder / "untracked.jsonl").exists():
        say(
            console,
            "The tracking server does not know all of this run: the rest is in untracked.jsonl of its folder. "
            f"Send it: medseg runs sync {named(result)}",
            "bold yellow",
        )
    if result.refused:
        say(
            console,
            f"The tracking server has refused {many(result.refused, 'record')} of this run for good, as said above: "
            "all of it is in the run's own folder alone.",
            "bold yellow",
        )
    say(console, f"Model:   {result.folder / 'model'}")
    say(console, f"Run:     {result.folder}")
    say(console, f"MLflow:  run {result.run_id} on {result.tracking_uri}")
    say(console, f"Predict: {predict_line(result)}")
    say(console, f"Compare: {compare_line(result.tracking_uri)}")
    say(console, RESEARCH, "italic")


def print_folds(console: Console, result: FoldsResult) -> None:
    """The closing table of a cross-validation."""
    kind = origin_in_title(result.generated, result.mixture)
    summary, title = result.summary(), f"{len(result.results)} folds, each case tested once{kind}"
    console.print(summary_table(summary, title))
    if origin := origin_line(result.generated, result.mixture):
        say(console, origin, "bold yellow")
    for leak in result.leaks:
        say(console, leak, "bold red")
    for fold, each in enumerate(result.results, start=1):
        say(console, f"Fold {fold}: {each.folder}")
    say(console, f"Together: {result.folder}")
    say(console, f"MLflow: run {result.run_id} on {result.tracking_uri}")
    say(console, f"Compare: {compare_line(result.tracking_uri)}")
    say(console, RESEARCH, "italic")


def summary_table(summary: DataFrame, title: str) -> Table | Group:
    """Scores with their intervals, of masks or of classes of images."""
    return tables_of(summary, title) if _is_of_images(summary) else _table_of(summary, title)


def _is_of_images(summary: DataFrame) -> bool:
    """Whether scores are of all images together, and not of each patient: see `OVER_IMAGES`."""
    return "cases" in summary.columns


#: Beside Dice: those of them that were computed.
_COLUMNS = {
    "precision": "prec.",
    "recall": "recall",
    "hd95": "HD95 mm",
    "volume_difference_ml": "mL off",
    "auroc": "AUROC",
    "panoptic_quality": "PQ",
}


_COARSE = ("hd95", "volume_difference_ml")


def _score_table(result: RunResult, role: str) -> Table:
    kind = origin_in_title(result.generated, result.mixture)
    return _table_of(result.summary(role), f"{role}: mean over {result.grouped_by}{kind}")


def _table_of(summary: DataFrame, title: str) -> Table:
    """Scores of masks, as `summarise` gives them: a row for each class or region."""
    present = list(dict.fromkeys(summary["score"]))
    first = "dice" if "dice" in present else present[0]  # the interval is that of one score
    shown = {score: head for score, head in _COLUMNS.items() if score in present and score != first}
    # Narrow gaps: all columns fit into the 80 characters of a terminal or a log file.
    table = Table(
        title=Text(title),
        header_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("class or region", no_wrap=True)
    for head in ("Dice" if first == "dice" else printable(first), "n", "95% interval", *shown.values()):
        table.add_column(Text(head), justify="right", no_wrap=True)
    for name, rows in summary.groupby("name", sort=False):
        by_score: dict[str, Any] = {str(row.score): row for row in rows.itertuples()}
        cells = [_number(by_score[score]) if score in by_score else "-" for score in shown]
        lead = by_score.get(first)
        if lead is None:
            table.add_row(Text(printable(str(name))), "-", "-", "-", *cells)
            continue
        interval = f"{lead.low:.3f}-{lead.high:.3f}" if lead.patients > 1 else "-"
        table.add_row(Text(printable(str(name))), _number(lead), str(int(lead.patients)), interval, *cells)
    return table


def _curve_table(verdicts: Mapping[str, Mapping[str, str]]) -> Table:
    """What the learning curves of each training say, and what to do next."""
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for head in ("step", "learning curves", "next"):
        table.add_column(head, no_wrap=head == "step")
    for step, verdict in verdicts.items():
        table.add_row(Text(step), Text(verdict["text"]), Text(verdict["next_step"]))
    return table


def _number(row: Any) -> str:
    if not row.patients:
        return "-"
    return two_decimals(row.mean) if row.score in _COARSE else f"{row.mean:.3f}"


def print_cache(console: Console, folder: Path, contents: Mapping[str, tuple[int, int]]) -> None:
    """What the cache holds."""
    table = Table("kind", "entries", "size", header_style="bold")
    for kind, (entries, size) in contents.items():
        table.add_row(kind, str(entries), bytes_text(size))
    say(console, f"Cache: {folder}")
    console.print(table)
