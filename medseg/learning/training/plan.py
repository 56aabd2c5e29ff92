"""How a network is trained, and by what its best epoch is chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch

from medseg.errors import OtherSettingsError
from medseg.learning.scores.added.case_score import CaseScore
from medseg.learning.tasks.task import Task

Precision = Literal["auto", "float32", "float16", "bfloat16"]


@runtime_checkable
class EpochRule(Protocol):
    """Chooses the best epoch by more than one number."""

    @property
    def name(self) -> str:
        """For tags and messages."""

    def check(self, task: Task) -> None:
        """Refuse a task that does not give what it asks for; it raises a DefinitionError."""

    def better(self, row: Mapping[str, float], earlier: Sequence[Mapping[str, float]]) -> bool:
        """Whether an epoch is better than the best of those before it; the first always is."""


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        epochs: At most so many.
        patience: Stop after so many validations without a better score; None never stops early.
        optimiser: Makes the optimiser from `params`.
        schedule: Makes the learning-rate schedule from `optimizer`; None keeps the rate.
        schedule_each: When the schedule goes on.
        clip: Largest norm of all gradients together; None leaves them.
        precision: `auto` is bfloat16 on a CUDA device that has it, else float16; float32 on a CPU.
        validate_every: Epochs from one validation to the next; the last epoch is always validated.
        best_by: Whether the best epoch is the one with the highest validation `score`, the least `loss`, the best
            of a score that is added, or the last that an `EpochRule` found better.
        keep: Whether the weights of the `best` epoch alone are kept, or beside them those of `every` epoch.
        compile: Whether torch compiles the network first.
    """

    epochs: int
    optimiser: Callable[..., torch.optim.Optimizer]
    patience: int | None = None
    schedule: Callable[..., Any] | None = None
    schedule_each: Literal["epoch", "iteration"] = "epoch"
    clip: float | None = None
    precision: Precision = "auto"
    validate_every: int = 1
    best_by: str | CaseScore | EpochRule = "score"
    keep: Literal["best", "every"] = "best"
    compile: bool = False

    @property
    def added(self) -> tuple[str | CaseScore, ...]:
        """The score that validation gives beside, if one chooses the best epoch."""
        if isinstance(self.best_by, EpochRule) or self.best_by in ("score", "loss"):
            return ()
        return (self.best_by,)

    @property
    def chosen_by(self) -> str:
        """The name of the validation number by which the best epoch is chosen."""
        return self.best_by if isinstance(self.best_by, str) else self.best_by.name

    def worth(self, row: Mapping[str, float], earlier: Sequence[Mapping[str, float]] = ()) -> float:
        """How good an epoch is, from its row and those before: larger is better.

        Raises:
            OtherSettingsError: It cannot be known.
        """
        if isinstance(self.best_by, EpochRule):  # the later of two that it found better is the better one
            return row["epoch"] if self.best_by.better(row, earlier) else -math.inf
        name = self.chosen_by
        if name == "score":  # where masks are rightly empty there is none: as among zeros, the loss decides
            return row.get("val/score", 0.0)
        value = row.get(f"val/{name}", math.nan)
        if not math.isfinite(value):
            raise OtherSettingsError(
                f"the validation {name} became {value} in epoch {int(row['epoch'])}, and the best epoch is chosen by "
                "it. Lower optimiser.lr of the step, set its clip, or set its best_by: score.",
                setting="optimiser.lr" if name == "loss" else "best_by=score",
            )
        return value if name != "loss" and getattr(self.best_by, "larger_is_better", True) else -value
