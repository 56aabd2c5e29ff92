"""What a training asks of the processes that it is spread over; a process by itself is the plain case of it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import torch

from medseg.machine.ranks.place import Place

Result = TypeVar("Result")


class Ranks(Protocol):
    """The processes of one training, seen from one of them.

    What collectives give is the same in all of them. All ask in the same order, or they wait for one another until a
    time limit ends them.
    """

    @property
    def place(self) -> Place:
        """Which of them this process is."""

    def device(self, expected: torch.device) -> torch.device:
        """Where this process computes, of the kind that the first one does.

        Raises:
            RunError: There are fewer devices on this machine than processes.
        """

    def together(
        self, own: Callable[[], Result], others: Callable[[Ranks], object], device: torch.device
    ) -> Result:
        """Do something in all processes at once, and give what `own` gave; only the first asks for it.

        Args:
            own: What this process does.
            others: What each other one does; it is pickled, and gets its own `Ranks`.
            device: Where the first one computes, which chooses how they talk: nccl on CUDA, else gloo.

        Raises:
            TrainingError: Another process failed, was killed, or did not answer in time.
        """

    def first_does(self, what: Callable[[], Result]) -> Result:
        """What the first process makes of it, in all of them."""

    def agreed(self, value: Result) -> Result:
        """The value that the first process has, in all of them; it is pickled."""

    def gathered(self, value: Any) -> list[Any]:
        """The values of all processes, by their number; they are pickled."""

    def rows(self, own: torch.Tensor) -> torch.Tensor:
        """Tensors (N, ...) of one shape of all processes, (world, N, ...), without a gradient."""

    def total(self, own: torch.Tensor) -> torch.Tensor:
        """The sum of the tensors of all processes; the gradient of each is the sum of those of all."""


class Alone:
    """One process: nobody is asked."""

    place = Place()

    def device(self, expected: torch.device) -> torch.device:
        """As expected."""
        return expected

    def together(
        self, own: Callable[[], Result], others: Callable[[Ranks], object], device: torch.device
    ) -> Result:
        """Do it here."""
        del others, device
        return own()

    def first_does(self, what: Callable[[], Result]) -> Result:
        """Do it here."""
        return what()

    def agreed(self, value: Result) -> Result:
        """As it is."""
        return value

    def gathered(self, value: Any) -> list[Any]:
        """That of this process."""
        return [value]

    def rows(self, own: torch.Tensor) -> torch.Tensor:
        """That of this process."""
        return own.detach()[None]

    def total(self, own: torch.Tensor) -> torch.Tensor:
        """That of this process."""
        return own


ALONE = Alone()

leading: ContextVar[Ranks] = ContextVar("ranks", default=ALONE)
"""The processes that this one leads, set where it has met them."""


def led() -> Ranks:
    """The processes that this one leads: `ALONE`, unless torchrun has started others."""
    return leading.get()
