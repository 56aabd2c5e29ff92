"""Which epoch is kept where either of two scores may say so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medseg.class_names import key_name
from medseg.errors import DefinitionError, OtherSettingsError
from medseg.learning.settings import is_number
from medseg.learning.tasks.task import LabelTask, Task


@dataclass(frozen=True)
class AveragePrecisionOrF2:
    """Keep an epoch whose average precision or F2 is better than all before, unless its F2 is far below the best.

    For `best_by` of `medseg.steps.Fit`. Which epochs are kept depends on their order: an epoch of a better average
    precision is kept though its F2 is lower, down to a share of the highest.

    Args:
        positive: The class whose scores count, such as the disease; when left out, the means over classes.
        least: The share of the highest F2 before, in [0, 1], below which an epoch is not kept.

    Raises:
        ValueError: A setting is none.
    """

    positive: str | None = None
    least: float = 0.9

    def __post_init__(self) -> None:
        if self.positive is not None and not isinstance(self.positive, str):
            raise ValueError(f"positive is {self.positive!r}, expected the name of a class, or nothing")
        if not is_number(self.least) or not 0 <= self.least <= 1:
            raise ValueError(f"least is {self.least!r}, expected a number in [0, 1]")

    @property
    def name(self) -> str:
        """For tags and messages."""
        return "average_precision or f2" + (f" of {self.positive}" if self.positive else "")

    def check(self, task: Task) -> None:
        """Refuse a task without these scores.

        Raises:
            DefinitionError: It is none of the classes of whole images, or has no such class.
        """
        if not isinstance(task, LabelTask):
            raise DefinitionError(
                f"best_by: {self.name} are scores of the classes of whole images, and the task is "
                f"{type(task).__name__}. Set best_by to score, loss, or a score of its own."
            )
        if self.positive is not None and self.positive not in task.classes:
            raise DefinitionError(
                f"best_by.positive is {self.positive!r}, expected one of the classes {list(task.classes)}"
            )

    def better(self, row: Mapping[str, float], earlier: Sequence[Mapping[str, float]]) -> bool:
        """Whether an epoch is to be kept in place of the one before it that was.

        Args:
            row: Its numbers.
            earlier: Those of the epochs before, validated or not.

        Raises:
            OtherSettingsError: It has not both scores.
        """
        of = f"/{key_name(self.positive)}" if self.positive else ""
        keys = [f"val/{score}{of}" for score in ("average_precision", "f2")]
        found = [row.get(key, math.nan) for key in keys]
        if any(map(math.isnan, found)):
            raise OtherSettingsError(
                f"the validation images do not define {self.name}, by which the best epoch is chosen: some must have "
                "the class, and others not. Give validation a larger share, or set best_by: score.",
                setting="best_by=score",
            )
        known = [each for each in earlier if keys[0] in each]
        if not known:
            return True
        best = [max(each[key] for each in known) for key in keys]
        improves = any(new > old for new, old in zip(found, best, strict=True))
        return improves and found[1] >= self.least * best[1]
