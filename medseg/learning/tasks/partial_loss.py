"""The loss of a task of label maps in which some pixels are not annotated."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Literal

import torch

from medseg.datasets.unannotated import UNANNOTATED
from medseg.errors import DefinitionError
from medseg.learning.tasks.task import Loss, Task

_Way = Literal["all", "mean", "sum"]

_SIZE = (8, 9)  # of made-up slices: of neither axis too small for the windows of losses that have some
_REMEDY = (
    "Take a loss of pixels, such as monai.losses.DiceCELoss or torch.nn.CrossEntropyLoss, or take 'ignore' out of "
    "the manifest."
)


class PartialLoss(torch.nn.Module):
    """The loss of a task over annotated pixels alone: no other is handed to it.

    Annotated pixels are put into one row, so that means are over them, and sums of Dice hold nothing else. How rows
    are put together is found out by trying the loss on made-up batches, whatever it is of:

    - a loss to which all pixels of a batch are one lot (cross-entropy, focal loss, Dice with `batch: true`) gets the
      annotated ones of the whole batch;
    - a loss that treats each slice by itself (MONAI's Dice) gets those of each slice, and its mean, or sum, is that
      over the slices that have any;
    - MONAI's sums of two losses, which have weights `lambda_...`, are taken apart into these.

    A batch that is annotated all over goes to the loss as it is. One without any annotated pixel has a loss of 0.

    Args:
        task: Of label maps, whose loss it is.

    Raises:
        DefinitionError: The loss compares neighbouring pixels, or puts slices together in a way of its own.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        whole = task.loss()
        self.whole = whole
        parts = list(_parts(whole))
        self.ways = [_way(part, task) for part in parts]
        # kept as attributes, so that modules move to the device with this one
        for place, part in enumerate(parts):
            setattr(self, f"part_{place}", part)

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Loss of logits (B, K, H, W) and labels (B, 1, H, W), which are `UNANNOTATED` where nobody annotated."""
        known = label[:, 0] != UNANNOTATED
        if bool(known.all()):
            return self.whole(logits, label)
        rows = [_row(*each) for each in zip(logits, label, known, strict=True) if bool(each[2].any())]
        if not rows:
            return logits.float().sum() * 0
        parts = (getattr(self, f"part_{place}") for place in range(len(self.ways)))
        return torch.stack(
            [_joined(part, way, rows) for part, way in zip(parts, self.ways, strict=True)]
        ).sum()


def loss_of(task: Task, *, partly: bool) -> Loss:
    """The loss of a task.

    Args:
        task: The task.
        partly: Whether some pixels of its label maps may be `UNANNOTATED`.

    Raises:
        DefinitionError: The loss cannot leave pixels out.
    """
    return PartialLoss(task) if partly else task.loss()


_Row = tuple[torch.Tensor, torch.Tensor]
"""Logits (1, K, N, 1) and labels (1, 1, N, 1) of N annotated pixels."""


def _row(logits: torch.Tensor, label: torch.Tensor, known: torch.Tensor) -> _Row:
    return logits[:, known][None, ..., None], label[:, known][None, ..., None]


def _joined(loss: Loss, way: _Way, rows: list[_Row]) -> torch.Tensor:
    if way == "all":
        logits, label = (torch.cat(each, dim=2) for each in zip(*rows, strict=True))
        return loss(logits, label)
    each = torch.stack([loss(*row) for row in rows])
    return each.mean() if way == "mean" else each.sum()


def _parts(loss: Loss) -> Iterator[Loss]:
    """The summands of a loss, one by one, where it says what weights they have."""
    names: Mapping[str, float] = _weights(loss)
    if len(names) < 2:
        yield loss
        return
    for name in names:
        part = copy.deepcopy(loss)
        (weighed,) = (each for each in part.modules() if set(names) <= set(vars(each)))  # type: ignore[attr-defined]
        for other in set(names) - {name}:
            setattr(weighed, other, 0.0)
        yield part


def _weights(loss: Loss) -> dict[str, float]:
    """MONAI's weights of the summands of a loss by their names, without those that are 0."""
    for module in loss.modules() if isinstance(loss, torch.nn.Module) else ():
        if type(module).__module__.startswith("monai.losses"):
            held = {name: value for name, value in vars(module).items() if name.startswith("lambda_")}
            if len(held) > 1:
                return {name: value for name, value in held.items() if value}
    return {}


def _way(loss: Loss, task: Task) -> _Way:
    """How a loss puts the pixels and the slices of a batch together."""
    logits, label = _made_up(task)
    order = torch.randperm(logits[0, 0].numel(), generator=torch.Generator().manual_seed(2))
    rows = [(each[0][None], each[1][None]) for each in zip(logits, label, strict=True)]
    flat = [(one.flatten(2)[..., None], other.flatten(2)[..., None]) for one, other in rows]
    mixed = [(one[:, :, order], other[:, :, order]) for one, other in flat]
    try:
        with torch.no_grad():
            whole = loss(logits, label)
            if not all(_same(loss(*one), loss(*other)) for one, other in zip(rows, mixed, strict=True)):
                raise DefinitionError(
                    "the manifest ignores pixels (its key 'ignore'), and task.loss compares each with its "
                    f"neighbours, which may be such: they cannot be left out of it. {_REMEDY}"
                )
            for way in ("all", "mean", "sum"):
                if _same(_joined(loss, way, flat), whole):
                    return way
    except DefinitionError:
        raise
    except Exception as error:  # losses raise anything at a shape that they do not expect
        first = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DefinitionError(
            "the manifest ignores pixels (its key 'ignore'), and task.loss does not take the others alone, as "
            f"(B, K, N, 1): {first}. {_REMEDY}"
        ) from error
    raise DefinitionError(
        "the manifest ignores pixels (its key 'ignore'), and task.loss of a batch is neither that of all its pixels "
        f"nor the mean or the sum over its slices: they cannot be left out of it. {_REMEDY}"
    )


def _made_up(task: Task) -> _Row:
    """Logits (3, K, H, W) and labels (3, 1, H, W) with every class in each slice, and in each another share of it."""
    generator = torch.Generator().manual_seed(1)
    classes, pixels = len(task.classes), _SIZE[0] * _SIZE[1]
    logits = torch.randn(3, task.out_channels, *_SIZE, generator=generator)
    skewed = torch.rand(3, pixels, generator=generator) ** torch.tensor([[0.5], [1.0], [3.0]])
    label = (skewed * classes).long()
    label[:, :classes] = torch.arange(min(classes, pixels))
    return logits, label.to(torch.uint8).reshape(3, 1, *_SIZE)


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(torch.allclose(one.float(), other.float(), rtol=1e-4, atol=1e-6))
