"""Segmentation of a foreground against its background."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from monai.losses import DiceLoss
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from medseg.component import Slot
from medseg.errors import DefinitionError
from medseg.images.formats import FileKind
from medseg.learning.scores.added.case_score import CaseScore
from medseg.learning.scores.epoch.masks import DiceByCase
from medseg.learning.settings import is_number
from medseg.learning.tasks.class_weights import FREQUENCY, Given, Weights, weights_of
from medseg.learning.tasks.target import MASKS, Target
from medseg.learning.tasks.task import Loss, Scorer
from medseg.text import as_names


@dataclass(frozen=True)
class BinaryMask:
    """Every pixel is foreground or background; the network gives one logit.

    A pixel is foreground where its probability, the sigmoid of the logit, is at least the threshold.

    The loss is `cross_entropy` times the binary cross-entropy plus `dice` times one minus the soft Dice of all
    pixels of a batch (MONAI's `DiceLoss`), or another loss that is declared.

    Attributes:
        classes: Names of background and foreground.
        threshold: In [0, 1]; the step `TuneThreshold` searches it.
        cross_entropy: Weight of the cross-entropy, 0 or more.
        dice: Weight of the Dice loss, 0 or more.
        class_weights: Weights of background and foreground in the cross-entropy, `frequency` (inverse frequency
            in the training part, with a mean of 1), or None for equal ones.
        loss_of: Makes another loss of logits (B, 1, H, W) and a target of 0 and 1 of that shape.
    """

    declared: ClassVar[Mapping[str, Slot]] = {"loss": Slot("torch.nn.Module")}

    classes: tuple[str, str]
    threshold: float = 0.5
    cross_entropy: float = 1.0
    dice: float = 1.0
    class_weights: Weights = None
    loss_of: Callable[..., Any] | None = None

    def __init__(
        self,
        classes: Sequence[str] = ("background", "foreground"),
        threshold: float = 0.5,
        cross_entropy: float = 1.0,
        dice: float = 1.0,
        class_weights: Given = None,
        loss: Callable[..., Any] | None = None,
    ) -> None:
        for name, value in (
            ("classes", as_names(classes)),
            ("threshold", threshold),
            ("cross_entropy", cross_entropy),
            ("dice", dice),
            ("loss_of", loss),
        ):
            object.__setattr__(self, name, value)
        self._refuse_contradictions()
        weights = weights_of(class_weights, self.classes)
        if weights is not None and (self.loss_of is not None or not self.cross_entropy):
            raise DefinitionError(
                "task.class_weights weigh the cross-entropy, and the loss has none: set task.cross_entropy, or "
                "leave them out"
            )
        object.__setattr__(self, "class_weights", weights)

    def _refuse_contradictions(self) -> None:
        if len(self.classes) != 2 or len(set(self.classes)) != 2:
            raise DefinitionError(
                f"expected two distinct classes at task.classes, background and foreground, got {list(self.classes)}"
            )
        for name in ("threshold", "cross_entropy", "dice"):
            value = getattr(self, name)
            if not is_number(value) or value < 0:
                raise DefinitionError(f"task.{name} is {value!r}, expected a number, 0 or more")
        if self.threshold > 1:
            raise DefinitionError(f"task.threshold is {self.threshold}, expected a probability in [0, 1]")
        if self.loss_of is None and not (self.cross_entropy or self.dice):
            raise DefinitionError("task.cross_entropy and task.dice are both 0: nothing would be learned")

    @property
    def target(self) -> Target:
        """Label maps."""
        return MASKS

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return self.classes

    @property
    def regions(self) -> Mapping[str, tuple[int, ...]]:
        """None."""
        return {}

    @property
    def select(self) -> tuple[str, ...]:
        """The foreground."""
        return self.classes[1:]

    @property
    def out_channels(self) -> int:
        """One logit."""
        return 1

    @property
    def maps(self) -> tuple[str, ...]:
        """The foreground."""
        return self.classes[1:]

    @property
    def outside(self) -> tuple[float, ...]:
        """Background, for certain."""
        return (0.0,)

    @property
    def cuts(self) -> Mapping[str, float]:
        """The one threshold, of the foreground."""
        return {self.classes[1]: self.threshold}

    def inside(self, label: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(1, ...) where a label map is foreground."""
        return np.asarray(label == 1)[None]

    def with_cuts(self, cuts: Mapping[str, float]) -> BinaryMask:
        """The same task with another threshold."""
        return self.at(cuts[self.classes[1]])

    def at(self, threshold: float) -> BinaryMask:
        """The same task with another threshold."""
        return BinaryMask(
            self.classes, threshold, self.cross_entropy, self.dice, self.class_weights, self.loss_of
        )

    def weighted(self, counts: NDArray[np.int64]) -> BinaryMask:
        """Turn `class_weights: frequency` into numbers; other tasks come back as they are."""
        if self.class_weights != FREQUENCY:
            return self
        if not counts.all():
            raise DefinitionError(
                f"task.class_weights is `{FREQUENCY}`, and the training part holds {int(counts[0])} pixels of "
                f"background and {int(counts[1])} of foreground. Give numbers, or leave the weights out."
            )
        inverse = counts.sum() / counts
        weights = tuple(float(weight) for weight in 2 * inverse / inverse.sum())
        return BinaryMask(self.classes, self.threshold, self.cross_entropy, self.dice, weights)

    def loss(self) -> Loss:
        """Loss of logits (B, 1, H, W) and labels (B, 1, H, W)."""
        if self.loss_of is not None:
            return _Declared(self.loss_of())
        background, foreground = self.class_weights if isinstance(self.class_weights, tuple) else (1.0, 1.0)
        return CrossEntropyAndDice(self.cross_entropy, self.dice, (background, foreground))

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """The sigmoid."""
        return torch.sigmoid(logits.float())

    def decode(self, logits: torch.Tensor) -> torch.Tensor:
        """1 where the probability is at least the threshold, else 0."""
        return (self.probabilities(logits)[:, 0] >= self.threshold).long()

    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
        """1 where the probability is at least the threshold, else 0."""
        return (probabilities[0] >= np.float32(self.threshold)).astype(np.uint8)

    def scorer(self, added: Sequence[str | CaseScore] = ()) -> Scorer:
        """Dice of each case, then the mean over cases."""
        return DiceByCase(self, added)

    def evaluation(self, files: FileKind) -> str:
        """Of pictures all that is known of a foreground; of volumes that of both classes."""
        return f"medseg.steps.evaluation.{'Foreground' if files.flat else 'Volume'}Evaluation"

    def output(self, files: FileKind) -> str:
        """Label maps, as pictures or as volumes."""
        return f"medseg.api.outputs.{'PictureOutput' if files.flat else 'VolumeOutput'}"

    def spec(self) -> dict[str, Any]:
        """Declaration for inference: classes and threshold; the loss is left behind."""
        return {
            "_target_": "medseg.learning.BinaryMask",
            "classes": list(self.classes),
            "threshold": self.threshold,
        }


class CrossEntropyAndDice(torch.nn.Module):
    """Binary cross-entropy and soft Dice of logits (B, C, H, W) against maps of 0 and 1 of that shape.

    Args:
        cross_entropy: What the mean over all pixels counts by.
        dice: What the Dice loss counts by: the mean over the C maps, each over all pixels of the batch.
        weights: Of 0 and of 1 in the cross-entropy.
    """

    def __init__(self, cross_entropy: float, dice: float, weights: tuple[float, float] = (1.0, 1.0)) -> None:
        super().__init__()
        self.cross_entropy, self.dice, self.weights = cross_entropy, dice, weights
        self.soft_dice = DiceLoss(sigmoid=True, batch=True)

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Weighted sum of both."""
        given, target = logits.float(), label.float()
        total = given.new_zeros(())
        if self.cross_entropy:
            background, foreground = self.weights
            weight = background + (foreground - background) * target
            total = total + self.cross_entropy * binary_cross_entropy_with_logits(given, target, weight)
        if self.dice:
            total = total + self.dice * self.soft_dice(given, target)
        return total


class _Declared(torch.nn.Module):
    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The declared loss, with a target of real numbers."""
        return self.loss(logits.float(), label.float())
