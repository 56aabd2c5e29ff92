"""Which slices of a case are used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medseg.errors import DefinitionError


@dataclass(frozen=True)
class Selection:
    """A keep rule with its names resolved to class indices, as it applies to one role.

    Attributes:
        classes: A slice is kept if its truth holds one of these; None asks nothing of the truth.
        content: Whether a slice must show something.
        marked: Classes whose slices are kept even where the image shows nothing; empty for training.
        draw: How many of the slices to draw from each case; None keeps all.
    """

    classes: tuple[int, ...] | None = None
    content: bool = True
    marked: tuple[int, ...] = ()
    draw: int | None = None

    @property
    def needs_truth(self) -> bool:
        """Whether a case without a truth cannot be judged."""
        return self.classes is not None

    def positions(
        self,
        content: NDArray[np.bool_],
        counts: NDArray[np.int64] | None,
        *,
        seed: int,
        case: str,
    ) -> NDArray[np.int64]:
        """Which slices to use, in ascending order.

        Args:
            content: (S,) whether a slice shows something.
            counts: (S, K) voxels of each class; None without a truth.
            seed: Of the draw.
            case: Public name of the case: each case has a draw of its own, whatever comes before it.
        """
        expected = content.copy() if self.content else np.ones(len(content), dtype=bool)
        if counts is not None and self.classes is not None:
            expected &= counts[:, list(self.classes)].any(axis=1)
        if counts is not None and self.marked:
            expected |= counts[:, list(self.marked)].any(axis=1)
        if counts is not None:
            expected &= counts.any(
                axis=1
            )  # where nothing is annotated, nothing is learned and nothing scored
        found = np.flatnonzero(expected).astype(np.int64)
        if self.draw is None or self.draw >= len(found):
            return found
        digest = hashlib.sha256(f"{seed}/{case}".encode()).digest()
        random = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        return np.sort(random.choice(found, self.draw, replace=False))


def for_training(
    contains: str,
    draw: int | None,
    *,
    classes: Sequence[str],
    foreground: Sequence[int],
    regions: Mapping[str, Sequence[int]],
) -> Selection:
    """Resolve what a definition says under `slices.keep`.

    Args:
        contains: `all`, `image` (something is shown), `foreground` (the truth holds a foreground class), or
            the name of a class or region.
        draw: How many slices of a case to draw from those.
        classes: Names of the classes.
        foreground: Their foreground, as indices.
        regions: Class indices of each region.

    Raises:
        DefinitionError: No class or region of that name.
    """
    if contains == "all":
        return Selection(content=False, draw=draw)
    if contains == "image":
        return Selection(draw=draw)
    named = {name: (i,) for i, name in enumerate(classes)} | {name: tuple(v) for name, v in regions.items()}
    named = named | {"foreground": tuple(foreground)}
    if contains not in named:
        raise DefinitionError(
            f"at slices.keep.contains: got '{contains}'; expected all, image, or one of {', '.join(named)}."
        )
    return Selection(classes=named[contains], draw=draw)


def for_scores(foreground: Sequence[int]) -> Selection:
    """The slices of validation and test cases, whatever a definition keeps for training.

    Every slice that shows something, and every slice whose truth is marked, so that a score stands for the
    whole volume: where a field of view is cut off, label maps may go on where the image has ended.
    """
    return Selection(marked=tuple(foreground))
