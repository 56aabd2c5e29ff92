"""The loss of an epoch, added up without waiting for the device at every batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from medseg.errors import TrainingError

_BATCHES = (
    16  # that are read at once from a CUDA device: to wait for each would leave it idle between batches
)


@dataclass(frozen=True)
class _Seen:
    """What is kept of a batch until its loss is read."""

    place: int
    index: Any
    loss: torch.Tensor


class RunningLoss:
    """Adds up the losses of batches, and refuses one that is not finite.

    On a CPU each loss is read as it comes. On a CUDA device some are copied at a time while it goes on, and read when
    the next ones are copied: a loss that is not finite is then found a few batches later, and named by its own batch.

    Attributes:
        slices: How many are in the batches that were read.

    Args:
        device: Where losses are computed.
        refuse: Makes the error for a loss, its place in the epoch (from 1) and the batch, of which `index` is kept.
        every: How many are read at once; by default 1 on a CPU.
    """

    def __init__(
        self,
        device: torch.device,
        refuse: Callable[[float, int, Mapping[str, Any]], TrainingError],
        *,
        every: int | None = None,
    ) -> None:
        self._cuda = device.type == "cuda"
        self._refuse = refuse
        self._every = every or (_BATCHES if self._cuda else 1)
        self._waiting: list[_Seen] = []
        self._copied: tuple[list[_Seen], torch.Tensor, torch.cuda.Event | None] | None = None
        self._place, self._total, self.slices = 0, 0.0, 0

    def add(self, loss: torch.Tensor, batch: Mapping[str, Any]) -> None:
        """Take the loss of the next batch, a scalar on the device; `batch` has the `index` of each slice.

        Raises:
            TrainingError: A loss that was read is not finite.
        """
        self._place += 1
        self._waiting.append(_Seen(self._place, batch["index"], loss.detach()))
        if len(self._waiting) < self._every:
            return
        before, self._copied = self._copied, self._copy()
        self._read(before)
        if not self._cuda:
            self.read()

    def read(self) -> None:
        """Read all that were added, and wait for them.

        Raises:
            TrainingError: One is not finite.
        """
        for _ in range(2):
            before, self._copied = self._copied, self._copy() if self._waiting else None
            self._read(before)

    @property
    def mean(self) -> float:
        """Over the slices of the batches that were read; NaN before the first."""
        return self._total / self.slices if self.slices else math.nan

    def _copy(self) -> tuple[list[_Seen], torch.Tensor, torch.cuda.Event | None]:
        seen, self._waiting = self._waiting, []
        losses = torch.stack([each.loss.float() for each in seen])
        if not self._cuda:
            return seen, losses, None
        kept = torch.empty(losses.shape, dtype=losses.dtype, pin_memory=True)
        kept.copy_(losses, non_blocking=True)
        done = torch.cuda.Event()
        done.record()
        return seen, kept, done

    def _read(self, copied: tuple[list[_Seen], torch.Tensor, torch.cuda.Event | None] | None) -> None:
        if copied is None:
            return
        seen, losses, done = copied
        if done is not None:
            done.synchronize()
        for each, value in zip(seen, losses.tolist(), strict=True):
            if not math.isfinite(value):
                raise self._refuse(value, each.place, {"index": each.index})
            self._total += value * len(each.index)
            self.slices += len(each.index)
