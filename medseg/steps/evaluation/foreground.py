"""Binary masks of pictures: scored by picture, by group, pooled, and object by object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from medseg.datasets.case import Case
from medseg.figures.classes.confusion import confusion_figure
from medseg.figures.classes.confusion_image import ConfusionView, confusion_images
from medseg.figures.classes.reliability import reliability_diagram
from medseg.figures.classes.roc import RocCurve, roc_and_precision_recall
from medseg.figures.mask_grid import MaskView, mask_grid
from medseg.learning.inference.predictor import Predictor
from medseg.learning.scores.added.choice import chosen_scores, headlines, made_up, rehearse
from medseg.learning.scores.counts import COUNT_SCORES
from medseg.learning.scores.pictures import PICTURE_SCORES, ForegroundScorer
from medseg.learning.scores.tables import matrix_table, metrics_of
from medseg.learning.tasks.task import threshold_task
from medseg.steps.evaluation.added_bars import added_bars, patient_bars
from medseg.steps.evaluation.evaluation import Figures, Mine
from medseg.steps.evaluation.pooled import Part, Pooled, joined, summed
from medseg.steps.evaluation.seen import SeenPicture, see
from medseg.steps.pictures import best_median_worst, dice_text, validation_picture

if TYPE_CHECKING:
    from pandas import DataFrame

_GRID = 9


class ForegroundEvaluation:
    """Scores every picture on its own grid, at the threshold of the task.

    Args:
        predictor: The model.
        scores: Names of ours, and objects: see docs/scores.md.

    Raises:
        DefinitionError: The task has no threshold.
    """

    noun = "pictures"
    validation_picture = staticmethod(validation_picture)

    def __init__(self, predictor: Predictor, *, scores: Sequence[Any] | None = None) -> None:
        self._predictor, self._task = predictor, threshold_task(predictor.task)
        known = list(dict.fromkeys([*PICTURE_SCORES, *COUNT_SCORES]))
        ours, self._added = chosen_scores(scores, PICTURE_SCORES, known)
        self._headlines = headlines(scores, ("dice", "precision", "recall"), self._added)
        self._scorer = ForegroundScorer(self._task.classes, ours, self._added)
        rehearse(self._added, made_up({self._scorer.name: (1,)}, 2, (24, 24)))

    def asked(self, case: Case, mine: Mine | None) -> tuple[Any, ...]:
        """Predict one picture."""
        del mine  # a picture is one slice, and here for it
        seen = see(case, self._predictor)
        pair = seen.truth, seen.probability
        return case.id, case.group, *pair, seen.predicted, seen.objects, seen.known

    def keep(self, answer: tuple[Any, ...]) -> None:
        """Score it."""
        self._scorer.add(*answer)

    def notes(self) -> Sequence[str]:
        """Nothing."""
        return ()

    def tables(self, seed: int) -> Mapping[str, DataFrame]:
        """Of each picture, of each group, over groups and pooled, and pixels by true and predicted class."""
        return {
            "": self._scorer.frame(),
            "_groups": self._scorer.group_frame(),
            "_summary": self._scorer.summary(seed),
            "_confusion": matrix_table(self._scorer.matrix, self._task.classes),
        }

    parts = ("", "_groups", "_confusion")

    def pooled(self, parts: Sequence[Part], seed: int) -> Pooled:
        """Every picture and group with its scores, over all groups, and all pixels by true and predicted class.

        Scores of all pixels together need their probabilities, which tables do not hold: there are none.
        """
        groups = joined(parts, "_groups", ("group",))
        summary = self._scorer.over_groups(groups, seed)
        matrix = summed(parts, self._task.classes)
        tables = {
            "": joined(parts, "", ("case",)),
            "_groups": groups,
            "_summary": summary,
            "_confusion": matrix_table(matrix, self._task.classes),
        }
        figures: dict[str, Callable[[], Figure]] = {
            "confusion": lambda: confusion_figure(matrix, self._task.classes, unit="pixels"),
            "dice": lambda: patient_bars(summary, "dice", (groups,), "all folds", "group"),
        }
        return Pooled(tables, {**figures, **added_bars(self._added, summary, groups, "all folds", "group")})

    def metrics(self, tables: Mapping[str, DataFrame], role: str) -> dict[str, float]:
        """`<role>/<score>/<foreground>`, and `/pooled` of all pixels."""
        return metrics_of(tables["_summary"], role, self._headlines)

    def figures(
        self, summary: DataFrame, cases: Mapping[str, Case], role: str, say: Callable[[str], None]
    ) -> Figures:
        """Confusion, masks from the best to the worst, where they are right and wrong, curves, reliability."""
        del say
        scorer = self._scorer
        scores = scorer.dice()

        @cache
        def seen(case: str) -> SeenPicture:
            return see(cases[case], self._predictor)

        return {
            "confusion": lambda: confusion_figure(scorer.matrix, self._task.classes, unit="pixels"),
            "masks": lambda: _grid(scores, seen, role),
            "confusion_images": lambda: _confusion_images(scores, seen, role),
            "roc": lambda: _roc(scorer, self._task.threshold, role),
            "reliability": lambda: _reliability(scorer, role),
            **added_bars(self._added, summary, scorer.frame(), role, "group"),
        }


def _grid(scores: dict[str, float], seen: Callable[[str], SeenPicture], role: str) -> Figure:
    """Up to nine pictures, evenly from the best to the worst."""
    order = sorted(scores, key=lambda case: (-scores[case], case))
    places = np.unique(np.linspace(0, len(order) - 1, min(_GRID, len(order))).round().astype(int))
    views = []
    for case in (order[place] for place in places):
        picture = seen(case)
        views.append(
            MaskView(
                f"{case}: {dice_text(scores[case], picture.truth)}",
                picture.image,
                picture.predicted,
                picture.truth,
                picture.known,
            )
        )
    return mask_grid(views, heading=f"{role}: predicted masks, from the best to the worst of {len(order)}")


def _confusion_images(scores: dict[str, float], seen: Callable[[str], SeenPicture], role: str) -> Figure:
    views = [
        ConfusionView(
            f"{kind}: {case}", seen(case).image, seen(case).truth, seen(case).predicted, seen(case).known
        )
        for case, kind in best_median_worst(scores).items()
    ]
    return confusion_images(views, heading=f"{role}: where it is right and wrong")


def _roc(scorer: ForegroundScorer, threshold: float, role: str) -> Figure:
    counts = scorer.counts
    fpr, tpr = counts.roc()
    recall, precision = counts.precision_recall()
    total = counts.foreground + counts.background
    operating = None
    if counts.foreground and counts.background:
        at = counts.at(threshold)
        found = at.tp + at.fp
        if found:
            reached = at.tp / counts.foreground
            operating = (at.fp / counts.background, reached, reached, at.tp / found)
    curve = RocCurve(
        fpr,
        tpr,
        counts.auroc(),
        recall,
        precision,
        counts.average_precision(),
        counts.foreground / total if total else 0.0,
        operating,
    )
    return roc_and_precision_recall({scorer.name: curve}, heading=f"{role}: all pixels together")


def _reliability(scorer: ForegroundScorer, role: str) -> Figure:
    bins = scorer.counts.reliability()
    return reliability_diagram(
        bins.mean_probability,
        bins.observed,
        bins.count,
        calibration_error=bins.calibration_error(),
        brier=scorer.counts.brier(),
        name=scorer.name,
        heading=f"{role}: all pixels together",
        edges=bins.edges,
    )
