"""Trying a loss where each map is decided by its own logit: regions that overlap, tags of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from medseg.errors import DefinitionError
from medseg.learning.tasks.task import Loss, Task

_ROUNDED = 1e-4  # of what logits move a loss by: a softmax of equal ones leaves such a rest in place of 0
_EXACT = 1e-6  # of a loss in float32

Held = tuple[str, ...]
"""The maps that a place has."""


def apart(task: Task, size: tuple[int, int]) -> bool:
    """Whether the probability of each map follows from its own logit alone, as by sigmoids, and not by a softmax.

    Args:
        task: Whose maps.
        size: (H, W) of a slice.
    """
    maps = torch.arange(task.out_channels)
    before = torch.zeros(len(maps), *task.target.output(len(maps), size))
    after = before.clone()
    after[maps, maps] = 1.0  # in each row another logit
    moved = task.probabilities(after) != task.probabilities(before)
    moved[maps, maps] = False
    return not bool(moved.any())


def refuse_not_each(
    task: Task, loss: Loss, label: torch.Tensor, shown: torch.Tensor, sure: float, made_for: str
) -> None:
    """Refuse a loss that leaves a map out, or wants exactly one of the maps to be true.

    Asked are its gradients at undecided and at wrong logits, and its values where some logits are right and some not.

    Args:
        task: Each of whose M maps has a logit for itself.
        loss: That of the task.
        label: Batch of labels.
        shown: (B, M, ...) float32 of 0 and 1: where the labels have what each map is of.
        sure: Logit of what is right.
        made_for: What to say of a loss that may be made for probabilities.

    Raises:
        DefinitionError: It does.
    """
    right = sure * (2 * shown - 1)
    undecided, wrong = (
        _towards_right(loss, each, label, right) for each in (torch.zeros_like(right), -right)
    )
    places = list(_combinations(task, shown))
    _refuse_left_out(task, places, undecided, wrong)
    for held, place in places:
        if not _falls(undecided, place) and not _falls(wrong, place):
            raise _one_of_all(task, _values(loss, label, right, {"undecided ones": (place, 0.0)}), held)
    for held, place in places:
        _refuse_never_absent(task, held, _by_map(undecided.abs() + wrong.abs(), place))
        if bool((_by_map(wrong, place) > _ROUNDED * _by_map(wrong.abs(), place)).any()):
            raise DefinitionError(
                f"task.loss rises as wrong logits of {_place(task, held)} become less so; expected the least for "
                f"right logits. {made_for}"
            )
    for held, place in places:
        values = _values(loss, label, right, _others(task, held, place, sure))
        at_right = values["right logits"]
        for name, value in values.items():
            if value < at_right - _EXACT * abs(at_right):
                raise _one_of_all(task, {"right logits": at_right, name: value}, held)


def _towards_right(
    loss: Loss, logits: torch.Tensor, label: torch.Tensor, right: torch.Tensor
) -> torch.Tensor:
    """How the loss changes as each logit moves to where it is right: below 0 if it falls."""
    asked = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(asked, label).sum(), asked)[0] * right.sign()


def _combinations(task: Task, shown: torch.Tensor) -> Iterator[tuple[Held, torch.Tensor]]:
    """Each combination of maps that occurs, and where: (B, 1, ...)."""
    number = torch.zeros_like(shown[:, 0], dtype=torch.long)
    for flags in shown.unbind(dim=1):  # numbered anew by each map, so that they stay small
        number = torch.unique(2 * number + flags.long(), return_inverse=True)[1]
    for each in range(int(number.max()) + 1):
        place = (number == each)[:, None]
        held = ((shown * place) > 0).movedim(1, 0).flatten(1).any(dim=1)
        yield tuple(name for name, has in zip(task.maps, held, strict=True) if has), place


def _by_map(slopes: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """(M,) their sums in a place."""
    return (slopes * place).movedim(1, 0).flatten(1).sum(dim=1)


def _falls(slopes: torch.Tensor, place: torch.Tensor) -> bool:
    """Whether a loss falls as all logits of a place become right together."""
    return float((slopes * place).sum()) < -_ROUNDED * float((slopes * place).abs().sum())


def _refuse_left_out(
    task: Task, places: Sequence[tuple[Held, torch.Tensor]], undecided: torch.Tensor, wrong: torch.Tensor
) -> None:
    """Refuse a loss that no logit of a map moves."""
    moved = sum(_by_map(undecided.abs() + wrong.abs(), place) for _, place in places)
    for index, name in enumerate(task.maps):
        if not moved[index] and not _unweighted(task, index):
            raise _left_out(task, name, "")


def _refuse_never_absent(task: Task, held: Held, moved: torch.Tensor) -> None:
    """Refuse a loss that no logit of a map moves at a place without it.

    Where the map is, that is no fault: losses by the distance from the boundary do not move next to it.
    """
    for index, name in enumerate(task.maps):
        if name not in held and not moved[index] and not _unweighted(task, index):
            raise _left_out(task, name, f" of {_place(task, held)}")


def _unweighted(task: Task, index: int) -> bool:
    """Whether the task itself gives the class of a map no weight."""
    weights = getattr(task, "class_weights", None)
    return isinstance(weights, tuple) and len(weights) == len(task.maps) and not weights[index]


def _left_out(task: Task, name: str, where: str) -> DefinitionError:
    noun = _noun(task)
    return DefinitionError(
        f"task.loss does not change with the logit of the {noun} {name!r}{where}: a training would leave it as it "
        f"is. Let the loss count every {noun} (`include_background: true` in losses of MONAI; weights above 0, be "
        "they small ones), or leave task.loss out."
    )


_Asked = dict[str, tuple[torch.Tensor, float]]
"""Where logits are to be another number, by what they are called."""


def _others(task: Task, held: Held, place: torch.Tensor, sure: float) -> _Asked:
    """Of a place, logits that must not be better than right ones: of no map, and of one less than it has."""
    found: _Asked = {"undecided ones": (place, 0.0)}
    for index, name in enumerate(task.maps):
        if name in held and len(held) > 1:
            alone = torch.zeros(len(task.maps), dtype=torch.bool)
            alone[index] = True
            one = place & alone.reshape(1, -1, *[1] * (place.ndim - 2))
            found |= {f"{name!r} undecided": (one, 0.0), f"{name!r} wrong": (one, -sure)}
    return found


def _values(loss: Loss, label: torch.Tensor, right: torch.Tensor, asked: _Asked) -> dict[str, float]:
    """The loss of right logits, and where those of some places are others."""
    with torch.no_grad():
        values = {name: loss(torch.where(place, to, right), label) for name, (place, to) in asked.items()}
        return {
            "right logits": float(loss(right, label)),
            **{name: float(each) for name, each in values.items()},
        }


def _one_of_all(task: Task, values: dict[str, float], held: Held) -> DefinitionError:
    told = ", ".join(f"{value:.3g} for {name}" for name, value in values.items())
    return DefinitionError(
        f"task.loss gives {told} of {_place(task, held)}; expected the least for right logits. It is made for one "
        f"class {task.target.unit}: take one that asks for each {_noun(task)} by itself, such as "
        "torch.nn.BCEWithLogitsLoss, or leave task.loss out."
    )


def _noun(task: Task) -> str:
    return "region" if task.maps[0] in task.regions else "class"


def _place(task: Task, held: Held) -> str:
    """Such as: a pixel with no region, an image with every class."""
    noun, unit = _noun(task), task.target.unit
    if not held:
        return f"{unit} with no {noun}"
    if len(held) == len(task.maps):
        return f"{unit} with every {noun}"
    return f"{unit} with {' and '.join(map(repr, held))} alone"
