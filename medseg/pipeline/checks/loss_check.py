"""Trying the loss of a definition before anything is trained on it."""

from __future__ import annotations

import numpy as np
import torch
from monai.losses import NACLLoss

from medseg.errors import DefinitionError
from medseg.learning.tasks.task import Loss, Task
from medseg.pipeline.checks.each_map import apart, refuse_not_each

_SURE = 3.0  # logits of a network that is fairly sure
_SURER = 10  # times as sure
_FAINTER = (0.1, 0.3, 1.0)  # which smoothed labels may prefer

#: Faint logits, in parts of those at which Dice of logits divides by 0 (its Jaccard form, a little before): behind
#: that it is worse than nothing, and cross-entropy beside it does not outweigh that before twice as much.
_BEHIND_ZERO = (1.2, 1.6)
_BEYOND = 1.1
"""By how much of what right logits gain, faint ones of sigmoids may be worse than undecided ones. Losses by distances
count those from the shape that logits show beside those from the true one, so that none is better than the right one,
shown faintly: by as much as is gained, at most. A softmax of faint logits shows none."""
_OFTEN = 100  # made-up count of the first class; the next ones occur once more each
_ROUNDED = 1e-4  # of a loss

_AS_LABELS = (
    1.0,
    2.0,
    3.0,
    4.0,
)  # times the labels: less sure than `_SURE`, and best for what compares the two

_MADE_FOR = (
    "It may be made for probabilities, and gets logits: let it make them itself (`softmax: true` or `sigmoid: true` "
    "in losses of MONAI), or take one of logits, such as torch.nn.CrossEntropyLoss in place of torch.nn.NLLLoss."
)


def check_loss(task: Task, size: tuple[int, int]) -> None:
    """Ask the loss for what it gives to right, to undecided and to wrong logits.

    Right ones must give the least, and surer ones not ever less: a loss that falls without end is none.

    Args:
        task: Whose loss.
        size: (H, W) of a slice.

    Raises:
        DefinitionError: It cannot compare logits with labels, gives several numbers, or none that tells right from
            wrong.
    """
    classes = len(task.classes)
    examples = (task.target.examples(classes, size), *task.target.extremes(classes))
    label = torch.from_numpy(np.concatenate(examples))
    shown = _shown(task, label)
    right = 2 * shown - 1
    unequal = _OFTEN + np.arange(classes, dtype=np.int64)  # so that weights are, as those of data
    loss = task.weighted(unequal).loss()
    tried = (*_FAINTER, _SURE) if _smooths(task, loss) else (_SURE,)
    sure = {each: _number(loss, each * right, label) for each in tried}
    best = min(sure, key=sure.__getitem__)
    losses = {
        "right": sure[best],
        "undecided": _number(loss, torch.zeros_like(right), label),
        "wrong": _number(loss, -best * right, label),
        "surer": _number(loss, _SURER * _SURE * right, label),
    }
    faint = [each for each in _behind_zero(shown) if each <= best]
    if faint:
        losses["faint"] = max(_number(loss, each * right, label) for each in faint)
    if not all(torch.isfinite(torch.tensor(value)) for value in losses.values()):
        raise DefinitionError(f"task.loss gives {_listed(losses)}; expected finite numbers. {_MADE_FOR}")
    gain = losses["undecided"] - losses["right"]
    allowed = _BEYOND * gain if apart(task, size) else _ROUNDED * abs(losses["undecided"])
    worse = losses.get("faint", losses["right"]) - losses["undecided"] > allowed
    if gain <= 0 or losses["right"] >= losses["wrong"] or worse:
        raise DefinitionError(
            f"task.loss gives {_listed(losses)}; expected the least for right logits. {_MADE_FOR}"
        )
    if _stands_still(loss, -best * right, label) and _stands_still(loss, best * right, label):
        raise DefinitionError(
            f"task.loss gives {_listed(losses)}, and does not change as logits that are wrong become less so: a "
            f"training would stand still there. {_MADE_FOR}"
        )
    if losses["surer"] < losses["right"] - gain:
        raise DefinitionError(
            f"task.loss gives {_listed(losses)}: it falls without end as logits grow, and a training would drive it "
            f"there. {_MADE_FOR}"
        )

    if len(tried) == 1 and min(_number(loss, each * shown, label) for each in _AS_LABELS) < losses["right"]:
        raise DefinitionError(
            f"task.loss gives {losses['right']:.3g} for sure logits that are right, and less for some that are 0 "
            f"where the label is 0: a training would stop in the middle. {_MADE_FOR}"
        )
    for name, alone in zip(task.classes, task.target.alone(classes, size), strict=True):
        _refuse_none_of_one(task, loss, name, torch.from_numpy(alone))
    if (len(task.maps) > 1 or len(examples) > 1) and apart(task, size):
        refuse_not_each(task, loss, label, shown, best, _MADE_FOR)


