"""What a training step computes of a whole batch, be it in one process or in several."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.parallel import DistributedDataParallel

from medseg.errors import TrainingError
from medseg.learning.inspection.trial_pass import untouched
from medseg.learning.outputs.main_output import Outputs, of_each
from medseg.learning.tasks.task import Scorer, merging
from medseg.learning.training.batches import Batches
from medseg.learning.training.ranks.batch_norm import over_ranks
from medseg.learning.training.ranks.deal import Places, Share
from medseg.machine.ranks.ranks import Ranks


class Joint(Protocol):
    """What the engine asks around the network in each iteration."""

    @property
    def network(self) -> torch.nn.Module:
        """What is called in training."""

    def begin(self, batch: dict[str, Any], whole: Iterator[Places]) -> torch.Tensor:
        """Begin with a batch, of which the next of `whole` is all; gives the index of each slice of all of it."""

    def whole(self, logits: Outputs, label: torch.Tensor) -> tuple[Outputs, torch.Tensor]:
        """Logits and labels of the whole batch, of those of what this process has of it."""

    def validated(self, rows: Sequence[Any], scorer: Scorer) -> list[Any]:
        """What is known of each validation batch of all processes, in order; the scorer has then seen them all."""


class OneProcess:
    """A batch is the whole one."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network

    def begin(self, batch: dict[str, Any], whole: Iterator[Places]) -> torch.Tensor:
        """That of the batch."""
        del whole
        index: torch.Tensor = batch["index"]
        return index

    def whole(self, logits: Outputs, label: torch.Tensor) -> tuple[Outputs, torch.Tensor]:
        """As they are."""
        return logits, label

    def validated(self, rows: Sequence[Any], scorer: Scorer) -> list[Any]:
        """It has."""
        del scorer
        return list(rows)


class ManyRanks:
    """Each process has a share of the batch, and takes the loss of all of it.

    Logits and labels of the others are gathered, so that the loss of the task, whatever it is, is that of one process
    with the whole batch: a Dice of all its pixels, a cross-entropy whose weights are summed over it, pixels that
    nobody annotated. Of the gathered logits those of this process alone have a gradient. It is taken times the number
    of processes, for DistributedDataParallel gives the mean of theirs where their sum is meant.

    Args:
        network: On the device of this process.
        ranks: The processes.
        shape: (C, H, W) of a slice.
    """

    def __init__(self, network: torch.nn.Module, ranks: Ranks, shape: tuple[int, ...]) -> None:
        self._ranks, place = ranks, ranks.place
        self._share, self._world = Share(place.rank, place.world), place.world
        self._size = 0
        self._blank = torch.zeros(2, *shape, device=next(network.parameters()).device)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # of torch 2.13, whose other name torch 2.10 has not
            self.network = DistributedDataParallel(
                network, broadcast_buffers=False, find_unused_parameters=_unused(network, self._blank)
            )

    def settle(self) -> None:
        """Pass blank slices forth and back, and leave everything as it was but the order of sums.

        DistributedDataParallel puts gradients together in the order in which they first came, and so adds up those of
        three processes and more in another order from then on: a training that goes on would do so an iteration late.
        """
        self._size = len(self._blank) * self._world
        _blank_pass(self.network, self._blank)

    @property
    def own(self) -> int:
        """Slices of this process that count in the batch."""
        return self._share.own(self._size)

    def begin(self, batch: dict[str, Any], whole: Iterator[Places]) -> torch.Tensor:
        """Those of the whole batch, which all processes know."""
        del batch
        places = next(whole)
        self._size = len(places)
        return torch.tensor([index for _, index in places])

    def whole(self, logits: Outputs, label: torch.Tensor) -> tuple[Outputs, torch.Tensor]:
        """Gathered from all processes."""
        return of_each(self._gathered, logits), self._gathered(label)

    def _gathered(self, own: torch.Tensor) -> torch.Tensor:
        counted = own[: self.own]
        if counted.requires_grad:
            counted.register_hook(lambda gradient: gradient * self._world)
        most = -(-self._size // self._world)
        padded = torch.cat([counted, counted.new_zeros(most - self.own, *own.shape[1:])])
        rows = [*self._ranks.rows(padded)]
        rows[self._share.rank] = padded
        # slice i of a batch is with process i % world, so that what fills the shares up comes last
        found = torch.stack(rows, dim=1).flatten(0, 1)[: self._size]
        return found if self.own or not own.requires_grad else found + own.sum() * 0

    def validated(self, rows: Sequence[Any], scorer: Scorer) -> list[Any]:
        """Gathered from all processes: the first batch of each, then the second of each.

        The scorer counts what they kept of each batch as if it had seen it itself, case by case: no mean of a process
        enters anything.
        """
        every = self._ranks.gathered(list(zip(rows, merging(scorer).parts(), strict=True)))
        most = max(map(len, every))
        in_turn = [each[turn] for turn in range(most) for each in every if turn < len(each)]
        merging(scorer).take([part for _, part in in_turn])
        return [row for row, _ in in_turn]


@contextmanager
def joined(network: torch.nn.Module, ranks: Ranks, train: Batches) -> Iterator[Joint]:
    """Make of a network what the processes train together in the block; weights and their names stay what they are.

    Args:
        network: On the device of this process.
        ranks: The processes.
        train: What they learn from.

    Raises:
        TrainingError: The network cannot be trained so.
    """
    if ranks.place.world == 1:
        yield OneProcess(network)
        return
    if reason := not_over_ranks(network):
        raise TrainingError(f"{reason} Train in one process, without torchrun.")
    joint = ManyRanks(network, ranks, tuple(train.dataset[(0, 0)]["image"].shape))
    with over_ranks(network, ranks, lambda: joint.own):
        joint.settle()
        yield joint


def _blank_pass(network: torch.nn.Module, blank: torch.Tensor) -> list[str]:
    """Names of the weights that got no gradient, though they are trained; the network is left as it was."""
    network.train()
    with untouched(network):
        outputs = network(blank)
        torch.stack(
            [each.sum() for each in (outputs if isinstance(outputs, list) else [outputs])]
        ).sum().backward()
    trained = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    missed = [name for name, weight in trained if weight.grad is None]
    network.zero_grad()
    return missed


def _unused(network: torch.nn.Module, blank: torch.Tensor) -> bool:
    """Whether it has weights that it does not use, for which DistributedDataParallel would wait."""
    return bool(_blank_pass(network, blank))


def not_over_ranks(network: torch.nn.Module) -> str:
    """Why a network cannot be trained by several processes, as a sentence; empty where it can."""
    if any(isinstance(each, _InstanceNorm) and each.track_running_stats for each in network.modules()):
        return (
            "The network keeps running statistics of instances (track_running_stats of its instance normalisation), "
            "which would be others in each process."
        )
    return ""
