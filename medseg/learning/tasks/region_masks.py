"""Segmentation into regions that may overlap, such as a whole tumour and its core."""

from __future__ import annotations

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
from medseg.learning.scores.epoch.masks import DiceByCase
from medseg.learning.settings import is_number
from medseg.learning.tasks.binary_mask import CrossEntropyAndDice
from medseg.learning.tasks.class_masks import members_of
from medseg.learning.tasks.target import MASKS, Target
from medseg.learning.tasks.task import Loss, Scorer
from medseg.text import as_names

_HALF = 0.5
_LEAST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class RegionMasks:
    """Every voxel is in any number of R regions; the network gives one logit a region.

    A voxel is predicted to be in a region where the sigmoid of its logit is at least the threshold of the region. The
    label map is painted region by region, in their order, each with the class that is in it and in no later one, as
    nnU-Net's `regions_class_order` has it: where regions contradict each other, the later one decides. Scores are of
    this label map, so that they are those of the file that `medseg predict` writes.

    Attributes:
        classes: Names of the classes of label maps, in the order of their indices. The first one alone is in no
            region.
        regions: Class indices that each region joins, by its name: larger regions before those within them.
        select: Names of the classes and regions whose mean Dice chooses the best weights; all regions when left out.
        thresholds: In (0, 1], one for each region; the step `TuneThreshold` searches them.
        loss_of: Makes the loss of logits (B, R, H, W) and maps of 0 and 1 of that shape. Binary cross-entropy plus
            the soft Dice of each region, over all pixels of a batch, when left out.

    Args:
        thresholds: One for all regions, or one each by name; 0.5 where one is left out.

    Raises:
        DefinitionError: Settings contradict each other, or label maps do not follow from the regions.
    """

    declared: ClassVar[Mapping[str, Slot]] = {"loss": Slot("torch.nn.Module")}

    classes: tuple[str, ...]
    regions: Mapping[str, tuple[int, ...]]
    select: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()
    loss_of: Callable[..., Any] | None = None

    def __init__(
        self,
        classes: Sequence[str],
        regions: Mapping[str, Sequence[int]],
        select: Sequence[str] = (),
        thresholds: float | Mapping[str, float] = _HALF,
        loss: Callable[..., Any] | None = None,
    ) -> None:
        named = members_of(regions, least=1)
        for name, value in (
            ("classes", as_names(classes)),
            ("regions", named),
            ("select", as_names(select) or tuple(named)),
            ("thresholds", _thresholds(thresholds, tuple(named))),
            ("loss_of", loss),
        ):
            object.__setattr__(self, name, value)
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        classes, every = self.classes, range(len(self.classes))
        if len(classes) < 2 or len(set(classes)) != len(classes):
            raise DefinitionError(
                f"expected two or more distinct classes at task.classes, got {list(classes)}"
            )
        for name, members in self.regions.items():
            if name in classes or not members or not set(members) <= set(every):
                raise DefinitionError(
                    f"region {name!r} at task.regions must have a name of its own and indices in "
                    f"0..{len(classes) - 1}, got {list(members)}"
                )
        if unknown := [name for name in self.select if name not in self.names]:
            raise DefinitionError(f"task.select names {unknown}, which are not among {list(self.names)}")
        outside = [classes[i] for i in every if not any(i in each for each in self.regions.values())]
        if outside != [classes[0]]:
            raise DefinitionError(
                f"of task.classes, {outside} are in no region, expected {classes[0]!r} alone: the label map would "
                "not follow from the regions. Add a region that holds the others (such as the brain around a "
                "tumour), or take a manifest in which they are one class, the first."
            )
        for name, own in self._own().items():
            if len(own) != 1:
                several = f"the classes {[classes[i] for i in own]}" if own else "no class"
                raise DefinitionError(
                    f"region {name!r} at task.regions holds {several} that no later region holds, expected one: "
                    "the label map would not follow from the regions. Name larger regions before those within them, "
                    "and for each class one region that it is the rest of."
                )

    def _own(self) -> dict[str, tuple[int, ...]]:
        """The classes of each region that are in no later one."""
        names, found = list(self.regions), {}
        for place, name in enumerate(names):
            later = {index for other in names[place + 1 :] for index in self.regions[other]}
            found[name] = tuple(index for index in dict.fromkeys(self.regions[name]) if index not in later)
        return found

    @property
    def painted(self) -> tuple[int, ...]:
        """The class that each region is painted with, in their order."""
        return tuple(own[0] for own in self._own().values())

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
        """One logit a region."""
        return len(self.regions)

    @property
    def maps(self) -> tuple[str, ...]:
        """The regions."""
        return tuple(self.regions)

    @property
    def outside(self) -> tuple[float, ...]:
        """In no region, for certain."""
        return (0.0,) * len(self.regions)

    @property
    def cuts(self) -> Mapping[str, float]:
        """The threshold of each region."""
        return dict(zip(self.regions, self.thresholds, strict=True))

    def inside(self, label: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(R, ...) which places of a label map are in each region."""
        return np.stack([np.isin(label, members) for members in self.regions.values()])

    def with_cuts(self, cuts: Mapping[str, float]) -> RegionMasks:
        """The same task with other thresholds; 0, by which everything would be in a region, is the least above it."""
        kept = {name: max(float(value), _LEAST) for name, value in cuts.items()}
        return RegionMasks(self.classes, self.regions, self.select, kept, self.loss_of)

    def weighted(self, counts: NDArray[np.int64]) -> RegionMasks:
        """As it is: it has no weights of classes."""
        del counts
        return self

    def loss(self) -> Loss:
        """Loss of logits (B, R, H, W) and labels (B, 1, H, W) of class indices."""
        loss = CrossEntropyAndDice(1.0, 1.0) if self.loss_of is None else self.loss_of()
        return _OfRegions(loss, len(self.classes), tuple(self.regions.values()))

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """The sigmoid of each logit."""
        return torch.sigmoid(logits.float())

    def decode(self, logits: torch.Tensor) -> torch.Tensor:
        """Class indices (B, H, W) of logits (B, R, H, W): that of the last region that a voxel is in, else 0."""
        chances = self.probabilities(logits)
        found = torch.zeros_like(chances[:, 0], dtype=torch.long)
        for place, (index, threshold) in enumerate(zip(self.painted, self.thresholds, strict=True)):
            found = torch.where(chances[:, place] >= threshold, index, found)
        return found

    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The same of probabilities (R, ...)."""
        found = np.zeros(probabilities.shape[1:], dtype=np.uint8)
        for chance, index, threshold in zip(probabilities, self.painted, self.thresholds, strict=True):
            found[chance >= np.float32(threshold)] = index
        return found

    def scorer(self, added: Sequence[str | CaseScore] = ()) -> Scorer:
        """Dice of each class and region of the label map, per case, then the mean over cases."""
        return DiceByCase(self, added)

    def evaluation(self, files: FileKind) -> str:
        """Of classes and regions, whatever the files."""
        del files
        return "medseg.steps.evaluation.VolumeEvaluation"

    def output(self, files: FileKind) -> str:
        """Label maps, as pictures or as volumes."""
        return f"medseg.api.outputs.{'PictureOutput' if files.flat else 'VolumeOutput'}"

    def spec(self) -> dict[str, Any]:
        """Declaration for inference: all but the loss."""
        return {
            "_target_": "medseg.learning.RegionMasks",
            "classes": list(self.classes),
            "regions": {name: list(members) for name, members in self.regions.items()},
            "select": list(self.select),
            "thresholds": dict(self.cuts),
        }


def _thresholds(given: Any, regions: tuple[str, ...]) -> tuple[float, ...]:
    """One for each region."""
    named = given if isinstance(given, Mapping) else dict.fromkeys(regions, given)
    if unknown := [name for name in named if name not in regions]:
        raise DefinitionError(f"task.thresholds names {unknown}, expected some of {list(regions)}")
    found = tuple(named.get(name, _HALF) for name in regions)
    if not all(is_number(value) and 0 < value <= 1 for value in found):
        raise DefinitionError(
            f"task.thresholds is {given!r}, expected a probability above 0, 1 at most, or one for each region"
        )
    return tuple(float(value) for value in found)


class _OfRegions(torch.nn.Module):
    """A loss that gets the regions of a label map, as maps of 0 and 1."""

    members: torch.Tensor

    def __init__(self, loss: Any, classes: int, regions: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        members = torch.zeros(len(regions), classes)
        for place, indices in enumerate(regions):
            members[place, list(indices)] = 1.0
        self.register_buffer("members", members)
        self.loss = loss

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Loss of logits (B, R, H, W) and labels (B, 1, H, W)."""
        return self.loss(logits.float(), self.members[:, label[:, 0].long()].movedim(0, 1))
