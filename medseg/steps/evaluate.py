"""The step that scores a role, through the very path of `medseg predict`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from medseg.datasets.case import folders_of
from medseg.errors import DataError, DefinitionError, Fault
from medseg.figures.saving import save_figure
from medseg.figures.slices.slice_sheet import SliceSheet
from medseg.learning.inference.predictor import Predictor
from medseg.machine.crew.crew import Needs, in_order
from medseg.places import written_whole
from medseg.splits.split import Role
from medseg.steps.evaluation.evaluation import Evaluation, evaluation_of
from medseg.steps.evaluation.scoring import Scoring, SlicesOf, lost
from medseg.steps.step import Fits, Run, Work

if TYPE_CHECKING:
    from pandas import DataFrame


class Evaluate:
    """Score every case of a role, and leave tables, metrics and figures.

    What is scored and reported is the task's to say, and what its files are: see `Task.evaluation`.

    Args:
        role: train, val or test.
        **settings: What that evaluation takes beside: `distances` of volumes, `top_k` and `beta` of classes of
            images.
    """

    fits: ClassVar[Fits] = {}

    def __init__(self, role: Role = "test", **settings: Any) -> None:
        if role not in ("train", "val", "test"):
            raise ValueError(f"role is {role!r}, expected train, val or test")
        self.role, self.settings = role, settings

    @property
    def roles(self) -> tuple[Role, ...]:
        """The role that is scored."""
        return (self.role,)

    def check(self, predictor: Predictor) -> None:
        """Refuse settings that the task's evaluation does not know.

        Raises:
            DefinitionError: One of them.
        """
        self.evaluation(predictor)

    def evaluation(self, predictor: Predictor) -> Evaluation:
        """An empty evaluation of a model with the settings of this step.

        Raises:
            DefinitionError: It does not take them.
        """
        kind = evaluation_of(predictor)
        (_, *takes) = inspect.signature(kind).parameters
        unknown = sorted(self.settings.keys() - set(takes))
        if unknown:
            of = f"{type(predictor.task).__name__} on {predictor.preparation.files.noun}"
            raise DefinitionError(
                f"medseg.steps.Evaluate takes no {unknown[0]} of {of}; its settings there are: "
                f"{', '.join(['role', *takes])}. Leave it out."
            )
        try:
            return kind(predictor, **self.settings)  # type: ignore[call-arg]  # protocols have no constructor
        except ValueError as error:
            raise DefinitionError(f"medseg.steps.Evaluate: {error}") from error

    def __call__(self, work: Work, run: Run) -> Work:
        """Predict and score."""
        scoring, cases, split = Scoring(self.evaluation, work.predictor), work.of(self.role), work.split
        evaluation = scoring.evaluation
        if not cases:
            raise DataError(
                f"the split gives no {evaluation.noun} the role {self.role}. Change split.{self.role}."
            )
        tasks = [(case, SlicesOf(split, case.id, self.role) if split.leaking else None) for case in cases]
        needs = Needs(folders_of(cases), run.folder.absolute(), tuple(sorted(run.allowed.packages)))
        unscored: list[Fault] = []
        with run.progress.bar(f"scoring {self.role}", len(cases), evaluation.noun) as bar:
            found = run.crew.results(tasks, scoring, lost, usually="in turn", needs=needs)
            for _, scored in in_order(found, tasks):
                unscored += scored.faults
                if not scored.faults:
                    evaluation.keep(scored.answer)
                bar.advance()
        self._tell(unscored, len(cases), evaluation.noun, run)
        for note in evaluation.notes():
            run.progress.say(f"{self.role}: {note}.", loud=True)
        tables = evaluation.tables(run.seed)
        self._write(evaluation, tables, run)
        self._draw(evaluation, tables, work, run)
        return self.recall(work, run)

    def _tell(self, faults: Sequence[Fault], count: int, noun: str, run: Run) -> None:
        """Say which cases could not be scored: the others, and the training before, are not thrown away for them.

        Raises:
            DataError: None could be.
        """
        lost = {fault.case for fault in faults}
        if len(lost) == count:
            listed = "\n".join(fault.text() for fault in faults)
            raise DataError(
                f"none of the {count} {noun} of the role {self.role} can be scored:\n{listed}", faults
            )
        if not lost:
            return
        share = f"{len(lost)} of {count}"
        run.progress.say(f"{self.role}: {share} {noun} cannot be scored, and are in no table:", loud=True)
        for fault in faults:
            run.progress.say(fault.text(), loud=True)
        run.recorder.tags({f"{run.step}.unscored": share})

    def recall(self, work: Work, run: Run) -> Work:
        """Point to the tables."""
        return replace(work, tables={**work.tables, self.role: self._table(run, "")})

    def _table(self, run: Run, ending: str) -> Path:
        return run.folder / "scores" / f"{self.role}{ending}.csv"

    def _write(self, evaluation: Evaluation, tables: Mapping[str, DataFrame], run: Run) -> None:
        for ending, content in tables.items():
            path = self._table(run, ending)
            with written_whole(path) as target:
                content.to_csv(target, index=content.index.name is not None)
            run.recorder.artifact(path, "scores")
        run.recorder.table(self._table(run, ""))
        run.recorder.metrics(evaluation.metrics(tables, self.role), 0)

    def _draw(self, evaluation: Evaluation, tables: Mapping[str, DataFrame], work: Work, run: Run) -> None:
        figures = evaluation.figures(tables["_summary"], work.cases, self.role, run.progress.say)
        for name, draw in figures.items():
            drawn, path = draw(), run.figures / f"{self.role}_{name}.png"
            files = drawn.save(path) if isinstance(drawn, SliceSheet) else (save_figure(drawn, path),)
            for each in files:
                run.recorder.artifact(each, "figures")


EvaluateClasses = EvaluateForeground = Evaluate
"""Names that definitions had for it, when each task had a step of its own."""
