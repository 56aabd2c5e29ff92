"""The step that searches the threshold of a binary mask on the validation cases."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from typing import ClassVar, Literal

import pandas as pd

from medseg.datasets.case import Case
from medseg.datasets.reading.unforeseen import one_case
from medseg.datasets.unannotated import annotated
from medseg.errors import DataError, RunError
from medseg.figures.saving import save_figure
from medseg.figures.threshold_curve import threshold_curve
from medseg.geometry.axes import AXES
from medseg.learning.inference.predictor import Predictor
from medseg.learning.scores.counts import COUNT_SCORES
from medseg.learning.scores.probability_counts import ProbabilityCounts
from medseg.learning.scores.threshold_search import ThresholdSearch, search
from medseg.learning.tasks.task import threshold_task
from medseg.places import read_kept, written_whole
from medseg.splits.split import Role
from medseg.steps.step import Fits, Run, Stage, Work
from medseg.text import many


class TuneThreshold:
    """Search the threshold with the best score on the validation cases, and leave it in the task.

    Test cases are never looked at. Probabilities are those of whole files, as `medseg predict` writes them.

    Args:
        score: f1, dice, iou, precision, recall, specificity, accuracy, balanced_accuracy, youden or mcc.
        over: Whether the score is that of all pixels together (`pooled`), or the mean over `groups`.
    """

    stage: ClassVar[Stage] = Stage.DECISION
    fits: ClassVar[Fits] = {"threshold": ("val",)}

    def __init__(self, score: str = "f1", over: Literal["pooled", "groups"] = "pooled") -> None:
        if score not in COUNT_SCORES:
            raise ValueError(f"score is {score!r}, expected one of {', '.join(COUNT_SCORES)}")
        if over not in ("pooled", "groups"):
            raise ValueError(f"over is {over!r}, expected pooled or groups")
        self.score, self.over = score, over

    @property
    def roles(self) -> tuple[Role, ...]:
        """Validation alone."""
        return ("val",)

    def check(self, predictor: Predictor) -> None:
        """Refuse a task without a threshold.

        Raises:
            DefinitionError: The task is none of a binary mask.
        """
        threshold_task(predictor.task)

    def __call__(self, work: Work, run: Run) -> Work:
        """Predict the validation cases, and search."""
        counts: dict[str, list[ProbabilityCounts]] = defaultdict(list)
        cases = work.of("val")
        with run.progress.bar("searching the threshold", len(cases), "cases") as bar:
            for case in cases:
                with one_case(case):
                    counts[case.group].append(_counted(case, work))
                bar.advance()
        groups = {group: ProbabilityCounts.merged(each) for group, each in counts.items()}
        try:
            found = search(groups, score=self.score, over=self.over)
        except DataError as error:
            # Masks without foreground are legal, and a training that is done is not thrown away for them.
            return self._kept(work, run, str(error))
        self._write(found, run, work.epochs)
        _keep(found.threshold, run)
        run.progress.say(
            f"Threshold {found.threshold:.4f}: {self.score} {found.value:.4f} on "
            f"{many(len(cases), 'validation case')} ({found.value_at_half:.4f} at 0.5)."
        )
        return _with_threshold(work, found.threshold)

    def _kept(self, work: Work, run: Run, reason: str) -> Work:
        """Go on with the threshold that the task had."""
        threshold = threshold_task(work.predictor.task).threshold
        run.progress.say(f"The threshold stays at {threshold:g}: {reason}.", loud=True)
        run.recorder.tags(
            {f"{run.step}.threshold": f"{threshold:.6g}", f"{run.step}.role": "none: not searched"}
        )
        _keep(threshold, run)
        return work

    def recall(self, work: Work, run: Run) -> Work:
        """Take the threshold that was found."""
        found = read_kept(run.place / "threshold.json", dict).get("threshold")
        if not isinstance(found, float | int) or not 0 <= found <= 1:
            raise RunError("threshold.json of the run is damaged. Start the pipeline again.")
        return _with_threshold(work, float(found))

    def _write(self, found: ThresholdSearch, run: Run, epoch: int) -> None:
        numbers = {
            "value": found.threshold,
            self.score: found.value,
            f"{self.score}_at_half": found.value_at_half,
        }
        run.recorder.metrics({f"{run.step}/{name}": number for name, number in numbers.items()}, epoch)
        run.recorder.tags({f"{run.step}.threshold": f"{found.threshold:.6g}", f"{run.step}.role": "val"})
        table = run.place / "thresholds.csv"
        with written_whole(table) as target:
            pd.DataFrame(found.coarse, columns=["threshold", self.score]).to_csv(target, index=False)
        run.recorder.artifact(table, "tables")
        across, up = found.curve()
        figure = threshold_curve(
            found.coarse,
            list(zip(across.tolist(), up.tolist(), strict=True)),
            chosen=found.threshold,
            value=found.value,
            value_at_half=found.value_at_half,
            score_name=self.score,
            heading="threshold on the validation cases",
        )
        run.recorder.artifact(save_figure(figure, run.figures / f"{run.step}_curve.png"), "figures")


def _counted(case: Case, work: Work) -> ProbabilityCounts:
    """The pixels of a case; where the data were split by slice, those of its validation slices."""
    predictor, split = work.predictor, work.split
    volume = predictor.read(case)
    if volume.label is None:
        raise DataError("a validation case has no truth. Add its mask, or leave the case out.")
    chances = predictor.predict_volume(volume, probabilities=True).probabilities
    if chances is None:
        raise ValueError("a prediction that was asked for probabilities has some")
    axis = AXES[predictor.preparation.rule.axis]
    planes, truth = axis.cut(volume.geometry.to_ras(chances[0])), axis.cut(volume.label)
    mine = [not split.leaking or split.role(case.id, place) == "val" for place in range(len(truth))]
    known = annotated(truth[mine])
    return ProbabilityCounts.of(planes[mine][known], truth[mine][known] == 1)


def _keep(threshold: float, run: Run) -> None:
    with written_whole(run.place / "threshold.json") as target:
        target.write_text(json.dumps({"threshold": threshold}), encoding="utf-8")


def _with_threshold(work: Work, threshold: float) -> Work:
    task = threshold_task(work.predictor.task).at(threshold)
    return replace(work, predictor=replace(work.predictor, task=task))
