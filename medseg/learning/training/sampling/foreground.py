"""Drawing slices that show a rare class more often, as nnU-Net oversamples foreground.

Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation" (Nature
Methods 18, 2021): a third of each batch is drawn to show foreground, the class evenly among those that there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medseg.errors import DefinitionError
from medseg.learning.settings import is_number
from medseg.learning.tasks.task import Task
from medseg.slices.store.store import Sample, SliceStore

_ROUNDED = 1e-9  # of a share times a batch
_OWN = 1  # keeps these draws apart from those of the order


@dataclass(frozen=True)
class Foreground:
    """Slices that are drawn into each batch, beside those that come in their turn.

    Attributes:
        share: Of each batch, above 0 and at most 1; rounded up to whole slices.
        showing: For each foreground class that occurs, which slices show it.
        names: Of these classes.
    """

    share: float
    showing: tuple[NDArray[np.int64], ...]
    names: tuple[str, ...]

    @classmethod
    def of(
        cls, share: float, store: SliceStore, samples: Sequence[Sample], classes: Sequence[int]
    ) -> Foreground | None:
        """Look which slices show what; None where nothing is to be drawn, or none shows any foreground.

        Args:
            share: Of each batch; 0 draws none.
            store: Knows how many pixels of each class a slice has.
            samples: Of a training, in the order of their indices.
            classes: The foreground, as indices of the classes of the store.
        """
        if not share:
            return None
        shown = store.shows(samples)
        occurring = [place for place in classes if shown[:, place].any()]
        showing = tuple(np.flatnonzero(shown[:, place]) for place in occurring)
        return cls(share, showing, tuple(store.classes[place] for place in occurring)) if showing else None

    def of_batch(self, size: int) -> int:
        """How many slices of a batch are drawn."""
        return math.ceil(self.share * size - _ROUNDED)

    def draws(self, seed: int, epoch: int) -> Iterator[int]:
        """Slices without end, by seed and epoch alone: a class evenly, then evenly one that shows it."""
        random = np.random.default_rng([seed, epoch, _OWN])
        while True:
            chosen = self.showing[random.integers(len(self.showing))]
            yield int(chosen[random.integers(len(chosen))])

    def note(self, batch: int) -> str:
        """What is drawn, as a sentence."""
        return (
            f"Of each batch of {batch} slices, {self.of_batch(batch)} are drawn to show foreground, evenly of "
            f"{', '.join(self.names)} (foreground_share)."
        )


def checked_share(share: object) -> float:
    """The value itself.

    Raises:
        ValueError: It is no number from 0 to 1.
    """
    if not is_number(share) or not 0 <= share <= 1:
        raise ValueError(f"foreground_share is {share!r}, expected a number from 0 to 1")
    return float(share)


def refuse_share(share: float, task: Task) -> None:
    """Refuse to draw foreground where there is none.

    Raises:
        DefinitionError: The task learns classes of whole images.
    """
    if share and not task.target.background:
        raise DefinitionError(
            f"foreground_share is {share}: it draws slices whose label maps show foreground, and classes of whole "
            "images have no background. Leave it out; task.class_weights: frequency lets rare classes count more."
        )
