"""Which part of several runs, that belong together, a run is."""

from __future__ import annotations

import re

from pydantic.dataclasses import dataclass

WINNER = "-winner"
"""Ends the name of what the run belongs to that scores the winner of a sweep."""
_OF_SWEEP = re.compile(rf"-sweep-\d{{8}}-\d{{6}}-[0-9a-f]{{4}}({WINNER})?$")


@dataclass(frozen=True)
class Part:
    """Which part of a cross-validation or of a sweep a run is.

    Attributes:
        name: Of the cross-validation or sweep.
        fold: Which, from 1: a fold, or a run of a sweep.
    """

    name: str
    fold: int

    @property
    def of_sweep(self) -> bool:
        """Whether it is a run of a sweep, each of which is a run of its own; folds all learn from the same cases."""
        return _OF_SWEEP.search(self.name) is not None

    @property
    def whole(self) -> str:
        """Name of the cross-validation or sweep."""
        return self.name.removesuffix(WINNER) if self.of_sweep else self.name

    @property
    def follows(self) -> bool:
        """Whether it must learn from the cases of the part before it."""
        return self.fold > 1 and not self.of_sweep

    @property
    def ending(self) -> str:
        """What names it apart, as `fold1`, `run3` or `winner1`."""
        word = "fold" if not self.of_sweep else "winner" if self.name.endswith(WINNER) else "run"
        return f"{word}{self.fold}"
