"""Scores with their intervals, of classes and regions of label maps and of classes of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from medseg.api.reporting.blocks import Block, Figure, Figures, Table, Words
from medseg.api.reporting.kept import SUMMARY, Kept
from medseg.errors import RunError
from medseg.text import three_decimals, two_decimals

if TYPE_CHECKING:
    from pandas import DataFrame

HEADS = {
    "dice": "Dice", "iou": "IoU", "f1": "F1", "hd95": "HD95 (mm)", "volume_difference_ml": "volume off (mL)",
    "volume_absolute_difference_ml": "volume off, either way (mL)", "auroc": "AUROC",
    "average_precision": "average precision", "panoptic_quality": "panoptic quality",
    "balanced_accuracy": "balanced accuracy", "subset_accuracy": "all classes right", "cohen_kappa": "Cohen's kappa",
    "brier": "Brier score", "calibration_error": "calibration error", "log_loss": "log loss",
}  # fmt: skip
"""What scores are called in a table; any other by its own name."""

_OF_MASKS = ("dice", "precision", "recall", "hd95", "volume_difference_ml", "auroc", "panoptic_quality")
_TOGETHER = (
    "accuracy",
    "balanced_accuracy",
    "subset_accuracy",
    "f1",
    "auroc",
    "cohen_kappa",
    "calibration_error",
)
_OF_CLASS = ("recall", "specificity", "precision", "f1", "auroc")
_COARSE = ("hd95", "volume_difference_ml", "volume_absolute_difference_ml")
_FEW = 20  # patients, of whom an interval is too narrow
_FIRST = 4  # numbers that stand above the tables
MEAN = "mean"
"""Name of the mean over the classes and regions that choose the best weights."""

Row = Mapping[Any, Any]


class Summary:
    """The scores of one role.

    Args:
        frame: As `summary` of a run gives it: name, score, mean, low, high, patients.
        chosen: Classes and regions that choose the best weights.
        over: What a score is the mean over, in the plural.
    """

    def __init__(self, frame: DataFrame, chosen: Sequence[str], over: str) -> None:
        self.of_images = "cases" in frame.columns
        self._over, self._chosen = over, [*chosen]
        self._rows: dict[tuple[str, str], Row] = {
            (str(row["name"]), str(row["score"])): row for row in frame.to_dict("records")
        }
        self.names = list(dict.fromkeys(name for name, _ in self._rows))
        self.scores = list(dict.fromkeys(score for _, score in self._rows))

    @property
    def first(self) -> str:
        """The score that comes first: of masks Dice, of images accuracy, where they were computed."""
        usual = _TOGETHER if self.of_images else _OF_MASKS
        return next((score for score in usual if score in self.scores), self.scores[0])

    def row(self, name: str, score: str) -> Row | None:
        """One score of one name, if there is one."""
        return self._rows.get((name, score))

    def blocks(self) -> Sequence[Block]:
        """The first numbers, a table of all names, and one of everything."""
        first = Figures([self._figure(*each) for each in self._headlines()])
        return [first, *self._few(), *self._tables(), self._whole()]

    def text(self, name: str, score: str) -> str:
        """Mean and interval in a cell."""
        row = self.row(name, score)
        return "-" if row is None else f"{number(row['mean'], score)}\n{interval(row, score)}".rstrip()

    def _few(self) -> Sequence[Words]:
        """That intervals of few patients say little."""
        most = max((row["patients"] for row in self._rows.values() if isfinite(row["patients"])), default=0)
        over = "patients" if self.of_images else self._over
        text = (
            f"There are {whole(most)} {over} only: of fewer than about {_FEW} the intervals are too narrow."
        )
        return [Words(text, "loud")] if most < _FEW else []

    def _headlines(self) -> Sequence[tuple[str, str]]:
        if self.of_images:
            return [("", score) for score in _TOGETHER if ("", score) in self._rows][:_FIRST]
        names = [name for name in (MEAN, *self._chosen) if (name, self.first) in self._rows] or self.names
        return [(name, self.first) for name in names][:_FIRST]

    def _figure(self, name: str, score: str) -> Figure:
        row = self._rows[name, score]
        label = f"{head(score)}, {name}" if name else head(score)
        beside = " ".join(filter(None, (interval(row, score), self._counted(row))))
        return Figure(label, number(row["mean"], score), beside)

    def _counted(self, row: Row) -> str:
        if self.of_images:
            return f"{whole(row['cases'])} images of {whole(row['patients'])} patients"
        return f"{whole(row['patients'])} {self._over}"

    def _tables(self) -> Sequence[Table]:
        if not self.of_images:
            return [self._table(self.names, _OF_MASKS, "Of each class and region", self._over)]
        together = [
            [head(score), self.text("", score), whole(row["cases"]), whole(row["patients"])]
            for score in _TOGETHER
            if (row := self.row("", score)) is not None
        ]
        return [
            Table("All classes together", ["score", "value [95 % interval]", "images", "patients"], together),
            self._table([name for name in self.names if name], _OF_CLASS, "Of each class", "images"),
        ]

    def _table(self, names: Sequence[str], scores: Sequence[str], caption: str, counted: str) -> Table:
        shown = [score for score in scores if score in self.scores] or self.scores[:_FIRST]
        rows = []
        for name in names:
            lead = self.row(name, "support") if self.of_images else self.row(name, shown[0])
            count = "-" if lead is None else whole(lead["mean"] if self.of_images else lead["patients"])
            rows.append([name or "all", count, *(self.text(name, score) for score in shown)])
        return Table(
            f"{caption}: mean [95 % interval]",
            ["class or region", counted, *(head(each) for each in shown)],
            rows,
        )

    def _whole(self) -> Table:
        rows = [
            [
                name or "all",
                head(score),
                number(row["mean"], score),
                interval(row, score),
                whole(row["patients"]),
            ]
            for (name, score), row in self._rows.items()
        ]
        over = "patients" if self.of_images else self._over
        return Table(
            "All scores", ["class or region", "score", "mean", "95 % interval", over], rows, folded=True
        )


def summary_of(kept: Kept, role: str = "test") -> Summary | None:
    """The scores of a role, if a step has taken some.

    Raises:
        RunError: The table is damaged.
    """
    frame = kept.table(f"{role}_summary", SUMMARY)
    if frame is None or frame.empty:
        return None
    try:
        return Summary(frame, chosen(kept), kept.grouped_by)
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{role}_summary.csv of {kept.name} is damaged. Run the pipeline again.") from error


def score_blocks(kept: Kept) -> Sequence[Block]:
    """The scores of the test part, or what there is in its place."""
    found = summary_of(kept)
    if found is not None:
        return found.blocks()
    missing = Words(
        "There are no scores of a test part: no step of this run has evaluated one, or it did not come so far.",
        "missing",
    )
    others = [(role, other) for role in ("val", "train") if (other := summary_of(kept, role)) is not None]
    words = {"val": "validation cases, by which the weights were chosen", "train": "training cases"}
    return [
        missing,
        *(
            block
            for role, other in others
            for block in (Words(f"Scores of the {words[role]}: they are too good."), *other.blocks())
        ),
    ]


def chosen(kept: Kept) -> Sequence[str]:
    """Classes and regions that choose the best weights, as the definition says."""
    named = kept.definition.task.get("select", ()) if kept.definition is not None else ()
    return [str(name) for name in named] if isinstance(named, list | tuple) else []


def head(score: str) -> str:
    """What a score is called."""
    return HEADS.get(score, score)


def number(value: float, score: str = "") -> str:
    """A score as text; `-` where it is undefined."""
    if not isinstance(value, int | float) or not isfinite(value):
        return "-"
    return two_decimals(value) if score in _COARSE else f"{value:.3f}"


def difference(value: float, score: str = "") -> str:
    """A difference of a score, which may be far less than scores are told by; `-` where it is undefined."""
    if score in _COARSE or number(value) == "-":
        return number(value, score)
    return three_decimals(value)


def interval(row: Row, score: str = "", told: Callable[[float, str], str] = number) -> str:
    """The 95 % interval in brackets, with its ends told by `told`; empty where there is none."""
    low, high = told(row["low"], score), told(row["high"], score)
    return "" if "-" in (low, high) else f"[{low}, {high}]"


def whole(value: float) -> str:
    """A count as text."""
    return f"{value:,.0f}" if isinstance(value, int | float) and isfinite(value) else "-"
