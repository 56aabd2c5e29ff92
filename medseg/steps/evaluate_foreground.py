"""The step that scores binary masks of pictures: by picture, by group, pooled, and object by object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from medseg.errors import DataError, DefinitionError
from medseg.figures.classes.confusion import confusion_figure
from medseg.figures.classes.confusion_image import ConfusionView, confusion_images
from medseg.figures.classes.reliability import reliability_diagram
from medseg.figures.classes.roc import RocCurve, roc_and_precision_recall
from medseg.figures.mask_grid import MaskView, mask_grid
from medseg.figures.saving import save_figure
from medseg.learning.inference.predictor import Predictor
from medseg.learning.scores.pictures import ForegroundScorer
from medseg.learning.scores.tables import metrics_of
from medseg.learning.tasks.binary_mask import BinaryMask
from medseg.places import written_whole
from medseg.splits.split import Role
from medseg.steps.evaluate import metric_role
from medseg.steps.pictures import good_median_bad
from medseg.steps.seen import SeenPicture, see
from medseg.steps.step import Run, Work

_GRID = 9
_KINDS = {"good": "best", "median": "median", "bad": "worst"}


class EvaluateForeground:
    """Score every picture of a role on its own grid, at the threshold of the task.

    Args:
        role: train, val or test.
    """

    def __init__(self, role: Role = "test") -> None:
        if role not in ("train", "val", "test"):
            raise ValueError(f"role is {role!r}, wanted train, val or test")
        self.role = role

    @property
    def roles(self) -> tuple[Role, ...]:
        """The role that is scored."""
        return (self.role,)

    def check(self, predictor: Predictor) -> None:
        """Refuse other tasks and other files.

        Raises:
            DefinitionError: The task is no binary mask, or the data are no pictures.
        """
        if not isinstance(predictor.task, BinaryMask) or predictor.preparation.files.noun != "pictures":
            other = "Evaluate" if predictor.task.target.truth == "masks" else "EvaluateClasses"
            raise DefinitionError(
                f"medseg.steps.EvaluateForeground scores medseg.learning.BinaryMask on pictures, met "
                f"{type(predictor.task).__name__} on {predictor.preparation.files.noun}. Take medseg.steps.{other}."
            )

    def __call__(self, work: Work, run: Run) -> Work:
        """Predict and score."""
        cases = work.of(self.role)
        if not cases:
            raise DataError(f"the split gives no case the role {self.role}. Change split.{self.role}.")
        scorer = ForegroundScorer(work.predictor.task.classes)
        with run.progress.bar(f"scoring {self.role}", len(cases), "pictures") as bar:
            for case in cases:
                seen = see(case, work.predictor)
                scorer.add(case.id, case.group, seen.truth, seen.probability, seen.predicted, seen.objects)
                bar.advance()
        self._write_tables(scorer, work, run)
        self._draw(scorer, work, run)
        return self.recall(work, run)

    def recall(self, work: Work, run: Run) -> Work:
        """Point to the tables."""
        return replace(work, tables={**work.tables, self.role: self._table(run)})

    def _table(self, run: Run) -> Path:
        return run.folder / "scores" / f"{self.role}.csv"

    def _write_tables(self, scorer: ForegroundScorer, work: Work, run: Run) -> None:
        table, names = self._table(run), work.predictor.task.classes
        summary = scorer.summary(run.seed)
        matrix = pd.DataFrame(scorer.matrix, index=pd.Index(names, name="truth"), columns=list(names))
        for path, content, index in (
            (table, scorer.frame(), False),
            (table.with_name(f"{self.role}_groups.csv"), scorer.group_frame(), False),
            (table.with_name(f"{self.role}_summary.csv"), summary, False),
            (table.with_name(f"{self.role}_confusion.csv"), matrix, True),
        ):
            with written_whole(path) as target:
                content.to_csv(target, index=index)
            run.recorder.artifact(path, "scores")
        run.recorder.metrics(metrics_of(summary, metric_role(self.role)), work.epochs)

    def _draw(self, scorer: ForegroundScorer, work: Work, run: Run) -> None:
        dice = scorer.frame().set_index("case")["dice"].fillna(1.0)
        scores = {str(case): float(value) for case, value in dice.items()}

        @cache
        def seen(case: str) -> SeenPicture:
            return see(work.cases[case], work.predictor)

        figures: dict[str, Callable[[], Figure]] = {
            "confusion": lambda: confusion_figure(scorer.matrix, work.predictor.task.classes),
            "masks": lambda: _grid(scores, seen, self.role),
            "confusion_images": lambda: _confusion_images(scores, seen, self.role),
            "roc": lambda: _roc(scorer, work.predictor, self.role),
            "reliability": lambda: _reliability(scorer, work.predictor, self.role),
        }
        for name, draw in figures.items():
            path = save_figure(draw(), run.figures / f"{self.role}_{name}.png")
            run.recorder.artifact(path, "figures")


def _grid(scores: dict[str, float], seen: Callable[[str], SeenPicture], role: str) -> Figure:
    """Up to nine pictures, evenly from the best to the worst."""
    order = sorted(scores, key=lambda case: (-scores[case], case))
    places = np.unique(np.linspace(0, len(order) - 1, min(_GRID, len(order))).round().astype(int))
    views = []
    for case in (order[place] for place in places):
        picture = seen(case)
        views.append(
            MaskView(f"{case}: Dice {scores[case]:.2f}", picture.image, picture.predicted, picture.truth)
        )
    return mask_grid(views, heading=f"{role}: predicted masks, from the best to the worst of {len(order)}")


def _confusion_images(scores: dict[str, float], seen: Callable[[str], SeenPicture], role: str) -> Figure:
    views = [
        ConfusionView(f"{_KINDS[kind]}: {case}", seen(case).image, seen(case).truth, seen(case).predicted)
        for case, kind in good_median_bad(scores).items()
    ]
    return confusion_images(views, heading=f"{role}: where it is right and wrong")


def _roc(scorer: ForegroundScorer, predictor: Predictor, role: str) -> Figure:
    counts, name = scorer.counts, predictor.task.classes[1]
    task = predictor.task
    fpr, tpr = counts.roc()
    recall, precision = counts.precision_recall()
    total = counts.foreground + counts.background
    operating = None
    if isinstance(task, BinaryMask) and counts.foreground and counts.background:
        at = counts.at(task.threshold)
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
    return roc_and_precision_recall({name: curve}, heading=f"{role}: all pixels together")


def _reliability(scorer: ForegroundScorer, predictor: Predictor, role: str) -> Figure:
    bins = scorer.counts.reliability()
    return reliability_diagram(
        bins.mean_probability,
        bins.observed,
        bins.count,
        calibration_error=bins.calibration_error(),
        brier=scorer.counts.brier(),
        name=predictor.task.classes[1],
        heading=f"{role}: all pixels together",
        edges=bins.edges,
    )
