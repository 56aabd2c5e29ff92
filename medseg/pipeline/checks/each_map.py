"""Trying a loss where each map is decided by its own logit: regions that overlap, tags of an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from medseg.errors import DefinitionError
from medseg.learning.tasks.task import Loss, Task

_ROUNDED = 1e-4  # of what the logits of a place move a loss by: softmax of equal logits gives such a rest, and no 0
_EXACT = 1e-6  # of a loss, in float32

Number = Callable[[torch.Tensor], float]
"""Loss of logits for the labels at hand."""


def apart(task: Task, size: tuple[int, int]) -> bool:
    """Whether the probability of each map follows from its own logit alone, as sigmoids have it, not a softmax.

    Args:
        task: Whose maps.
        size: (H, W) of a slice.
    """
    count = task.out_channels
    logits = torch.zeros(count, *task.target.output(count, size))
    each = torch.arange(count)
    logits[each, each] = 1.0
    found = task.probabilities(logits)
    found[each, each] = task.probabilities(torch.zeros_like(logits[:1]))[0, each]
    return bool((found == found[:1]).all())


def refuse_not_each(
    task: Task, loss: Loss, label: torch.Tensor, shown: torch.Tensor, sure: float, number: Number
) -> None:
    """Refuse a loss that leaves a map out, or gives no low value to maps that are true together, or none of which is.

    Asked are gradients, at logits of 0 and of either sign, and values where some logits are right and others not.

    Args:
        task: Each of whose maps has a logit by itself.
        loss: That of the task.
        label: Batch of labels.
        shown: (B, M, ...) float32 of 0 and 1: where labels have what each of the M maps is of.
        sure: Of a logit that is right.
        number: The value of the loss.

    Raises:
        DefinitionError: It does.
    """
    right = sure * (2 * shown - 1)
    slopes = [_slope(loss, logits, label) for logits in (torch.zeros_like(right), -right, right)]
    for place, name in enumerate(task.maps):
        if not any(each[:, place].any() for each in slopes) and not _left_out_by_task(task, place):
            raise DefinitionError(
                f"task.loss does not change with the logits of {_all_of(task, [name])}: nothing would be learned of "
                f"it. Take a loss that counts every {_noun(task)} (`include_background: true` in losses of MONAI, and "
                "weights above 0, be they small ones), or leave task.loss out."
            )
    at_right = number(right)
    for place, held in _combinations(shown):
        undecided = number(torch.where(place, 0.0, right))
        towards = float((slopes[0] * right.sign() * place).sum())
        moved = float((slopes[0] * place).abs().sum())
        if towards >= -_ROUNDED * moved or at_right > undecided + _EXACT * abs(undecided):
            losses = f"{at_right:.3g} for right logits, {undecided:.3g} for undecided ones"
            raise _one_of_all(task, losses, [name for name, has in zip(task.maps, held, strict=True) if has])
    several = shown.sum(dim=1, keepdim=True) > 1
    for index, name in enumerate(task.maps):
        place = torch.zeros_like(several).expand_as(shown).clone()
        place[:, index] = several[:, 0] & (shown[:, index] > 0)
        for word, other in (("0", 0.0), (f"{-sure:g}", -sure)):
            left = number(torch.where(place, other, right))
            if left < at_right - _EXACT * abs(at_right):
                losses = f"{at_right:.3g} for right logits, {left:.3g} where that of {name!r} is {word}"
                raise _one_of_all(task, losses, [name], beside=True)


def _slope(loss: Loss, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """How the loss changes with each logit."""
    asked = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(asked, label).sum(), asked)[0]


def _left_out_by_task(task: Task, place: int) -> bool:
    """Whether the task itself gives the class of a map no weight."""
    weights = getattr(task, "class_weights", None)
    return isinstance(weights, tuple) and len(weights) == len(task.maps) and not weights[place]


def _combinations(shown: torch.Tensor) -> Iterator[tuple[torch.Tensor, Sequence[bool]]]:
    """Each combination of maps that occurs: where, (B, 1, ...), and which maps it has."""
    for held in torch.unique(shown.movedim(1, -1).flatten(0, -2), dim=0):
        alike = held.reshape(1, -1, *(1 for _ in shown.shape[2:])) == shown
        yield alike.all(dim=1, keepdim=True), [bool(each) for each in held]


def _one_of_all(
    task: Task, losses: str, names: Sequence[str], *, beside: bool = False
) -> DefinitionError:
    unit, noun = task.target.unit, _noun(task)
    more = f" and another {noun}" if beside else ""
    return DefinitionError(
        f"task.loss gives {losses} of {unit} with {_all_of(task, names)}{more}; expected the least for right logits. "
        f"It is made for one class {unit}: take one that asks for each {noun} by itself, such as "
        "torch.nn.BCEWithLogitsLoss, or leave task.loss out."
    )


def _noun(task: Task) -> str:
    return "region" if task.maps[0] in task.regions else "class"


def _all_of(task: Task, names: Sequence[str]) -> str:
    """Some of the maps in words."""
    noun = _noun(task)
    if not names:
        return f"no {noun}"
    if len(names) > 1 and len(names) == len(task.maps):
        return f"every {noun}"
    return f"the {noun} {names[0]!r}" if len(names) == 1 else f"{noun} {' and '.join(map(repr, names))}"
