"""Cases as they are scored by what a definition adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.unannotated import annotated, blanked
from medseg.learning.scores.counts import Counts


@dataclass(frozen=True)
class MaskCase:
    """A case with label maps, as it is scored.

    Attributes:
        case: Its public name.
        members: Indices of the classes behind each name that is scored: a class, or a region that joins several.
        truth: Class indices on the grid that is scored: (I, J, K) of a volume, planes (S, H, W) of one that was split
            by slice or is validated within a training, (H, W) of a picture. 255 where nobody annotated.
        predicted: Class indices of the same shape; 255 where the truth is.
        spacing: Size of a voxel along each axis, mm; None where nobody knows.
        probabilities: (H, W) of the foreground, of pictures with one; else None.
    """

    case: str
    members: Mapping[str, tuple[int, ...]]
    truth: NDArray[Any]
    predicted: NDArray[Any]
    spacing: tuple[float, ...] | None = None
    probabilities: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Blank what is predicted where nothing is annotated."""
        object.__setattr__(self, "predicted", blanked(self.truth, self.predicted))

    @property
    def names(self) -> tuple[str, ...]:
        """What may be scored: classes, then regions."""
        return tuple(self.members)

    def masks(self, name: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Where the truth and the prediction have a class or region."""
        truth, predicted = (
            np.logical_or.reduce([labels == one for one in self.members[name]])
            for labels in (self.truth, self.predicted)
        )
        return truth, predicted

    def counts(self, name: str) -> Counts[int]:
        """True and false positives and negatives of a class or region, in voxels."""
        truth, predicted = self.masks(name)
        tp, there, marked = (int(np.count_nonzero(each)) for each in (truth & predicted, truth, predicted))
        known = int(np.count_nonzero(annotated(self.truth)))
        return Counts(tp, marked - tp, there - tp, known - there - marked + tp)


@dataclass(frozen=True)
class LabelCase:
    """A whole image with classes, as it is scored.

    Attributes:
        case: Its public name.
        classes: Names of all K.
        truth: (K,) whether it has each class.
        probabilities: (K,) float32 in [0, 1].
        predicted: (K,) whether each class is predicted.
    """

    case: str
    classes: tuple[str, ...]
    truth: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    predicted: NDArray[np.bool_]

    @property
    def names(self) -> tuple[str, ...]:
        """What may be scored: the image (the empty text), and each class of it."""
        return ("", *self.classes)
