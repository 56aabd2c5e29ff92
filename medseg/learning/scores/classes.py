"""Scores of the classes of whole images, from their probabilities.

An image counts once, whatever it shows of which patient; intervals are over patients. Calibration errors are
of `calibration.BINS` = 15 bins of equal width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.added.case_score import CaseScore, computed
from medseg.learning.scores.added.cases import LabelCase
from medseg.learning.scores.calibration import Reliability
from medseg.learning.scores.class_measures import ClassMeasures
from medseg.learning.scores.intervals import Key, over_images
from medseg.learning.scores.probability_counts import ProbabilityCounts
from medseg.learning.scores.tables import case_table, summary_table
from medseg.learning.tasks.decision import Decision

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class ClassCurves:
    """What every threshold on the probability of one class would give; exact, no point left out.

    Attributes:
        fpr: (N,) false positive rates, ascending from 0 to 1; empty where a side is missing.
        tpr: (N,) true positive rates, ascending from 0 to 1; empty likewise.
        auroc: Area under the ROC curve; NaN where a side is missing.
        recall: (M,) recalls, ascending from 0 to 1; empty where no image has the class.
        precision: (M,) precisions, of which the first is 1 by convention.
        average_precision: NaN where no image has the class.
        prevalence: Share of images that have the class.
    """

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    auroc: float
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    average_precision: float
    prevalence: float


class ClassScorer:
    """Scores predicted classes of images. Nothing depends on the order in which they are added.

    Args:
        classes: Names, in the order of their indices.
        decision: That of the task, with the top-k accuracies that are expected.
        beta: Of the F-beta score, which is named after it: `f2`.
        scores: Those of `known_scores` that are summarised; None for all.
        added: Scores that are summarised beside.

    Raises:
        ValueError: Too few names, one of them twice or empty, or `beta` is not positive.
    """

    def __init__(
        self,
        classes: Sequence[str],
        decision: Decision,
        *,
        beta: float = 2.0,
        scores: Sequence[str] | None = None,
        added: Sequence[CaseScore] = (),
    ) -> None:
        least = 2 if decision.exclusive else 1
        if len(classes) < least or len(set(classes)) != len(classes) or "" in classes:
            raise ValueError(f"classes {list(classes)}; expected {least} or more names, none twice or empty")
        if not 0 < beta < np.inf:
            raise ValueError(f"beta {beta}; expected a positive number")
        self.classes = tuple(classes)
        self._beta = beta
        self._decision = decision
        self._scores, self._added = scores, tuple(added)
        self._rows: dict[str, tuple[str, NDArray[np.bool_], NDArray[np.float32]]] = {}
        self._numbers: dict[str, dict[Key, float]] = {}
        self._measures: ClassMeasures | None = None

    @property
    def exclusive(self) -> bool:
        """Whether each image has exactly one of the classes."""
        return self._decision.exclusive

    def add(self, case: str, group: str, truth: NDArray[Any], probabilities: NDArray[np.float32]) -> None:
        """Add the prediction for one image.

        Args:
            case: Public name of the image; each is scored once. Of several slices, average first.
            group: Public name of the patient.
            truth: (K,) 0 or 1 as integers or bool: 1 for each class it has.
            probabilities: (K,) float32 in [0, 1]; of exclusive classes, they sum to 1 (by 0.001).

        Raises:
            ValueError: A case twice, other shapes or types, NaN, probabilities outside [0, 1] or another sum,
                or a truth that is not one class where they are exclusive.
        """
        if case in self._rows:
            raise ValueError("a case was scored twice; score each image once, whole")
        truth, probabilities = np.asarray(truth), np.array(probabilities)
        expected = (len(self.classes),)
        if truth.shape != expected or probabilities.shape != expected:
            raise ValueError(
                f"truth is {truth.shape} and probabilities {probabilities.shape}; expected {expected}"
            )
        if probabilities.dtype != np.float32 or truth.dtype.kind not in "biu":
            raise ValueError(
                f"probabilities are {probabilities.dtype} and truth is {truth.dtype}; expected float32, as the "
                "network gives them, and integers: a conversion would move values across thresholds"
            )
        if not np.isin(truth, (0, 1)).all():
            raise ValueError(f"truth holds {np.unique(truth).tolist()}; expected 1 for each class, else 0")
        if not (probabilities.min() >= 0 and probabilities.max() <= 1):  # NaN fails too
            raise ValueError(
                f"probabilities lie in {probabilities.min()}..{probabilities.max()}; expected numbers in [0, 1]: "
                "apply the activation first, and look for NaN in the network's output"
            )
        self._decision.refuse(truth.astype(bool), probabilities)
        predicted = self._decision.chosen(probabilities[None])[0]
        whole = LabelCase(case, self.classes, truth.astype(bool), probabilities, predicted)
        self._numbers[case] = {
            (self.classes.index(name) if name else None, score.name): value
            for score in self._added
            for name, value in computed(score, whole).items()
        }
        self._rows[case] = group, truth.astype(bool), probabilities
        self._measures = None

    @property
    def measures(self) -> ClassMeasures:
        """The images in the order of their names, for scoring.

        Raises:
            ValueError: There is none.
        """
        if not self._rows:
            raise ValueError("no image was scored; add some first")
        if self._measures is None:
            # in the order of names: floats add up to the same last bit however they came
            rows = [self._rows[case] for case in self._cases]
            truth, probabilities = np.stack([row[1] for row in rows]), np.stack([row[2] for row in rows])
            numbers = [self._numbers[case] for case in self._cases]
            keys = dict.fromkeys(key for each in numbers for key in each)
            added = {key: np.array([each.get(key, np.nan) for each in numbers]) for key in keys}
            self._measures = ClassMeasures(self._decision, truth, probabilities, self._beta, added)
        return self._measures

    @property
    def known_scores(self) -> tuple[str, ...]:
        """Names of all of our scores, of all classes together and of each."""
        nothing = np.zeros((0, len(self.classes)))
        names = ClassMeasures(self._decision, nothing.astype(bool), nothing.astype(np.float32), self._beta)
        return tuple(dict.fromkeys((*names.of_all, *names.of_class)))

    @property
    def matrix(self) -> NDArray[np.int64]:
        """(K, K) images by true (rows) and predicted class.

        Raises:
            ValueError: Classes are not exclusive: an image has no one place in the matrix.
        """
        if not self.exclusive:
            raise ValueError("images have several classes; a confusion matrix needs exclusive ones")
        return self.measures.truth.T.astype(np.int64) @ self.measures.chosen.astype(np.int64)

    def frame(self) -> DataFrame:
        """Give the predictions for each image.

        Returns:
            One row per image, sorted by case: case, group, truth, predicted (names; several are joined by
            "; "), confidence (the largest probability; of several classes, the smallest over the decisions
            on each class), correct (all decisions are), and probability_<class> for each class.
        """
        return case_table(self.measures, self.classes, self._cases, self._groups)

    def summary(self, seed: int = 0) -> DataFrame:
        """Give all scores with their intervals: see `intervals.over_images`.

        Args:
            seed: Of the bootstrap over groups.

        Returns:
            Rows of name (of a class; empty for all together), score, mean (the value), low, high, patients
            and cases in its denominator, and resamples behind the interval. `support` and `predicted` are
            numbers of images, without an interval.
        """
        groups = np.unique(self._groups, return_inverse=True)[1]
        found = over_images(self.measures, groups, seed)
        if self._scores is not None:
            kept = {*self._scores, *(score for _, score in self.measures.added)}
            found = {key: row for key, row in found.items() if key[1] in kept}
        return summary_table(self.measures, self.classes, groups, found)

    def reliability(self) -> Reliability:
        """Compare probabilities with observed shares: that of which `calibration_error` of all together is."""
        return self.counts().reliability()

    def curves(self, name: str) -> ClassCurves:
        """Give the ROC and the precision-recall curve of a class against the rest."""
        counts, every = self.counts(name), len(self._rows) + 2
        images = counts.foreground + counts.background
        return ClassCurves(
            *counts.roc(every),
            counts.auroc(),
            *counts.precision_recall(every),
            counts.average_precision(),
            counts.foreground / images,
        )

    def notes(self) -> tuple[str, ...]:
        """Say what keeps intervals and scores from saying much; empty where nothing does."""
        patients = len(set(self._groups))
        found = []
        if patients == 1:
            found.append("all images are of one patient: there are no intervals")
        support = self.measures.truth.sum(axis=0)
        missing = [name for name, images in zip(self.classes, support, strict=True) if not images]
        if missing:
            found.append(f"no image has {', '.join(missing)}: left out of means over classes")
        return tuple(found)

    @property
    def _cases(self) -> list[str]:
        return sorted(self._rows)

    @property
    def _groups(self) -> list[str]:
        return [self._rows[case][0] for case in self._cases]

    def counts(self, name: str | None = None) -> ProbabilityCounts:
        """How often each probability was given, and how often it was so.

        Args:
            name: A class; without, the predicted class of each image, or where there are several, every
                class of every image.
        """
        if name is None:
            forecasts = self._decision.forecasts(self.measures.truth, self.measures.probabilities)
            return ProbabilityCounts.of(*forecasts)
        if name not in self.classes:
            raise ValueError(f"no class {name!r}; there are {list(self.classes)}")
        place = self.classes.index(name)
        return ProbabilityCounts.of(self.measures.probabilities[:, place], self.measures.truth[:, place])
