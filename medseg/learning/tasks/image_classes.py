"""Classification of whole images: into exclusive classes, or with any number of them at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.component import Slot
from medseg.errors import DefinitionError
from medseg.images.formats import FileKind
from medseg.learning.scores.added.case_score import CaseScore
from medseg.learning.scores.epoch.labels import EPOCH_SCORES, EpochClassScorer
from medseg.learning.settings import is_number
from medseg.learning.tasks.class_weights import FREQUENCY, Given, Weights, inverse_frequency, weights_of
from medseg.learning.tasks.decision import Decision
from medseg.learning.tasks.exclusive import OneClass
from medseg.learning.tasks.label_loss import OfLabels, declared_loss, index, kept_index, numbers
from medseg.learning.tasks.multilabel import THRESHOLD, AnyClasses
from medseg.learning.tasks.smoothed import SmoothedCrossEntropy, refuse_weighted_smoothing
from medseg.learning.tasks.target import MANY_LABELS, ONE_LABEL, Target
from medseg.learning.tasks.task import Loss, Scorer
from medseg.text import as_names


class _OfWholeImages(ABC):
    """What both tasks share: a logit for each class, a decision on their probabilities, and no regions."""

    classes: tuple[str, ...]

    @property
    @abstractmethod
    def decision(self) -> Decision:
        """What probabilities (N, K) lead to."""

    @property
    def regions(self) -> Mapping[str, tuple[int, ...]]:
        """None."""
        return {}

    @property
    def out_channels(self) -> int:
        """One logit a class."""
        return len(self.classes)

    @property
    def maps(self) -> tuple[str, ...]:
        """The classes."""
        return self.classes

    def evaluation(self, files: FileKind) -> str:
        """Of images, whatever the files."""
        del files
        return "medseg.steps.evaluation.LabelEvaluation"

    def output(self, files: FileKind) -> str:
        """A table, and heat maps on wish."""
        del files
        return "medseg.api.outputs.ClassOutput"

    def chosen(self, probabilities: NDArray[np.float32]) -> tuple[str, ...]:
        """The classes, in their order, that the decision predicts from probabilities (K,)."""
        flags = self.decision.chosen(probabilities[None])[0]
        return tuple(name for name, is_chosen in zip(self.classes, flags, strict=True) if is_chosen)


@dataclass(frozen=True)
class ImageClasses(_OfWholeImages):
    """Every image has one of K classes; the network gives K logits.

    Attributes:
        classes: Names, in the order of their indices; those of the data when a definition leaves them out.
        select: The score by which the best weights are chosen: balanced_accuracy, accuracy, f1, f2, auroc or
            average_precision.
        loss_of: Makes the loss from `weight` (a (K,) tensor or None); the cross-entropy when left out, in which each
            image is weighted by its own class.
        class_weights: One weight a class, in their order or by name (1 for those not named), such as {tumour: 3.0};
            `frequency` (inverse frequency of its images in the training part,
            with a mean of 1 over the classes that occur), or None.
        label_smoothing: Of the cross-entropy, in [0, 1).
        temperature: What logits are divided by before the softmax, above 0; `medseg.steps.ScaleTemperature` finds it.
            The loss knows nothing of it.
    """

    declared: ClassVar[Mapping[str, Slot]] = {"loss": Slot("torch.nn.Module", ("weight",))}

    classes: tuple[str, ...]
    select: str = "balanced_accuracy"
    loss_of: Callable[..., Any] | None = None
    class_weights: Weights = None
    label_smoothing: float = 0.0
    temperature: float = 1.0

    def __init__(
        self,
        classes: Sequence[str],
        select: str = "balanced_accuracy",
        loss: Callable[..., Any] | None = None,
        class_weights: Given = None,
        label_smoothing: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        for name, value in (
            ("classes", as_names(classes)),
            ("select", select),
            ("loss_of", loss),
            ("label_smoothing", label_smoothing),
            ("temperature", temperature),
        ):
            object.__setattr__(self, name, value)
        _refuse_classes(self.classes, least=2)
        _refuse_temperature(self.temperature)
        _refuse_selection(self.select)
        object.__setattr__(self, "class_weights", weights_of(class_weights, self.classes))
        smooth = self.label_smoothing
        if not is_number(smooth) or not 0 <= smooth < 1:
            raise DefinitionError(f"task.label_smoothing is {smooth!r}, expected a number in [0, 1)")
        if smooth and self.loss_of is not None:
            raise DefinitionError("task.label_smoothing is of the cross-entropy: set it in task.loss instead")

    @property
    def decision(self) -> OneClass:
        """The most probable class; the first of equals."""
        return OneClass()

    @property
    def target(self) -> Target:
        """One class of the whole image."""
        return ONE_LABEL

    def weighted(self, counts: NDArray[np.int64]) -> ImageClasses:
        """Turn `class_weights: frequency` into numbers; other tasks come back as they are."""
        if self.class_weights != FREQUENCY:
            return self
        weights = inverse_frequency(counts)
        return ImageClasses(
            self.classes, self.select, self.loss_of, weights, self.label_smoothing, self.temperature
        )

    def at_temperature(self, temperature: float) -> ImageClasses:
        """The same task with another temperature."""
        return ImageClasses(
            self.classes, self.select, self.loss_of, self.class_weights, self.label_smoothing, temperature
        )

    def loss(self) -> Loss:
        """The loss of logits (B, K) and labels (B, K), with the target in the form that its library wants.

        torch's losses take class indices (B,); MONAI's a one-hot (B, K), or indices (B, 1) with `to_onehot_y`.

        Raises:
            DefinitionError: Weights are given, and the declared loss does not take them, or smooths as well.
        """
        weight = _tensor(self.class_weights)
        if self.loss_of is None:
            return OfLabels(SmoothedCrossEntropy(weight, self.label_smoothing), index)
        loss = declared_loss(self.loss_of, weight)
        refuse_weighted_smoothing(
            loss, "Leave task.loss out, and set task.class_weights and task.label_smoothing."
        )
        if type(loss).__module__.startswith("torch."):
            return OfLabels(loss, index)
        makes_one_hot = any(getattr(part, "to_onehot_y", False) for part in loss.modules())
        return OfLabels(loss, kept_index if makes_one_hot else numbers)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Softmax over classes, (B, K)."""
        return torch.softmax(logits.float() / self.temperature, dim=1)

    def scorer(self, added: Sequence[str | CaseScore] = ()) -> Scorer:
        """Scores over cases."""
        return EpochClassScorer(self, self.select, added)

    def spec(self) -> dict[str, Any]:
        """Declaration for inference: classes, selection and temperature; the loss is left behind."""
        target = "medseg.learning.ImageClasses"
        spec = {"_target_": target, "classes": list(self.classes), "select": self.select}
        return {**spec, **_kept_temperature(self.temperature)}


