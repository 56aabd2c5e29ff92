"""What a training changes, and who is called as it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from medseg.progress import Progress, Silent


@dataclass(frozen=True)
class Watch:
    """What is called as a training goes on.

    Attributes:
        epoch_done: Called with the row of an epoch after its checkpoint was written, and again, on going on,
            for the rows that the checkpoint holds.
        validated: Called with the network, the epoch and the score of each case after each validation.
        progress: Where bars are shown.
    """

    epoch_done: Callable[[Mapping[str, float]], None] = lambda _: None
    validated: Callable[[torch.nn.Module, int, Mapping[str, float]], None] = lambda *_: None
    progress: Progress = field(default_factory=Silent)


UNWATCHED = Watch()
"""Nobody is called."""


@dataclass(frozen=True)
class Parts:
    """The objects that a training changes."""

    network: torch.nn.Module
    optimiser: torch.optim.Optimizer
    schedule: Any | None
    scaler: torch.amp.GradScaler

    def stateful(self) -> dict[str, Any]:
        """Those whose state a checkpoint holds."""
        kept = {"network": self.network, "optimiser": self.optimiser, "scaler": self.scaler}
        return {**kept, "schedule": self.schedule} if self.schedule is not None else kept
