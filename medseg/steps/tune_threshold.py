"""The step that searches the thresholds of a binary mask, or of regions, on the validation cases."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import pandas as pd

from medseg.datasets.case import Case, safe_name
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
from medseg.learning.tasks.task import CutTask, cut_task
from medseg.places import read_kept, written_whole
from medseg.splits.split import Role
from medseg.steps.step import Fits, Run, Stage, Work
from medseg.text import many


class TuneThreshold:
    """Search the threshold with the best score on the validation cases, and leave it in the task.

    Of regions that may overlap each gets its own, by the score of that region alone, before later ones are painted
    over it.
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
            DefinitionError: The task has none.
        """
        cut_task(predictor.task)

    def __call__(self, work: Work, run: Run) -> Work:
        """Predict the validation cases, and search."""
        task = cut_task(work.predictor.task)
        counts: dict[str, defaultdict[str, list[ProbabilityCounts]]] = {
            name: defaultdict(list) for name in task.cuts
        }
        cases = work.of("val")
        with run.progress.bar("searching the threshold", len(cases), "cases") as bar:
            for case in cases:
                with one_case(case):
                    for name, each in _counted(case, work, task).items():
                        counts[name][case.group].append(each)
                bar.advance()
        cuts = {
            name: self._searched(each, _Cut.of(task, name), run, work.epochs) for name, each in counts.items()
        }
        _keep(cuts, run)
        return _with_cuts(work, cuts)

    def _searched(
        self, counts: Mapping[str, Sequence[ProbabilityCounts]], cut: _Cut, run: Run, epoch: int
    ) -> float:
        """The best threshold of a map; the one that it had where none can be searched."""
        groups = {group: ProbabilityCounts.merged(each) for group, each in counts.items()}
        try:
            found = search(groups, score=self.score, over=self.over)
        except DataError as error:
            # Masks without foreground are legal, and a training that is done is not thrown away for them.
            return _stays(cut, run, str(error))
        self._write(found, cut, run, epoch)
        cases = sum(map(len, counts.values()))
        run.progress.say(
            f"Threshold {cut.of_what}{found.threshold:.4f}: {self.score} {found.value:.4f} on "
            f"{many(cases, 'validation case')} ({found.value_at_half:.4f} at 0.5)."
        )
        return found.threshold

    def recall(self, work: Work, run: Run) -> Work:
        """Take the thresholds that were found."""
        kept, names = read_kept(run.place / "threshold.json", dict), cut_task(work.predictor.task).cuts
        found = kept.get("thresholds", dict.fromkeys(names, kept.get("threshold")))
        if (
            not isinstance(found, dict)
            or found.keys() != names.keys()
            or not all(isinstance(value, float | int) and 0 <= value <= 1 for value in found.values())
        ):
            raise RunError("threshold.json of the run is damaged. Start the pipeline again.")
        return _with_cuts(work, {name: float(found[name]) for name in names})

    def _write(self, found: ThresholdSearch, cut: _Cut, run: Run, epoch: int) -> None:
        numbers = {
            "value": found.threshold,
            self.score: found.value,
            f"{self.score}_at_half": found.value_at_half,
        }
        run.recorder.metrics(
            {f"{run.step}/{cut.below}{name}": number for name, number in numbers.items()}, epoch
        )
        run.recorder.tags({cut.tag(run.step): f"{found.threshold:.6g}", f"{run.step}.role": "val"})
        table = run.place / f"thresholds{cut.ending}.csv"
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
            heading=f"threshold {cut.of_what}on the validation cases",
        )
        file = run.figures / f"{run.step}_curve{cut.ending}.png"
        run.recorder.artifact(save_figure(figure, file), "figures")


@dataclass(frozen=True)
class _Cut:
    """The threshold of one map, and how it is told of: without a name where it is the only one."""

    name: str
    before: float

    @classmethod
    def of(cls, task: CutTask, name: str) -> _Cut:
        return cls(name if len(task.cuts) > 1 else "", task.cuts[name])

    @property
    def of_what(self) -> str:
        return f"of {self.name} " if self.name else ""

    @property
    def below(self) -> str:
        return f"{self.name}/" if self.name else ""

    @property
    def ending(self) -> str:
        return f"_{safe_name(self.name)}" if self.name else ""

    def tag(self, step: str) -> str:
        return f"{step}.threshold{f'.{self.name}' if self.name else ''}"


def _stays(cut: _Cut, run: Run, reason: str) -> float:
    """Go on with the threshold that the task had."""
    run.progress.say(f"The threshold {cut.of_what}stays at {cut.before:g}: {reason}.", loud=True)
    role = f"{run.step}.role{f'.{cut.name}' if cut.name else ''}"
    run.recorder.tags({cut.tag(run.step): f"{cut.before:.6g}", role: "none: not searched"})
    return cut.before


def _counted(case: Case, work: Work, task: CutTask) -> dict[str, ProbabilityCounts]:
    """The pixels of a case by map; where the data were split by slice, those of its validation slices."""
    predictor, split = work.predictor, work.split
    volume = predictor.read(case)
    if volume.label is None:
        raise DataError("a validation case has no truth. Add its mask, or leave the case out.")
    chances = predictor.predict_volume(volume, probabilities=True).probabilities
    if chances is None:
        raise ValueError("a prediction that was asked for probabilities has some")
    axis = AXES[predictor.preparation.rule.axis]
    label = axis.cut(volume.label)
    mine = [not split.leaking or split.role(case.id, place) == "val" for place in range(len(label))]
    known = annotated(label[mine])
    found = {}
    for name, chance, inside in zip(task.cuts, chances, task.inside(label[mine]), strict=True):
        planes = axis.cut(volume.geometry.to_ras(chance))[mine]
        found[name] = ProbabilityCounts.of(planes[known], inside[known])
    return found


def _keep(cuts: Mapping[str, float], run: Run) -> None:
    kept = {"threshold": next(iter(cuts.values()))} if len(cuts) == 1 else {"thresholds": dict(cuts)}
    with written_whole(run.place / "threshold.json") as target:
        target.write_text(json.dumps(kept), encoding="utf-8")


def _with_cuts(work: Work, cuts: Mapping[str, float]) -> Work:
    task = cut_task(work.predictor.task).with_cuts(cuts)
    return replace(work, predictor=replace(work.predictor, task=task))
