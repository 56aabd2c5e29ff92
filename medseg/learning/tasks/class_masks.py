"""Segmentation into exclusive classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from monai.losses import DiceCELoss, GeneralizedWassersteinDiceLoss, NACLLoss
from monai.networks import one_hot
from numpy.typing import NDArray

from medseg.component import Slot
from medseg.errors import DefinitionError
from medseg.images.formats import FileKind
from medseg.learning.scores.added.case_score import CaseScore
from medseg.learning.scores.epoch.masks import DiceByCase
from medseg.learning.tasks.class_weights import FREQUENCY, Given, Weights, inverse_frequency, weights_of
from medseg.learning.tasks.smoothed import refuse_weighted_smoothing
from medseg.learning.tasks.target import MASKS, Target
from medseg.learning.tasks.task import Loss, Scorer
from medseg.text import as_names


@dataclass(frozen=True)
class ClassMasks:
    """Every voxel has one of K classes; the network gives K logits.

    Attributes:
        classes: Names, in the order of their indices.
        regions: Unions of classes by name, as indices, scored beside the classes.
        select: Names of the classes and regions whose mean Dice chooses the best weights; all but the first
            class when left out.
        loss_of: Makes the loss from `weight` (a (K,) tensor or None): MONAI's and torch's losses both do.
            MONAI's Dice plus cross-entropy when left out.
        class_weights: One weight a class, in their order or by name (1 for those not named); `frequency` (inverse
            frequency of its voxels in the training part, with a mean of 1 over the classes that occur and 0 for the
            others); or None.
    """

    declared: ClassVar[Mapping[str, Slot]] = {"loss": Slot("torch.nn.Module", ("weight",))}

    classes: tuple[str, ...]
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    select: tuple[str, ...] = ()
    loss_of: Callable[..., Any] | None = None
    class_weights: Weights = None

    def __init__(
        self,
        classes: Sequence[str],
        regions: Mapping[str, Sequence[int]] | None = None,
        select: Sequence[str] = (),
        loss: Callable[..., Any] | None = None,
        class_weights: Given = None,
    ) -> None:
        chosen = members_of({} if regions is None else regions)
        for name, value in (
            ("classes", as_names(classes)),
            ("regions", chosen),
            ("select", as_names(select) or tuple(classes[1:])),
            ("loss_of", loss),
        ):
            object.__setattr__(self, name, value)
        self._refuse_contradictions()
        object.__setattr__(self, "class_weights", weights_of(class_weights, self.classes))

    def _refuse_contradictions(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise DefinitionError(
                f"expected two or more distinct classes at task.classes, got {list(self.classes)}"
            )
        for name, members in self.regions.items():
            wrong = [i for i in members if not 0 <= i < len(self.classes)]
            if wrong or not members or name in self.classes:
                raise DefinitionError(
                    f"region {name!r} at task.regions must have a name of its own and indices in "
                    f"0..{len(self.classes) - 1}, got {list(members)}"
                )
        unknown = [name for name in self.select if name not in self.names]
        if unknown:
            raise DefinitionError(f"task.select names {unknown}, which are not among {list(self.names)}")

    @property
    def target(self) -> Target:
        """Label maps."""
        return MASKS

    @property
    def names(self) -> tuple[str, ...]:
        """Classes, then regions."""
        return (*self.classes, *self.regions)

    @property
    def out_channels(self) -> int:
        """One logit a class."""
        return len(self.classes)

    @property
    def maps(self) -> tuple[str, ...]:
        """The classes."""
        return self.classes

    @property
    def outside(self) -> tuple[float, ...]:
        """The first class, for certain."""
        return (1.0, *(0.0 for _ in self.classes[1:]))

    def weighted(self, counts: NDArray[np.int64]) -> ClassMasks:
        """Turn `class_weights: frequency` into numbers; other tasks come back as they are."""
        if self.class_weights != FREQUENCY:
            return self
        return ClassMasks(self.classes, self.regions, self.select, self.loss_of, inverse_frequency(counts))

    def loss(self) -> Loss:
        """The loss, with the target in the form that its library wants.

        torch's losses take class indices (B, H, W); MONAI's take indices (B, 1, H, W) with `to_onehot_y`,
        else a one-hot (B, K, H, W), but for two that take indices always.
        """
        given = self.class_weights if isinstance(self.class_weights, tuple) else None
        weight = None if given is None else torch.tensor(given, dtype=torch.float32)
        make = self.loss_of or _dice_and_cross_entropy
        loss = make() if weight is None else make(weight=weight)
        if weight is not None and not any(_same(held, weight) for held in loss.buffers()):
            raise DefinitionError(
                f"task.class_weights is set, but {type(loss).__name__} takes no weights of classes. Leave them out, "
                "or take a loss that does, such as monai.losses.DiceCELoss."
            )
        refuse_weighted_smoothing(loss, "Leave out the weights, or label_smoothing.")
        if type(loss).__module__.startswith("torch.") or isinstance(loss, NACLLoss):
            return _WithTarget(loss, lambda label: label[:, 0].long())
        indices = isinstance(loss, GeneralizedWassersteinDiceLoss)
        if indices or any(getattr(part, "to_onehot_y", False) for part in loss.modules()):
            return _WithTarget(loss, lambda label: label.long())
        classes = len(self.classes)
        return _WithTarget(loss, lambda label: one_hot(label.long(), classes))

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Softmax over classes."""
        return torch.softmax(logits.float(), dim=1)

    def decode(self, logits: torch.Tensor) -> torch.Tensor:
        """The most probable class; the first of equals. `max` is several times faster than `argmax` here."""
        return logits.max(dim=1).indices

    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The most probable class; the first of equals."""
        return probabilities.argmax(axis=0).astype(np.uint8)

    def scorer(self, added: Sequence[str | CaseScore] = ()) -> Scorer:
        """Dice of each class and region, per case, then the mean over cases."""
        return DiceByCase(self, added)

    def evaluation(self, files: FileKind) -> str:
        """Of classes and regions, whatever the files."""
        del files
        return "medseg.steps.evaluation.VolumeEvaluation"

    def output(self, files: FileKind) -> str:
        """Label maps, as pictures or as volumes."""
        return f"medseg.api.outputs.{'PictureOutput' if files.flat else 'VolumeOutput'}"

    def spec(self) -> dict[str, Any]:
        """Declaration for inference: classes, regions and selection; the loss is left behind."""
        return {
            "_target_": "medseg.learning.ClassMasks",
            "classes": list(self.classes),
            "regions": {name: list(members) for name, members in self.regions.items()},
            "select": list(self.select),
        }


def members_of(regions: Any, *, least: int = 0) -> dict[str, tuple[int, ...]]:
    """The classes of each region, as indices.

    Raises:
        DefinitionError: They are given in another form, or are fewer than the least.
    """
    named = isinstance(regions, Mapping) and len(regions) >= least
    if not named or not all(
        isinstance(each, Sequence) and all(type(index) is int for index in each) for each in regions.values()
    ):
        raise DefinitionError(
            f"task.regions is {regions!r}, expected the class indices of each region by its name, such as "
            "{whole: [1, 2], core: [2]}"
        )
    return {str(name): tuple(map(int, members)) for name, members in regions.items()}


def _same(held: torch.Tensor, weight: torch.Tensor) -> bool:
    return held.shape == weight.shape and bool(torch.allclose(held.float().cpu(), weight))


def _dice_and_cross_entropy(weight: torch.Tensor | None = None) -> Any:
    return DiceCELoss(to_onehot_y=True, softmax=True, weight=weight)


class _WithTarget(torch.nn.Module):
    """A loss that first brings the label into the form it wants."""

    def __init__(self, loss: Any, target: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.loss, self.target = loss, target

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Loss of logits (B, K, H, W) and labels (B, 1, H, W)."""
        return self.loss(logits.float(), self.target(label))
