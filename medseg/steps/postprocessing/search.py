"""The search for cleanings that raise the mean score and lower that of no class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medseg.learning.inference.cleaning import Cleaning, component_volumes
from medseg.steps.postprocessing.seen import Scored, SeenCases

_SHARES = (0.5, 0.9, 1.0)  # of the components that touch no truth: so many are smaller
_NOISE = 1e-9  # of sums in another order


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        cleaning: What is done, in this order.
        before: Dice of the patients without it.
        after: With it.
    """

    cleaning: tuple[Cleaning, ...]
    before: Scored
    after: Scored


def search(seen: SeenCases, tried: Callable[[], None]) -> Found:
    """Try the largest component, smallest sizes and filled holes of one class after the other.

    Each is kept only where the mean Dice over `select` rises by it, that of more patients than it lowers, and that
    of no class and no region falls: a mean over a handful of patients may rise by one of them. Nothing is done with a
    class that none of them has: what is predicted of it there says nothing of where it is.

    Args:
        seen: Validation cases.
        tried: Called after each of the trials; there are five a class at most.
    """
    before = best = seen.scored(())
    kept: tuple[Cleaning, ...] = ()
    for index in range(1, len(seen.classes)):
        if not seen.has(index):
            continue
        mine = Cleaning(index)
        for ways in _ways(seen, index):
            chosen, reached = mine, best
            for change in ways:
                one = change(mine)
                found = seen.scored((*kept, one))
                tried()
                if _better(found, reached, best):
                    chosen, reached = one, found
            mine, best = chosen, reached
        if mine != Cleaning(index):
            kept = (*kept, mine)
    return Found(kept, before, best)


def _ways(seen: SeenCases, index: int) -> Iterator[Sequence[Callable[[Cleaning], Cleaning]]]:
    """What is tried of a class; of each sequence one at most is kept."""
    sizes = _sizes(seen, index)
    yield [
        lambda given: replace(given, largest=True),
        *[lambda given, least=least: replace(given, least=least) for least in sizes],
    ]
    yield [lambda given: replace(given, fill=True)]


def _sizes(seen: SeenCases, index: int) -> list[float]:
    """Sizes, mm3, below which a half, nine in ten and all of the components lie that touch no truth."""
    wrong = [
        volume
        for case in seen.cases
        for volume in component_volumes(case.predicted, case.truth, index, case.voxel_volume)
    ]
    if not wrong:
        return []
    return sorted(
        {float(np.nextafter(np.quantile(wrong, share, method="higher"), np.inf)) for share in _SHARES}
    )


def _better(found: Scored, reached: Scored, best: Scored) -> bool:
    """Whether the mean rises over what was reached, more patients gain than lose, and no name falls."""
    if not found.score > reached.score + _NOISE:
        return False
    before = reached.of_patients()
    gains = [value - before[group] for group, value in found.of_patients().items()]
    if sum(gain > _NOISE for gain in gains) <= sum(gain < -_NOISE for gain in gains):
        return False
    return not any(found.means[name] < value - _NOISE for name, value in best.means.items())
