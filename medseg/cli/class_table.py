"""The closing table of a run that tells classes of whole images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

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


def class_score_table(result: RunResult, role: str) -> Table:
    """Scores of all classes together with their intervals, then each class."""
    kind = ", GENERATED DATA" if result.generated else ""
    return table_of(result.summary(role), f"{role}: images{kind}")


def table_of(summary: DataFrame, title: str) -> Table:
    """A summary as `ClassScorer.summary` gives it."""
    table = Table(
        title=Text(title),
        header_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("class", overflow="fold")
    for head in ("n", "score", "95% interval", *_OF_CLASS.values()):
        table.add_column(head, justify="right", no_wrap=True)
    together: dict[str, Any] = {str(row.score): row for row in summary[summary["name"] == ""].itertuples()}
    for score, told in _TOGETHER.items():
        if score in together:
            row = together[score]
            table.add_row(Text(told), str(int(row.cases)), _number(row.mean), _interval(row))
    table.add_section()
    for name, rows in summary[summary["name"] != ""].groupby("name", sort=False):
        by_score: dict[str, Any] = {str(row.score): row for row in rows.itertuples()}
        cells = [_number(by_score[score].mean) if score in by_score else "-" for score in _OF_CLASS]
        table.add_row(Text(str(name)), str(int(by_score["support"].mean)), "", "", *cells)
    return table


def _interval(row: Any) -> str:
    if row.low != row.low:  # NaN
        return "-"
    between = " to " if row.low < 0 else "-"  # chance agrees with kappas below 0
    return f"{row.low:.3f}{between}{row.high:.3f}"


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"  # noqa: PLR0124  # NaN
