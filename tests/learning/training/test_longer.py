"""By which other plan a training that has begun can go on, and end as if it had begun by it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR

from medseg.errors import RunError
from medseg.learning.training.longer import refuse_other_course
from medseg.learning.training.plan import Plan

PLAN = Plan(4, partial(torch.optim.SGD, lr=0.1), patience=3)


def cosine(*, optimizer: torch.optim.Optimizer, T_max: int, **_: int) -> Any:  # noqa: N803
    return CosineAnnealingLR(optimizer, T_max)


def of_a_length(*, optimizer: torch.optim.Optimizer, **_: int) -> Any:
    return CosineAnnealingLR(optimizer, 10)


def steady(*, optimizer: torch.optim.Optimizer, **_: int) -> Any:
    return ExponentialLR(optimizer, 0.9)


def other(done: int, before: Plan = PLAN, **changes: Any) -> str:
    return refuse_other_course(before, replace(before, **changes), torch.nn.Linear(2, 2), done)


@pytest.mark.parametrize(
    ("done", "changes"),
    [
        (4, {"epochs": 9}),
        (2, {"epochs": 2}),
        (4, {"patience": 5}),
        (4, {"patience": None}),
        (0, {"epochs": 1, "schedule": cosine}),
        (4, {"epochs": 9, "schedule": steady}),
        (4, {"epochs": 9, "schedule": of_a_length}),
        (4, {"patience": 5, "schedule": cosine}),
        (2, {"epochs": 9, "validate_every": 3}),
        (4, {"epochs": 9, "validate_every": 2}),
    ],
    ids=lambda value: (
        str({k: getattr(v, "__name__", v) for k, v in value.items()})
        if isinstance(value, dict)
        else str(value)
    ),
)
def test_what_can_be_honoured_is_done_without_a_word(done: int, changes: dict[str, Any]) -> None:
    kept = {name: each for name, each in changes.items() if name not in ("epochs", "patience")}
    changed = {name: each for name, each in changes.items() if name in ("epochs", "patience")}

    assert other(done, replace(PLAN, **kept), **changed) == ""


def test_less_than_was_done_is_refused() -> None:
    with pytest.raises(RunError, match="epochs is 2, and 3 are trained already: expected 3 or more"):
        other(3, epochs=2)
    with pytest.raises(RunError, match="patience is 2, expected 3 or more, or null"):
        other(3, patience=2)
    with pytest.raises(RunError, match="patience is 5, expected null"):
        other(3, replace(PLAN, patience=None), patience=5)


def test_a_schedule_as_long_as_the_training_keeps_its_length() -> None:
    with pytest.raises(RunError, match="epochs is 9 and was 4: the schedule of the learning rate"):
        other(2, replace(PLAN, schedule=cosine), epochs=9)


def test_that_the_last_epoch_was_validated_out_of_turn_is_said() -> None:
    said = other(4, replace(PLAN, validate_every=3), epochs=9)

    assert said.startswith("epoch 4 was validated because it was the last.")
