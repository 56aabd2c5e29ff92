"""By which other plan a training that has begun can go on, and end as if it had begun by it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, OneCycleLR

from medseg.errors import RunError
from medseg.learning.training.checkpoint import Standing
from medseg.learning.training.longer import at_new_length, course_note, refuse_other_course
from medseg.learning.training.optimiser import make_optimiser
from medseg.learning.training.plan import Plan

PLAN = Plan(4, partial(torch.optim.SGD, lr=0.1), patience=3)


def cosine(*, optimizer: torch.optim.Optimizer, T_max: int, **_: int) -> Any:  # noqa: N803
    return CosineAnnealingLR(optimizer, T_max)


def of_a_length(*, optimizer: torch.optim.Optimizer, **_: int) -> Any:
    return CosineAnnealingLR(optimizer, 10)


def steady(*, optimizer: torch.optim.Optimizer, **_: int) -> Any:
    return ExponentialLR(optimizer, 0.9)


def one_cycle(*, optimizer: torch.optim.Optimizer, total_steps: int, **_: int) -> Any:
    return OneCycleLR(optimizer, 0.2, total_steps)


def short(*, optimizer: torch.optim.Optimizer, T_max: int, **_: int) -> Any:  # noqa: N803
    if T_max > 5:
        raise ValueError("it ends after 5")
    return CosineAnnealingLR(optimizer, T_max)


def stepped(network: torch.nn.Module, plan: Plan, *, epochs: int, steps: int) -> tuple[Any, Any]:
    optimiser, schedule = make_optimiser(network, plan, steps=epochs * 5)
    for _ in range(steps):
        optimiser.step()
        schedule.step()
    return optimiser, schedule


def other(done: int, before: Plan = PLAN, **changes: Any) -> str:
    standing = Standing(done, planned=before.epochs)
    return refuse_other_course(before, replace(before, **changes), torch.nn.Linear(2, 2), standing)


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
        (4, {"epochs": 9, "schedule": cosine}),
        (2, {"epochs": 3, "schedule": cosine}),
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


def test_a_schedule_that_cannot_be_made_for_another_length_is_refused() -> None:
    with pytest.raises(
        RunError, match="epochs is 9 and was 4: the schedule of the learning rate cannot be made"
    ):
        other(2, replace(PLAN, schedule=short), epochs=9)


def test_a_schedule_of_a_length_that_nobody_noted_is_refused() -> None:
    before = replace(PLAN, schedule=cosine)
    with pytest.raises(RunError, match=r"an earlier medseg did not note for how many epochs it was made\."):
        refuse_other_course(before, replace(before, epochs=9), torch.nn.Linear(2, 2), Standing(4))


@pytest.mark.parametrize("made", [cosine, one_cycle])
def test_a_schedule_made_anew_stands_where_one_of_that_length_would(made: Any) -> None:
    network, plan = torch.nn.Linear(2, 2), replace(PLAN, schedule=made)
    optimiser, schedule = stepped(network, plan, epochs=4, steps=4 * 5)
    expected, other_schedule = stepped(network, plan, epochs=9, steps=4 * 5)
    rate = optimiser.param_groups[0]["lr"]
    standing = Standing(4, planned=4)
    now = at_new_length(standing, replace(plan, epochs=9), network, optimiser, schedule, 5)

    course = {"epoch": 4, "planned": 4, "now": 9, "from": rate, "to": expected.param_groups[0]["lr"]}
    assert now == replace(standing, planned=9, courses=(course,))
    assert course["to"] > course["from"]
    for _ in range(5 * 5):
        for group, other_group in zip(optimiser.param_groups, expected.param_groups, strict=True):
            assert {**group, "params": ()} == {**other_group, "params": ()}
        for one, schedule_of_it in ((optimiser, schedule), (expected, other_schedule)):
            one.step()
            schedule_of_it.step()
    told = course_note(course)
    assert "made for 4 epochs" in told
    assert f"goes on from {course['from']:.3g} to {course['to']:.3g}" in told
    assert "not that of a training of 9 epochs from the start" in told
    assert "made for 1 epoch. After" in course_note({**course, "planned": 1})


@pytest.mark.parametrize("made", [None, steady, of_a_length, cosine])
def test_a_schedule_that_has_the_length_that_it_should_have_is_left_alone(made: Any) -> None:
    network, plan = torch.nn.Linear(2, 2), replace(PLAN, schedule=made, epochs=4 if made is cosine else 9)
    optimiser, schedule = make_optimiser(network, plan, steps=plan.epochs)
    before = None if schedule is None else schedule.state_dict()
    now = at_new_length(Standing(2, planned=4), plan, network, optimiser, schedule, 1)

    assert now == Standing(2, planned=plan.epochs)
    assert (None if schedule is None else schedule.state_dict()) == before


def test_that_the_last_epoch_was_validated_out_of_turn_is_said() -> None:
    said = other(4, replace(PLAN, validate_every=3), epochs=9)

    assert said.startswith("epoch 4 was validated because it was the last.")
