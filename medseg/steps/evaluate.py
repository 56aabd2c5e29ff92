"""The step that scores a role, volume by volume, through the very path of `medseg predict`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from medseg.datasets.case import Case
from medseg.datasets.reading.volume import Volume
from medseg.errors import DataError, DefinitionError
from medseg.figures.classes.confusion import confusion_figure
from medseg.figures.saving import save_figure
from medseg.figures.score_bars import score_bars
from medseg.figures.slice_grid import SliceView, slice_grid
from medseg.geometry.axes import AXES
from medseg.learning.inference.prediction import Prediction
from medseg.learning.inference.predictor import Predictor
from medseg.learning.scores.intervals import summarise
from medseg.learning.scores.tables import metrics_of
from medseg.learning.scores.volumes import IN_MM, VOLUME_SCORES, VolumeScorer
from medseg.learning.tasks.task import MaskTask
from medseg.places import written_whole
from medseg.splits.split import Role
from medseg.steps.pictures import fullest, good_median_bad, ras_spacing, shown_channels
from medseg.steps.step import Run, Work


class Evaluate:
    """Score every patient of a role on its own grid, all slices included.

    The truth is that of the files, not of the slice store: what padding, cropping or a spatial transform
    loses is lost in the scores too.

    Args:
        role: train, val or test.
        distances: Whether to compute HD95, which takes a second or so a volume.
    """

    def __init__(self, role: Role = "test", distances: bool = True) -> None:
        if role not in ("train", "val", "test"):
            raise ValueError(f"role is {role!r}, wanted train, val or test")
        if not isinstance(distances, bool):
            raise ValueError(f"distances is {distances!r}, wanted true or false")  # noqa: TRY004
        self.role, self.distances = role, distances

    @property
    def roles(self) -> tuple[Role, ...]:
        """The role that is scored."""
        return (self.role,)

    def __call__(self, work: Work, run: Run) -> Work:
        """Predict and score."""
        cases = work.of(self.role)
        if not cases:
            raise DataError(f"the split gives no patient the role {self.role}. Change split.{self.role}.")
        task, leaking = _of_masks(work.predictor), work.split.leaking
        measured = work.predictor.preparation.files.measured
        scorer = VolumeScorer(
            task.classes, task.regions, distances=self.distances and not leaking and measured
        )
        with run.progress.bar(f"scoring {self.role}", len(cases), "cases") as bar:
            for case in cases:
                self._score(case, work, scorer)
                bar.advance()
        return self._write(scorer, work, run)

    def check(self, predictor: Predictor) -> None:
        """Refuse a task without label maps.

        Raises:
            DefinitionError: The task tells classes of whole images.
        """
        _of_masks(predictor)

    def recall(self, work: Work, run: Run) -> Work:
        """Point to the tables."""
        return replace(work, tables={**work.tables, self.role: self._table(run)})

    def _table(self, run: Run) -> Path:
        return run.folder / "scores" / f"{self.role}.csv"

    def _score(self, case: Case, work: Work, scorer: VolumeScorer) -> None:
        volume, prediction = _predicted(case, work)
        grid, axis = volume.geometry, AXES[work.predictor.preparation.rule.axis]
        truth = grid.from_ras(_truth(volume))
        if not work.split.leaking:
            scorer.add(case.id, case.group, truth, prediction.labels, grid.spacing)
            return
        # By slice, a volume has slices in several roles: only those of this one may count, plane by plane.
        planes = [axis.cut(grid.to_ras(labels)) for labels in (truth, prediction.labels)]
        mine = [work.split.role(case.id, place) == self.role for place in range(len(planes[0]))]
        if any(mine):
            size = axis.seen(ras_spacing(volume))
            scorer.add(case.id, case.group, planes[0][mine], planes[1][mine], size)

    def _write(self, scorer: VolumeScorer, work: Work, run: Run) -> Work:
        table = self._table(run)
        frame = scorer.frame()
        if not work.predictor.preparation.files.measured:
            frame = frame.drop(columns=[*IN_MM])  # of pixels that nobody knows the size of
        summary = summarise(frame, [score for score in VOLUME_SCORES if score in frame], seed=run.seed)
        names = work.predictor.task.classes
        matrix = pd.DataFrame(scorer.matrix, index=pd.Index(names, name="truth"), columns=list(names))
        for path, content, index in (
            (table, frame, False),
            (table.with_name(f"{self.role}_summary.csv"), summary, False),
            (table.with_name(f"{self.role}_confusion.csv"), matrix, True),
        ):
            with written_whole(path) as target:
                content.to_csv(target, index=index)
            run.recorder.artifact(path, "scores")
        run.recorder.metrics(metrics_of(summary, metric_role(self.role)), work.epochs)
        figures: dict[str, Callable[[], Figure]] = {
            "confusion": lambda: confusion_figure(scorer.matrix, names),
            "dice": lambda: score_bars(summary, heading=f"{self.role}: Dice per patient"),
            "slices": lambda: self._slices(frame, work),
        }
        for name, draw in figures.items():
            path = save_figure(draw(), run.figures / f"{self.role}_{name}.png")
            run.recorder.artifact(path, "figures")
        return replace(work, tables={**work.tables, self.role: table})

    def _slices(self, frame: pd.DataFrame, work: Work) -> Figure:
        task = _of_masks(work.predictor)
        chosen = frame[frame["name"].isin(task.select)]
        means = chosen.groupby("case")["dice"].mean().fillna(1.0)
        scores = {str(case): float(value) for case, value in means.items()}
        axis = AXES[work.predictor.preparation.rule.axis]
        views = []
        for name, kind in good_median_bad(scores).items():
            volume, prediction = _predicted(work.cases[name], work)
            truth = axis.cut(_truth(volume))
            predicted = axis.cut(volume.geometry.to_ras(prediction.labels))
            place = fullest(truth)
            image = axis.cut(volume.image)[place]
            where = f", slice {place}" if len(truth) > 1 else ""
            title = f"{kind}: {name}{where}, mean Dice {scores[name]:.2f}"
            channels = shown_channels(work.predictor.channels, image)
            rows, columns = axis.seen(ras_spacing(volume))[1:]
            views.append(SliceView(title, channels, truth[place], predicted[place], (rows, columns)))
        return slice_grid(views, task.classes, heading=f"{self.role} patients")


def _of_masks(predictor: Predictor) -> MaskTask:
    if not isinstance(predictor.task, MaskTask):
        raise DefinitionError(
            f"medseg.steps.Evaluate scores label maps, met the task {type(predictor.task).__name__}. Take "
            "medseg.steps.EvaluateClasses."
        )
    return predictor.task


def metric_role(role: Role) -> str:
    """Under which first word of its keys a role's scores are recorded.

    Those of validation have a word of their own: `val/` belongs to what `Fit` records at each epoch.
    """
    return "val_final" if role == "val" else role


def _predicted(case: Case, work: Work) -> tuple[Volume, Prediction]:
    volume = work.predictor.read(case)
    return volume, work.predictor.predict_volume(volume)


def _truth(volume: Volume) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    if volume.label is None:
        raise DataError("a case has no truth to be scored against. Add its mask, or leave the case out.")
    return volume.label
