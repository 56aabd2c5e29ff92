"""The closing tables of a run that tells classes of whole images."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from medseg.cli.printing.origin import origin_in_title
from medseg.text import printable

if TYPE_CHECKING:
    from pandas import DataFrame

    from medseg.api.result import RunResult

#: What is shown of all classes together, a row each, where it was computed.
_TOGETHER = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "subset_accuracy": "all classes right",
    "f1": "mean F1",
    "auroc": "mean AUROC",
    "cohen_kappa": "Cohen's kappa",
    "calibration_error": "calibration error",
}

#: What is shown of each class.
_OF_CLASS = {"recall": "recall", "specificity": "spec.", "precision": "prec.", "f1": "F1", "auroc": "AUROC"}


def class_score_table(result: RunResult, role: str) -> Group:
    """Scores of all classes together with their intervals, then each class."""
    kind = origin_in_title(result.generated, result.mixture)
    return tables_of(result.summary(role), f"{role}: images{kind}")


def tables_of(summary: DataFrame, title: str) -> Group:
    """A summary as `ClassScorer.summary` gives it, in two tables that fit a narrow terminal."""
    return Group(_together(summary[summary["name"] == ""], title), _each(summary[summary["name"] != ""]))


def _together(rows: DataFrame, title: str) -> Table:
    several = bool(
        (rows["patients"] != rows["cases"]).any()
    )  # else an image counts as a patient, known or not
    table = _table("all classes", ("score", "95% interval", "images", *(["patients"] if several else [])))
    table.title = Text(title)
    found: dict[str, Any] = {str(row.score): row for row in rows.itertuples()}
    for score, label in _TOGETHER.items():
        if score in found:
            row = found[score]
            counts = [str(int(count)) for count in (row.cases, *([row.patients] if several else []))]
            table.add_row(Text(printable(label)), _number(row.mean), _interval(row), *counts)
    return table


def _each(rows: DataFrame) -> Table:
    table = _table("class", ("images", *_OF_CLASS.values()))
    for name, of_class in rows.groupby("name", sort=False):
        found: dict[str, Any] = {str(row.score): row for row in of_class.itertuples()}
        cells = [_number(found[score].mean) if score in found else "-" for score in _OF_CLASS]
        support = found["support"].mean if "support" in found else float("nan")
        images = "-" if isnan(support) else str(int(support))
        table.add_row(Text(printable(str(name))), images, *cells)
    return table


def _table(first: str, others: Sequence[str]) -> Table:
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(first, overflow="fold")
    for head in others:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _interval(row: Any) -> str:
    if row.low != row.low:  # NaN
        return "-"
    between = " to " if row.low < 0 else "-"  # chance agrees with kappas below 0
    return f"{row.low:.3f}{between}{row.high:.3f}"


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"  # noqa: PLR0124  # NaN