@dataclass(frozen=True)
class ImageTags(_OfWholeImages):
    """Every image has any number of K classes, also none; the network gives K logits, each with a sigmoid.

    A class is predicted where its probability reaches the threshold.

    Attributes:
        classes: Names, in the order of their indices; those of the data when a definition leaves them out.
        select: As of `ImageClasses`; macro averages over classes.
        loss_of: Makes the loss from `weight` (a (K,) tensor or None); torch's binary cross-entropy when left
            out.
        class_weights: As of `ImageClasses`; they weigh the terms of each class.
        threshold: Of all classes, in (0, 1); predictions, scores and figures go by it, and the model keeps it.
        temperature: As of `ImageClasses`, before the sigmoid.
    """

    declared: ClassVar[Mapping[str, Slot]] = {"loss": Slot("torch.nn.Module", ("weight",))}

    classes: tuple[str, ...]
    select: str = "f1"
    loss_of: Callable[..., Any] | None = None
    class_weights: Weights = None
    threshold: float = THRESHOLD
    temperature: float = 1.0

    def __init__(
        self,
        classes: Sequence[str],
        select: str = "f1",
        loss: Callable[..., Any] | None = None,
        class_weights: Given = None,
        threshold: float = THRESHOLD,
        temperature: float = 1.0,
    ) -> None:
        for name, value in (
            ("classes", as_names(classes)),
            ("select", select),
            ("loss_of", loss),
            ("threshold", threshold),
            ("temperature", temperature),
        ):
            object.__setattr__(self, name, value)
        _refuse_classes(self.classes, least=1)
        _refuse_temperature(self.temperature)
        _refuse_selection(self.select)
        object.__setattr__(self, "class_weights", weights_of(class_weights, self.classes))
        try:
            _ = self.decision
        except ValueError as error:
            raise DefinitionError(f"task.{error}") from error

    @property
    def decision(self) -> AnyClasses:
        """Each class whose probability reaches the threshold."""
        return AnyClasses(self.threshold)

    @property
    def target(self) -> Target:
        """Any number of classes of the whole image."""
        return MANY_LABELS

    def weighted(self, counts: NDArray[np.int64]) -> ImageTags:
        """Turn `class_weights: frequency` into numbers; other tasks come back as they are."""
        if self.class_weights != FREQUENCY:
            return self
        weights = inverse_frequency(counts)
        return ImageTags(self.classes, self.select, self.loss_of, weights, self.threshold, self.temperature)

    def at_temperature(self, temperature: float) -> ImageTags:
        """The same task with another temperature."""
        return ImageTags(
            self.classes, self.select, self.loss_of, self.class_weights, self.threshold, temperature
        )

    def loss(self) -> Loss:
        """The loss of logits (B, K) and labels (B, K), as numbers of 0 and 1.

        Raises:
            DefinitionError: Weights are given, and the declared loss does not take them.
        """
        weight = _tensor(self.class_weights)
        if self.loss_of is None:
            return OfLabels(torch.nn.BCEWithLogitsLoss(weight=weight), numbers)
        return OfLabels(declared_loss(self.loss_of, weight), numbers)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """The sigmoid of each logit, (B, K)."""
        return torch.sigmoid(logits.float() / self.temperature)

    def scorer(self, added: Sequence[str | CaseScore] = ()) -> Scorer:
        """Scores over cases."""
        return EpochClassScorer(self, self.select, added)

    def spec(self) -> dict[str, Any]:
        """Declaration for inference: all but the loss, which is left behind."""
        return {
            "_target_": "medseg.learning.ImageTags",
            "classes": list(self.classes),
            "select": self.select,
            "threshold": self.threshold,
            **_kept_temperature(self.temperature),
        }


def _refuse_classes(classes: tuple[str, ...], *, least: int) -> None:
    if len(classes) < least or len(set(classes)) != len(classes):
        expected = "two or more distinct classes" if least > 1 else "distinct classes"
        raise DefinitionError(f"expected {expected} at task.classes, got {list(classes)}")


def _refuse_selection(select: str) -> None:
    if select not in EPOCH_SCORES:
        raise DefinitionError(f"task.select is {select!r}, expected one of {', '.join(EPOCH_SCORES)}")


def _refuse_temperature(temperature: object) -> None:
    if not is_number(temperature) or temperature <= 0:
        raise DefinitionError(f"task.temperature is {temperature!r}, expected a number above 0")


def _kept_temperature(temperature: float) -> dict[str, float]:
    """As a model keeps it: models of before, and those that were not scaled, have none."""
    return {} if temperature == 1 else {"temperature": temperature}


def _tensor(weights: Weights) -> torch.Tensor | None:
    return torch.tensor(weights, dtype=torch.float32) if isinstance(weights, tuple) else None
