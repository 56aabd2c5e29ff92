"""Classes of whole images: scored all together and class by class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from medseg.class_names import key_name
from medseg.datasets.case import Case
from medseg.errors import DataError, ModelError
from medseg.figures.classes.mistakes import mistake_grid
from medseg.learning.inference.prediction import Classification
from medseg.learning.inference.predictor import Predictor
from medseg.learning.scores.added.choice import chosen_scores, headlines, made_up_labels, rehearse
from medseg.learning.scores.classes import ClassScorer
from medseg.learning.scores.pooled_folds import fill
from medseg.learning.scores.tables import matrix_table, metrics_of
from medseg.learning.settings import is_number
from medseg.learning.tasks.target import indicator
from medseg.learning.tasks.task import label_task
from medseg.steps.attention_pictures import attention_picture
from medseg.steps.claims import claim_of
from medseg.steps.evaluation.added_bars import added_bars
from medseg.steps.evaluation.class_figures import class_figures
from medseg.steps.evaluation.class_picture import class_picture
from medseg.steps.evaluation.evaluation import Figures, Mine
from medseg.steps.evaluation.pooled import Part, Pooled, joined

if TYPE_CHECKING:
    from pandas import DataFrame

_HEADLINES = ("accuracy", "subset_accuracy", "balanced_accuracy", "auroc", "f1", "recall")
_MISTAKES = 16
_LOOKED_AT = 6


class LabelEvaluation:
    """Scores the classes of every image.

    Args:
        predictor: The model.
        top_k: The k of top-k accuracy; by default 2, 3 and 5 where there are 5 classes or more.
        beta: How many times as much recall counts as precision in the F-beta score.
        scores: Names of ours, and objects: see docs/scores.md.

    Attributes:
        scorer: Holds the predictions.

    Raises:
        ValueError: A setting is no such setting, or does not suit the classes.
        DefinitionError: The task tells no classes of whole images.
    """

    noun = "images"
    validation_picture = staticmethod(class_picture)

    def __init__(
        self,
        predictor: Predictor,
        *,
        top_k: int | None = None,
        beta: float = 2.0,
        scores: Sequence[Any] | None = None,
    ) -> None:
        whole = isinstance(top_k, int) and not isinstance(top_k, bool) and top_k >= 2
        if top_k is not None and not whole:
            raise ValueError(f"top_k is {top_k!r}, expected a whole number, 2 or more, or nothing")
        if not is_number(beta) or beta <= 0:
            raise ValueError(f"beta is {beta!r}, expected a number more than 0")
        self._predictor, task = predictor, label_task(predictor.task)
        decision = task.decision.with_top(top_k, len(task.classes))
        known = ClassScorer(task.classes, decision, beta=float(beta)).known_scores
        ours, self._added = chosen_scores(scores, known, known)
        self._headlines = headlines(scores, _HEADLINES, self._added)
        self.scorer = ClassScorer(task.classes, decision, beta=float(beta), scores=ours, added=self._added)
        rehearse(self._added, made_up_labels(task.classes))

    def asked(self, case: Case, mine: Mine | None) -> tuple[Any, ...]:
        """Ask for the classes of one image."""
        if mine is not None and not self._predictor.preparation.files.flat:
            raise DataError(
                "split.by is `slice`, and a class is of a whole volume: slices of it are in several roles. Set "
                "split.by=group."
            )
        found, labels = self._classified(case)
        return case.id, case.group, indicator(labels, self.scorer.classes), found.probabilities

    def keep(self, answer: tuple[Any, ...]) -> None:
        """Score them."""
        self.scorer.add(*answer)

    def notes(self) -> Sequence[str]:
        """Of patients and classes that are too few."""
        return self.scorer.notes()

    def tables(self, seed: int) -> Mapping[str, DataFrame]:
        """Predictions for each image, all scores and, for exclusive classes, images by true and predicted class."""
        tables = {"": self.scorer.frame(), "_summary": self.scorer.summary(seed)}
        if self.scorer.exclusive:
            tables["_confusion"] = matrix_table(self.scorer.matrix, self.scorer.classes)
        return tables

    parts = ("",)

    def pooled(self, parts: Sequence[Part], seed: int) -> Pooled:
        """All scores of all images; probabilities of different models are compared in what is ranked."""
        frame = joined(parts, "", ("case",))
        fill(self.scorer, frame)
        return Pooled(self.tables(seed), class_figures(self.scorer, "folds"))

    def metrics(self, tables: Mapping[str, DataFrame], role: str) -> dict[str, float]:
        """`<role>/<score>` of all classes together, and `<role>/<score>/<class>`."""
        return metrics_of(tables["_summary"], role, self._headlines, key_name)

    def figures(
        self, summary: DataFrame, cases: Mapping[str, Case], role: str, say: Callable[[str], None]
    ) -> Figures:
        """Confusion, curves, reliability, the surest mistakes, and where the network looked."""
        frame = self.scorer.frame()
        figures = {
            **class_figures(self.scorer, role),
            **added_bars(self._added, summary, frame, role),
            "mistakes": lambda: self._mistakes(frame, cases, role),
        }
        try:
            looked = self._attention(frame, cases, role)
        except ModelError as error:  # a network without feature maps has no place to look at
            say(f"No picture of where the network looked: {error}.")
            return figures
        return {**figures, "attention": lambda: looked}

    def _classified(self, case: Case) -> tuple[Classification, tuple[str, ...]]:
        if case.labels is None:
            raise DataError("an image has no class to be scored against. Add it, or leave the image out.")
        return self._predictor.classify(self._predictor.read_image(case)), case.labels

    def _mistakes(self, frame: DataFrame, cases: Mapping[str, Case], role: str) -> Figure:
        wrong = frame[~frame["correct"]].sort_values(["confidence", "case"], ascending=[False, True])
        looked_at = (self._classified(cases[str(case)]) for case in wrong["case"].head(_MISTAKES))
        claims = [claim_of(self._predictor, found, truth) for found, truth in looked_at]
        return mistake_grid(
            claims, wrong=len(wrong), total=len(frame), heading=f"{role}: the surest mistakes"
        )

    def _attention(self, frame: DataFrame, cases: Mapping[str, Case], role: str) -> Figure:
        """The surest hit of each class, of as many as there is room for, and the surest misses."""
        order = frame.sort_values(["confidence", "case"], ascending=[False, True])
        hits = order[order["correct"]].groupby("truth", sort=True).head(1)["case"].head(_LOOKED_AT)
        misses = order[~order["correct"]]["case"].head(_LOOKED_AT)
        looked_at = [self._classified(cases[str(case)]) for case in [*hits, *misses]]
        heading = f"{role}: where the network looked for the most probable class"
        return attention_picture(self._predictor, looked_at, heading=heading)
