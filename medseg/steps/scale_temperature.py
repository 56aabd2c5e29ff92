"""The step that calibrates the probabilities of a classifier on the validation cases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.case import Case
from medseg.datasets.reading.unforeseen import one_case
from medseg.errors import DataError, RunError
from medseg.figures.saving import save_figure
from medseg.learning.inference.predictor import Predictor
from medseg.learning.scores.classes import ClassScorer
from medseg.learning.settings import is_number
from medseg.learning.tasks.target import indicator
from medseg.learning.tasks.task import TemperatureTask, temperature_task
from medseg.learning.tasks.temperature import best_temperature, probabilities
from medseg.places import read_kept, written_whole
from medseg.splits.split import Role
from medseg.steps.evaluation.class_figures import reliability
from medseg.steps.step import Fits, Run, Stage, Work


class ScaleTemperature:
    """Divide the logits by the temperature that fits the validation cases best, and leave it in the task.

    Which class is the most probable stays as it is; how sure the model is of it changes. Test cases are never looked
    at. The calibration error of the validation cases after scaling is that of the cases it was found on; that of the
    test part is in the scores of `Evaluate`.
    """

    stage: ClassVar[Stage] = Stage.DECISION
    fits: ClassVar[Fits] = {"temperature": ("val",)}

    @property
    def roles(self) -> tuple[Role, ...]:
        """Validation alone."""
        return ("val",)

    def check(self, predictor: Predictor) -> None:
        """Refuse a task without a temperature.

        Raises:
            DefinitionError: The task is none of the classes of whole images.
        """
        temperature_task(predictor.task)

    def __call__(self, work: Work, run: Run) -> Work:
        """Predict the validation cases, and find it."""
        task, cases = temperature_task(work.predictor.task), work.of("val")
        logits, truth = [], []
        with run.progress.bar("predicting the validation cases", len(cases), "cases") as bar:
            for case in cases:
                with one_case(case):
                    found, labels = _predicted(case, work.predictor)
                logits.append(found)
                truth.append(indicator(labels, task.classes))
                bar.advance()
        try:
            scaled = task.at_temperature(best_temperature(task, logits, np.stack(truth).astype(bool)))
        except DataError as error:  # a training that is done is not thrown away for it
            run.progress.say(f"The temperature stays at {task.temperature:g}: {error}.", loud=True)
            scaled = task
        scorers = {
            name: _scorer(each, cases, logits, truth) for name, each in (("before", task), ("after", scaled))
        }
        self._write(scaled.temperature, scorers, run, work.epochs)
        return with_temperature(work, scaled.temperature)

    def recall(self, work: Work, run: Run) -> Work:
        """Take the temperature that was found."""
        found = read_kept(run.place / "temperature.json", dict).get("temperature")
        if not is_number(found) or found <= 0:
            raise RunError("temperature.json of the run is damaged. Start the pipeline again.")
        return with_temperature(work, float(found))

    def _write(self, temperature: float, scorers: Mapping[str, ClassScorer], run: Run, epoch: int) -> None:
        with written_whole(run.place / "temperature.json") as target:
            target.write_text(json.dumps({"temperature": temperature}), encoding="utf-8")
        numbers = {f"{run.step}/value": temperature}
        for name, scorer in scorers.items():
            point = scorer.measures.point
            for score in ("calibration_error", "log_loss"):
                numbers[f"{run.step}/{score}_{name}"] = float(point[None, score][0])
            path = save_figure(reliability(scorer, f"val, {name}"), run.figures / f"{run.step}_{name}.png")
            run.recorder.artifact(path, "figures")
        run.recorder.metrics(numbers, epoch)
        run.recorder.tags({f"{run.step}.temperature": f"{temperature:.6g}", f"{run.step}.role": "val"})
        before, after = (numbers[f"{run.step}/calibration_error_{name}"] for name in scorers)
        run.progress.say(
            f"Temperature {temperature:.3f}: calibration error {before:.3f} before and {after:.3f} after, on the "
            "validation cases that it was found on."
        )


def _scorer(
    task: TemperatureTask,
    cases: Sequence[Case],
    logits: Sequence[NDArray[np.float32]],
    truth: Sequence[NDArray[np.uint8]],
) -> ClassScorer:
    scorer = ClassScorer(task.classes, task.decision)
    for case, labels, found in zip(cases, truth, probabilities(task, logits), strict=True):
        scorer.add(case.id, case.group, labels, found)
    return scorer


def _predicted(case: Case, predictor: Predictor) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Logits (S, K) of the slices of a case that show something, and its classes."""
    if case.labels is None:
        raise DataError("a validation image has no class. Add it, or leave the image out.")
    prepared = predictor.preparation.apply(predictor.read_image(case))
    return predictor.logits(prepared.image[prepared.telling]), case.labels


def with_temperature(work: Work, temperature: float) -> Work:
    """The work, whose task has another temperature."""
    task = temperature_task(work.predictor.task).at_temperature(temperature)
    return replace(work, predictor=replace(work.predictor, task=task))
