"""Probabilities of any number of images, in memory that is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.probability_counts import ProbabilityCounts

PIXELS = 1 << 26
"""Kept one by one up to here, 4 bytes each: 256 MiB, 256 images of 512x512."""
DISTINCT = 1 << 25
"""Distinct pooled probabilities kept as they are, 20 bytes each: 640 MiB, two or three times that while merging."""
SORTED = 1 << 24
"""Pixels sorted at once."""
GRID = 2**-24


class ProbabilityStore:
    """Keeps probabilities and truth of pixels by group.

    Up to 2^26 pixels, each pixel is kept. Beyond, pixels are counted, and bounded by grids:

    - By group: p below 0.5, and 1 - p above, keep 6 bits behind the leading one (`ProbabilityCounts.coarse`).
    - Pooled: as they are up to 2^25 distinct ones. Beyond, rounded down to multiples of 2^-24, which changes
      none from 0.5 on, and no count at a threshold that is such a multiple.

    The numbers of pixels and of distinct probabilities alone decide, and rounding commutes with adding up:
    the order of images changes nothing.

    Attributes:
        exact: Whether groups are still kept pixel by pixel.
    """

    def __init__(self) -> None:
        self.exact = True
        self._packed: dict[str, list[NDArray[np.uint32]]] = {}
        self._pixels = 0
        self._coarse: dict[str, ProbabilityCounts] = {}
        self._pile = _Pile()
        self._pooled: ProbabilityCounts | None = None

    def add(self, group: str, packed: NDArray[np.uint32]) -> None:
        """Keep an image, as `probability_counts.pack` writes it."""
        self._pooled = None
        self._packed.setdefault(group, []).append(packed)
        self._pixels += packed.size
        if self.exact and self._pixels <= PIXELS:
            self._coarse.pop(group, None)
            return
        if self.exact:
            self.exact = False
            self._coarse.clear()
        if self._pixels > SORTED:
            self._count()

    def _count(self) -> None:
        """Count the pixels that wait, once the store is not exact any more."""
        for counts in _counted(image for images in self._packed.values() for image in images):
            self._pile.add(counts)
        while self._packed:
            group, images = self._packed.popitem()
            before = [self._coarse[group]] if group in self._coarse else []
            parts = (counts.coarse() for counts in _counted(images))
            self._coarse[group] = ProbabilityCounts.merged([*before, *parts])
        self._pixels = 0

    def of_group(self, group: str) -> ProbabilityCounts:
        """Count the pixels of a group; on the grid if the store is not exact any more."""
        if not self.exact:
            self._count()
            return self._coarse[group]
        counts = ProbabilityCounts.merged(_counted(self._packed[group]))
        self._coarse[group] = counts.coarse()
        return counts

    def coarse(self, group: str) -> ProbabilityCounts:
        """Count the pixels of a group on the grid of 6 bits."""
        if not (self.exact and group in self._coarse):
            self._coarse[group] = self.of_group(group).coarse()
        return self._coarse[group]

    def pooled(self) -> ProbabilityCounts:
        """Count all pixels."""
        if self._pooled is None and self.exact:
            pile = _Pile()
            for counts in _counted(image for images in self._packed.values() for image in images):
                pile.add(counts)
            self._pooled = pile.whole()
        elif self._pooled is None:
            self._count()
            self._pooled = self._pile.whole()
        return self._pooled


def _counted(images: Iterable[NDArray[np.uint32]]) -> Iterator[ProbabilityCounts]:
    """Count images, several at once: sorting their pixels together is faster than merging their counts."""
    waiting: list[NDArray[np.uint32]] = []
    for image in images:
        if waiting and sum(one.size for one in waiting) + image.size > SORTED:
            yield ProbabilityCounts.of_packed(np.concatenate(waiting))
            waiting = []
        waiting.append(image)
    if waiting:
        yield ProbabilityCounts.of_packed(np.concatenate(waiting))


class _Pile:
    """Counts, the larger below the smaller, merged so that each is copied a few times only."""

    def __init__(self) -> None:
        self._parts: list[ProbabilityCounts] = []
        self._fine = True

    def add(self, counts: ProbabilityCounts) -> None:
        self._parts.append(counts if self._fine else counts.rounded(GRID))
        while len(self._parts) > 1 and self._parts[-2].positives.size < 2 * self._parts[-1].positives.size:
            last = self._parts.pop()
            self._parts[-1] = ProbabilityCounts.merged((self._parts[-1], last))
        if self._fine and sum(part.positives.size for part in self._parts) > 1.25 * DISTINCT:
            self.whole()

    def whole(self) -> ProbabilityCounts:
        merged = ProbabilityCounts.merged(self._parts)
        if self._fine and merged.positives.size > DISTINCT:
            self._fine = False
            merged = merged.rounded(GRID)
        self._parts = [merged]
        return merged
