"""How the batches of an epoch are dealt to the processes that train together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch.utils.data import Sampler

from medseg.machine.ranks.place import Place

Places = list[tuple[int, int]]
"""A batch as a sampler gives it: (epoch, index) of each slice."""


class Deal(Protocol):
    """Which batches a process loads, and what of them."""

    def of(self, batches: Iterator[Places]) -> Iterator[Places]:
        """Its part of the whole batches of an epoch."""

    def count(self, batches: int) -> int:
        """How many batches it has of so many."""


@dataclass(frozen=True)
class Whole:
    """All of it: one process."""

    def of(self, batches: Iterator[Places]) -> Iterator[Places]:
        """As they are."""
        return batches

    def count(self, batches: int) -> int:
        """As many."""
        return batches


@dataclass(frozen=True)
class Share:
    """Of each batch every `world`-th slice, for training: all together have the batch of one process.

    Where a batch has fewer slices than there are processes, its first one stands in for those that have none: they
    must compute something, or the others would wait for them. It does not count.

    Attributes:
        rank: Of the process.
        world: How many there are.
    """

    rank: int
    world: int

    def of(self, batches: Iterator[Places]) -> Iterator[Places]:
        """A share of each."""
        for batch in batches:
            yield batch[self.rank :: self.world] or batch[:1]

    def count(self, batches: int) -> int:
        """As many."""
        return batches

    def own(self, size: int) -> int:
        """How many slices of a batch of this size are its own."""
        return len(range(self.rank, size, self.world))


@dataclass(frozen=True)
class Turns:
    """Every `world`-th batch, for validation: each is the batch of one process, and nobody waits.

    Attributes:
        rank: Of the process.
        world: How many there are.
    """

    rank: int
    world: int

    def of(self, batches: Iterator[Places]) -> Iterator[Places]:
        """Those whose turn it is."""
        for place, batch in enumerate(batches):
            if place % self.world == self.rank:
                yield batch

    def count(self, batches: int) -> int:
        """Its turns."""
        return len(range(self.rank, batches, self.world))


def deal_of(place: Place, *, training: bool) -> Deal:
    """What a process gets of the batches of training, or of validation."""
    if place.world == 1:
        return Whole()
    return Share(place.rank, place.world) if training else Turns(place.rank, place.world)


class Dealt(Sampler[Places]):
    """The batches that a process loads.

    Args:
        batches: The whole ones of an epoch; `torch.utils.data.BatchSampler`.
        deal: What of them.
    """

    def __init__(self, batches: Sampler[Places], deal: Deal) -> None:
        self.batches, self.deal = batches, deal

    def __len__(self) -> int:
        return self.deal.count(len(self.batches))

    def __iter__(self) -> Iterator[Places]:
        return self.deal.of(iter(self.batches))
