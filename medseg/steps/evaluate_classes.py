"""The step that scores what a model says of whole images: all together and class by class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from medseg.class_names import key_name
from medseg.datasets.case import Case
from medseg.errors import DataError, DefinitionError, ModelError
from medseg.figures.classes.mistakes import mistake_grid
from medseg.figures.saving import save_figure
from medseg.learning.inference.predictor import Predictor
from medseg.learning.scores.classes import ClassScorer
from medseg.learning.scores.tables import metrics_of
from medseg.learning.tasks.target import indicator
from medseg.learning.tasks.task import LabelTask
from medseg.places import written_whole
from medseg.splits.split import Role
from medseg.steps.attention_pictures import Told, attention_picture
from medseg.steps.claims import claim_of
from medseg.steps.class_figures import class_figures
from medseg.steps.evaluate import metric_role
from medseg.steps.step import Run, Work

_MISTAKES = 16
_LOOKED_AT = 6


class EvaluateClasses:
    """Score every image of a role, through the very path of `medseg predict`.

    Args:
        role: train, val or test.
        top_k: The k of top-k accuracy; by default 2, 3 and 5 where there are 5 classes or more.
        beta: How many times as much recall counts as precision in the F-beta score.
    """

    def __init__(self, role: Role = "test", top_k: int | None = None, beta: float = 2.0) -> None:
        if role not in ("train", "val", "test"):
            raise ValueError(f"role is {role!r}, wanted train, val or test")
        whole = isinstance(top_k, int) and not isinstance(top_k, bool) and top_k >= 2
        if top_k is not None and not whole:
            raise ValueError(f"top_k is {top_k!r}, wanted a whole number, 2 or more, or nothing")
        if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0 < beta < float("inf"):
            raise ValueError(f"beta is {beta!r}, wanted a number more than 0")
        self.role, self.top_k, self.beta = role, top_k, float(beta)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The role that is scored."""
        return (self.role,)

    def check(self, predictor: Predictor) -> None:
        """Refuse a task of label maps, and a `top_k` that does not suit.

        Raises:
            DefinitionError: One of them.
        """
        self.scorer(predictor)

    def scorer(self, predictor: Predictor) -> ClassScorer:
        """An empty scorer with the settings of this step.

        Raises:
            DefinitionError: The task is one of label maps, or `top_k` does not suit.
        """
        task = predictor.task
        if not isinstance(task, LabelTask):
            raise DefinitionError(
                f"medseg.steps.EvaluateClasses scores classes of whole images, met the task {type(task).__name__}. "
                "Take medseg.steps.Evaluate."
            )
        try:
            decision = task.decision.with_top(self.top_k, len(task.classes))
            return ClassScorer(task.classes, decision, beta=self.beta)
        except ValueError as error:
            raise DefinitionError(f"medseg.steps.EvaluateClasses: {error}") from error

    def __call__(self, work: Work, run: Run) -> Work:
        """Predict and score."""
        cases = self._cases(work)
        scorer = self.scorer(work.predictor)
        with run.progress.bar(f"scoring {self.role}", len(cases), "images") as bar:
            for case in cases:
                truth = indicator(_labels(case), work.predictor.task.classes)
                found = work.predictor.classify(work.predictor.read_image(case))
                scorer.add(case.id, case.group, truth, found.probabilities)
                bar.advance()
        for note in scorer.notes():
            run.progress.say(f"{self.role}: {note}.", loud=True)
        self._write_tables(scorer, work, run)
        self._draw(scorer, work, run)
        return self.recall(work, run)

    def recall(self, work: Work, run: Run) -> Work:
        """Point to the tables."""
        return replace(work, tables={**work.tables, self.role: self._table(run)})

    def _cases(self, work: Work) -> list[Case]:
        """The cases of the role; split by slice, pictures whose only slice has it."""
        cases = work.of(self.role)
        if work.split.leaking:
            if work.predictor.preparation.files.noun != "pictures":
                raise DataError(
                    "split.by is `slice`, and a class is of a whole volume: slices of it are in several roles. Set "
                    "split.by=group."
                )
            cases = [case for case in cases if work.split.role(case.id) == self.role]
        if not cases:
            raise DataError(f"the split gives no image the role {self.role}. Change split.{self.role}.")
        return cases

    def _table(self, run: Run) -> Path:
        return run.folder / "scores" / f"{self.role}.csv"

    def _write_tables(self, scorer: ClassScorer, work: Work, run: Run) -> None:
        table = self._table(run)
        summary = scorer.summary(run.seed)
        tables = [
            (table, scorer.frame(), False),
            (table.with_name(f"{self.role}_summary.csv"), summary, False),
        ]
        if scorer.exclusive:
            names = list(scorer.classes)
            matrix = pd.DataFrame(scorer.matrix, index=pd.Index(names, name="truth"), columns=names)
            tables.append((table.with_name(f"{self.role}_confusion.csv"), matrix, True))
        for path, content, index in tables:
            with written_whole(path) as target:
                content.to_csv(target, index=index)
            run.recorder.artifact(path, "scores")
        run.recorder.metrics(metrics_of(summary, metric_role(self.role), key_name), work.epochs)

    def _draw(self, scorer: ClassScorer, work: Work, run: Run) -> None:
        frame = scorer.frame()
        figures: dict[str, Callable[[], Figure]] = {
            **class_figures(scorer, self.role),
            "mistakes": lambda: _mistakes(frame, work, self.role),
        }
        try:
            looked = _attention(frame, work, self.role)
        except ModelError as error:  # a network without feature maps has no place to look at
            run.progress.say(f"No picture of where the network looked: {error}.")
        else:
            figures["attention"] = lambda: looked
        for name, draw in figures.items():
            path = save_figure(draw(), run.figures / f"{self.role}_{name}.png")
            run.recorder.artifact(path, "figures")


def _labels(case: Case) -> tuple[str, ...]:
    if case.labels is None:
        raise DataError("an image has no class to be scored against. Add it, or leave the image out.")
    return case.labels


def _asked(case: str, work: Work) -> Told:
    chosen = work.cases[case]
    return work.predictor.classify(work.predictor.read_image(chosen)), _labels(chosen)


def _mistakes(frame: pd.DataFrame, work: Work, role: str) -> Figure:
    wrong = frame[~frame["correct"]].sort_values(["confidence", "case"], ascending=[False, True])
    told = (_asked(str(case), work) for case in wrong["case"].head(_MISTAKES))
    claims = [claim_of(work.predictor, found, truth) for found, truth in told]
    return mistake_grid(claims, wrong=len(wrong), total=len(frame), heading=f"{role}: the surest mistakes")


def _attention(frame: pd.DataFrame, work: Work, role: str) -> Figure:
    """The surest hit of each class, of as many as there is room for, and the surest misses."""
    order = frame.sort_values(["confidence", "case"], ascending=[False, True])
    hits = order[order["correct"]].groupby("truth", sort=True).head(1)["case"].head(_LOOKED_AT)
    misses = order[~order["correct"]]["case"].head(_LOOKED_AT)
    told = [_asked(str(case), work) for case in [*hits, *misses]]
    heading = f"{role}: where the network looked for the most probable class"
    return attention_picture(work.predictor, told, heading=heading)