def _shown(task: Task, label: torch.Tensor) -> torch.Tensor:
    """(B, C, ...) float32 of 0 and 1: where labels have what each of the task's maps is of, a class or a region."""
    members = {name: (index,) for index, name in enumerate(task.classes)} | dict(task.regions)
    classes = task.target.indicators(label, len(task.classes))
    return torch.stack([classes[:, list(members[name])].amax(dim=1) for name in task.maps], dim=1)


def _behind_zero(shown: torch.Tensor) -> list[float]:
    """Faint logits a little beyond those at which Dice of the logits of a map divides by 0.

    Of right logits s and -s, and a share f of a map, that sum is s (2 f - 1) + f: 0 at s = f / (1 - 2 f).
    """
    shares = {round(float(share), 2) for share in shown.movedim(1, 0).flatten(1).mean(dim=1)}
    return [
        times * share / (1 - 2 * share)
        for share in sorted(shares)
        if 0 < share < 0.5
        for times in _BEHIND_ZERO
    ]


def _refuse_none_of_one(task: Task, loss: Loss, name: str, label: torch.Tensor) -> None:
    """Refuse a loss that is not finite for a batch of one class alone, as that of a class without weight is: 0/0."""
    shown = _shown(task, label)
    found = _number(loss, torch.zeros_like(shown), label)
    if not np.isfinite(found):
        raise DefinitionError(
            f"task.loss gives {found} for a batch that holds the class {name!r} alone, expected a finite number. "
            "Give every class a weight above 0, be it a small one (task.class_weights, or the weight of task.loss), "
            "or take another loss."
        )


def _smooths(task: Task, loss: Loss) -> bool:
    """Whether logits that are not so sure may be best."""
    parts = [task, *(loss.modules() if isinstance(loss, torch.nn.Module) else ())]
    return any(getattr(part, "label_smoothing", 0) or isinstance(part, NACLLoss) for part in parts)


def _listed(losses: dict[str, float]) -> str:
    names = {
        "right": "right logits",
        "faint": "right but faint ones",
        "surer": f"logits {_SURER} times as sure",
    }
    return ", ".join(f"{value:.3g} for {names.get(name, f'{name} ones')}" for name, value in losses.items())


def _stands_still(loss: Loss, logits: torch.Tensor, label: torch.Tensor) -> bool:
    """Whether no logit moves the loss, as where they are cut to the range of probabilities."""
    asked = logits.clone().requires_grad_()
    found = loss(asked, label)
    return not found.requires_grad or not torch.autograd.grad(found.sum(), asked)[0].any()


def _number(loss: Loss, logits: torch.Tensor, label: torch.Tensor) -> float:
    try:
        with torch.no_grad():
            found = loss(logits, label)
        single = found.numel() == 1
    except DefinitionError:
        raise
    except Exception as error:  # losses raise anything at a target of another form
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DefinitionError(f"task.loss cannot compare logits with labels: {first}") from error
    if not single:
        raise DefinitionError("task.loss gives more than one number: set its reduction to mean.")
    return float(found)
