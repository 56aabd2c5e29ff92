"""Scores of the classes of images after each epoch: light, without intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.class_names import key_name
from medseg.errors import DefinitionError
from medseg.learning.scores.added.case_score import CaseScore, as_score, computed
from medseg.learning.scores.added.cases import LabelCase
from medseg.learning.scores.class_measures import ClassMeasures
from medseg.learning.tasks.decision import Decision

MEANS = ("balanced_accuracy", "f1", "f2", "auroc", "average_precision")
"""Over classes."""
OF_CLASS = ("recall", "precision", "f2", "f2_always", "average_precision")
"""Of each class: `f2_always` is the F2 of a model that says it of every image, beside which F2 must be read."""
EPOCH_SCORES = ("accuracy", *MEANS)
"""By which the best weights may be chosen: larger is better, and 1 is perfect."""


class TaskOfClasses(Protocol):
    """What is expected of a task here."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""

    @property
    def decision(self) -> Decision:
        """What probabilities lead to."""

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) to probabilities of the same shape."""


class EpochClassScorer:
    """Scores predicted classes of images after each epoch.

    The probabilities of a case of several slices are averaged over them. A class that a score does not define,
    since no case has it (or all have), is left out of the mean over classes; where no class is left, the accuracy
    stands in for the selected score, so that there is always one, and a perfect prediction has a score of 1;
    `score_name` says so. A probability that is NaN counts as wrong.

    Args:
        task: The task.
        select: What `score` is: one of `EPOCH_SCORES`; of several classes, `accuracy` is `subset_accuracy`.
        added: Scores beside: see `CaseScore`.

    Raises:
        ValueError: `select` is none of them.
        DefinitionError: What is added is no object of this kind.
    """

    def __init__(
        self,
        task: TaskOfClasses,
        select: str = "balanced_accuracy",
        added: Sequence[str | CaseScore] = (),
    ) -> None:
        if select not in EPOCH_SCORES:
            raise ValueError(f"select {select!r}; expected one of {EPOCH_SCORES}")
        named = [each for each in added if isinstance(each, str)]
        if named:
            raise DefinitionError(
                f"{named[0]!r} is no object: of our scores, task.select names the one that chooses"
            )
        self.task = task
        self.select = self.score_name = select
        self._added = [as_score(each) for each in added]
        self._decision = task.decision
        self._accuracy = next(name for name in self._decision.own if name.endswith("accuracy"))
        self._cases: list[list[str]] = []
        self._probabilities: list[torch.Tensor] = []
        self._labels: list[torch.Tensor] = []

    def update(self, cases: Sequence[str], logits: torch.Tensor, label: torch.Tensor) -> None:
        """Take one batch: the case of each slice, logits (B, K) and labels (B, K), 1 for each class.

        Raises:
            ValueError: The shapes do not fit.
        """
        expected = (len(cases), len(self.task.classes))
        if tuple(logits.shape) != expected or tuple(label.shape) != expected:
            raise ValueError(
                f"logits are {tuple(logits.shape)}, labels {tuple(label.shape)}; expected {expected}: slices, classes"
            )
        self._cases.append(list(cases))
        # left where they are until the end: a copy from the device would wait for it in every batch
        self._probabilities.append(self.task.probabilities(logits.detach()).float())
        self._labels.append(label.detach().to(torch.uint8))

    def parts(self) -> list[tuple[list[str], torch.Tensor, torch.Tensor]]:
        """Of each batch its cases, probabilities (B, K) and labels (B, K)."""
        both = zip(self._probabilities, self._labels, strict=True)
        return [
            (cases, chances.cpu(), labels.cpu())
            for cases, (chances, labels) in zip(self._cases, both, strict=True)
        ]

    def take(self, parts: Sequence[tuple[list[str], torch.Tensor, torch.Tensor]]) -> None:
        """Have seen these batches, and no others."""
        self._cases = [cases for cases, *_ in parts]
        self._probabilities = [chances for _, chances, _ in parts]
        self._labels = [labels for *_, labels in parts]

    def compute(self) -> dict[str, float]:
        """Accuracy (of several classes, `subset_accuracy`), means over classes, calibration error, and `score`.

        Of each class `<score>/<class>`: see `OF_CLASS`.

        Of what is added `<score>/<class>`, and as `<score>` that of whole images, or the mean over classes.
        """
        if not self._cases:
            return {"score": 0.0}
        names, truth, probabilities = self._by_case()
        values = ClassMeasures(self._decision, truth, probabilities).point
        found = {
            score: float(values[None, score][0])
            for score in (self._accuracy, *MEANS, "precision", "calibration_error")
        }
        found |= {
            f"{score}/{key_name(name)}": float(values[k, score][0])
            for score in OF_CLASS
            for k, name in enumerate(self.task.classes)
        }
        found = {name: value for name, value in found.items() if not np.isnan(value)}
        accuracy = found[self._accuracy]
        of = self._accuracy if self.select == "accuracy" else self.select
        found["score"] = found.get(of, accuracy)
        self.score_name = of if of in found else f"{self._accuracy}, since the cases do not define {of}"
        rows = list(zip(names, truth, probabilities, self._decision.chosen(probabilities), strict=True))
        for score in self._added:
            every: dict[str, list[float]] = {}
            for case, *arrays in rows:
                for name, value in computed(score, LabelCase(case, self.task.classes, *arrays)).items():
                    every.setdefault(name, []).append(value)
            means = {name: float(np.mean(values)) for name, values in every.items()}
            chosen = means.pop("") if "" in means else np.mean(list(means.values())) if means else np.nan
            found |= {f"{score.name}/{key_name(name)}": value for name, value in means.items()}
            found |= {} if np.isnan(chosen) else {score.name: float(chosen)}
        return found

    def by_case(self) -> dict[str, float]:
        """The probability given to what is so: of the true class; of several, the mean over classes."""
        if not self._cases:
            return {}
        names, truth, probabilities = self._by_case()
        values = self._decision.of_truth(truth, probabilities)
        return dict(zip(names, values.tolist(), strict=True))

    def _by_case(self) -> tuple[list[str], NDArray[np.bool_], NDArray[np.float32]]:
        """Cases, their truth (N, K), and the mean of their probabilities over slices (N, K)."""
        probabilities = torch.cat(self._probabilities).cpu().numpy()
        labels = torch.cat(self._labels).cpu().numpy().astype(bool)
        probabilities = np.where(np.isnan(probabilities), ~labels, probabilities)
        cases = [case for batch in self._cases for case in batch]
        place = {case: i for i, case in enumerate(dict.fromkeys(cases))}
        places = np.array([place[case] for case in cases])
        slices = np.bincount(places, minlength=len(place))[:, None]
        means, has = np.zeros((2, len(place), labels.shape[1]))
        np.add.at(means, places, probabilities)
        np.add.at(has, places, labels)
        if ((has != 0) & (has != slices)).any():
            raise ValueError("slices of one case have different classes; expected those of the case")
        return list(place), has > 0, (means / slices).astype(np.float32)
