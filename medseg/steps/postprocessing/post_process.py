"""The step that chooses the post-processing of label maps on the validation cases."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import ClassVar

import numpy as np

from medseg.datasets.case import Case
from medseg.datasets.reading.unforeseen import one_case
from medseg.errors import DataError, RunError
from medseg.geometry.axes import AXES
from medseg.learning.inference.cleaning import Cleaning, as_given, cleanings_of
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.task import mask_task
from medseg.places import read_kept, written_whole
from medseg.splits.split import Role
from medseg.steps.postprocessing.search import Found, search
from medseg.steps.postprocessing.seen import SeenCase, SeenCases
from medseg.steps.step import Fits, Run, Stage, Work
from medseg.text import many

_KEPT = "cleaning.json"
_TRIALS = 5  # a class, at most


class PostProcess:
    """Clean predicted label maps where that helps: largest component, smallest size, filled holes, class by class.

    Each is kept only where the mean Dice of the validation patients rises by it, that of more of them than it lowers,
    and that of no class and no region falls; test cases are never looked at. The model keeps what was chosen, and
    predicts by it. Probabilities are not changed.
    """

    stage: ClassVar[Stage] = Stage.LABELS
    fits: ClassVar[Fits] = {"post-processing": ("val",)}

    @property
    def roles(self) -> tuple[Role, ...]:
        """Validation alone."""
        return ("val",)

    def check(self, predictor: Predictor) -> None:
        """Refuse a task without label maps.

        Raises:
            DefinitionError: The task gives none.
        """
        mask_task(predictor.task)

    def __call__(self, work: Work, run: Run) -> Work:
        """Predict the validation cases, and try."""
        task = mask_task(work.predictor.task)
        plain = replace(work, predictor=replace(work.predictor, cleaning=()))
        cases = work.of("val")
        seen = []
        with run.progress.bar("predicting to post-process", len(cases), "cases") as bar:
            for case in cases:
                with one_case(case):
                    seen.append(_seen(case, plain))
                bar.advance()
        known = SeenCases(seen, task.classes, task.regions, task.select)
        trials = (len(task.classes) - 1) * _TRIALS
        with run.progress.bar("trying post-processing", trials, "trials") as bar:
            found = search(known, bar.advance)
        self._tell(found, known, work, run)
        with written_whole(run.place / _KEPT) as target:
            target.write_text(json.dumps({"cleaning": as_given(found.cleaning)}), encoding="utf-8")
        return _with(work, found.cleaning)

    def recall(self, work: Work, run: Run) -> Work:
        """Take what was chosen."""
        try:
            found = cleanings_of(
                read_kept(run.place / _KEPT, dict).get("cleaning"), len(work.predictor.task.classes)
            )
        except ValueError as error:
            raise RunError(f"{_KEPT} of the run is damaged. Start the pipeline again.") from error
        return _with(work, found)

    def _tell(self, found: Found, seen: SeenCases, work: Work, run: Run) -> None:
        before, after = found.before.score, found.after.score
        numbers = {"score_without": before, "score_with": after}
        run.recorder.metrics(
            {f"{run.step}/{name}": value for name, value in numbers.items() if not np.isnan(value)},
            work.epochs,
        )
        done = "; ".join(f"{seen.classes[each.index]}: {each.words()}" for each in found.cleaning)
        run.recorder.tags({f"{run.step}.cleaning": done or "none: no gain"})
        patients = len({case.group for case in seen.cases})
        absent = [name for index, name in enumerate(seen.classes) if index and not seen.has(index)]
        if absent:
            run.progress.say(
                f"No validation patient has {', '.join(absent)}: nothing of it is post-processed.", loud=True
            )
        run.progress.say(
            f"Post-processing of {done}: mean Dice of {many(patients, 'validation patient')} {after:.4f}, and "
            f"{before:.4f} without (1 where a class is rightly absent)."
            if done
            else f"No post-processing raises the mean Dice of {many(patients, 'validation patient')} "
            f"({before:.4f}): none is kept."
        )


def _seen(case: Case, work: Work) -> SeenCase:
    predictor, split = work.predictor, work.split
    volume = predictor.read(case)
    if volume.label is None:
        raise DataError("a validation case has no truth. Add its mask, or leave the case out.")
    grid, axis = volume.geometry, AXES[predictor.preparation.rule.axis]
    predicted = grid.to_ras(predictor.predict_volume(volume).labels)
    slices = range(predicted.shape[axis.along])
    mine = [not split.leaking or split.role(case.id, place) == "val" for place in slices]
    return SeenCase.of(
        case.group,
        np.asarray(volume.label, np.uint8),
        predicted,
        grid.voxel_volume,
        axis.along,
        np.array(mine),
    )


def _with(work: Work, cleaning: tuple[Cleaning, ...]) -> Work:
    return replace(work, predictor=replace(work.predictor, cleaning=cleaning))
