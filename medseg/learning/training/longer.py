"""A training that has begun and goes on by another plan: what that changes, and what it cannot honour."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from medseg.errors import RunError
from medseg.learning.training.checkpoint import Standing
from medseg.learning.training.optimiser import make_optimiser
from medseg.learning.training.plan import Plan
from medseg.text import many


def refuse_other_course(before: Plan, after: Plan, network: torch.nn.Module, standing: Standing) -> str:
    """Compare the plan that a training began by with the one by which it is to go on.

    Args:
        before: The plan until now.
        after: The plan from now on; epochs and patience alone may differ.
        network: What is trained.
        standing: How far the training has come.

    Returns:
        In what the training differs from one that began by the later plan, but for its schedule (`course_note`);
        empty where it does not.

    Raises:
        RunError: Epochs or patience cannot be honoured any more; the text begins with the setting.
    """
    done = standing.epoch
    if after.epochs < done:
        raise RunError(f"epochs is {after.epochs}, and {done} are trained already: expected {done} or more.")
    if (after.patience or math.inf) < (before.patience or math.inf):
        least = "null" if before.patience is None else f"{before.patience} or more, or null"
        raise RunError(
            f"patience is {after.patience}, expected {least}: with less, the training may have ended before now."
        )
    if after.epochs != before.epochs and done:
        _refuse_fixed_schedule(before, after, network, standing)
    if done == before.epochs < after.epochs and done % after.validate_every:
        return (
            f"epoch {done} was validated because it was the last. A training of {many(after.epochs, 'epoch')} from "
            f"the start validates every {after.validate_every}, and may choose another best epoch."
        )
    return ""


def _refuse_fixed_schedule(before: Plan, after: Plan, network: torch.nn.Module, standing: Standing) -> None:
    """Refuse a schedule that is as long as the training and cannot be made anew for another length."""
    at = f"epochs is {after.epochs} and was {before.epochs}: the schedule of the learning rate"
    try:
        follows = _follows_the_length(after, network, (before.epochs, after.epochs))
        if follows and standing.planned:
            _advanced(after, network, after.epochs, standing.epoch)
    except Exception as error:  # schedules raise anything at lengths that they do not take
        raise RunError(f"{at} cannot be made for so many ({type(error).__name__}).") from error
    if follows and not standing.planned:
        raise RunError(
            f"{at} is as long as the training, and an earlier medseg did not note for how many epochs it was made."
        )


def at_new_length(
    standing: Standing,
    plan: Plan,
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: Any | None,
    each: int,
) -> Standing:
    """Where the plan has another number of epochs than the schedule was made for, put a new one at the same place.

    Args:
        standing: How far the training has come.
        plan: How it goes on.
        network: What is trained.
        optimiser: As the checkpoint left it; its learning rate, and what else the schedule sets, changes.
        schedule: As the checkpoint left it; changes.
        each: Steps of the schedule in an epoch.

    Returns:
        The standing, with another course where the schedule was made anew.
    """
    known, now = standing.planned, replace(standing, planned=plan.epochs)
    if schedule is None or known in (0, plan.epochs):
        return standing if known == 0 and standing.epoch else now
    if not _follows_the_length(plan, network, (known * each, plan.epochs * each)):
        return now
    fresh, anew = _advanced(plan, network, plan.epochs * each, standing.epoch * each)
    rate = _rate(optimiser)
    schedule.load_state_dict(anew.state_dict())
    for group, other in zip(optimiser.param_groups, fresh.param_groups, strict=True):
        group.update({name: value for name, value in other.items() if name != "params"})
    course = {
        "epoch": standing.epoch,
        "planned": known,
        "now": plan.epochs,
        "from": rate,
        "to": _rate(optimiser),
    }
    return replace(now, courses=(*standing.courses, course))


def course_note(course: Mapping[str, float]) -> str:
    """What it means that a schedule was made anew, in one or two sentences."""
    epoch, planned, now = (int(course[name]) for name in ("epoch", "planned", "now"))
    return (
        f"The schedule of the learning rate was made for {many(planned, 'epoch')}. After epoch {epoch} it was made "
        f"anew for {now}, so that the rate goes on from {course['from']:.3g} to {course['to']:.3g}: the result is "
        f"not that of a training of {many(now, 'epoch')} from the start."
    )


def _rate(optimiser: torch.optim.Optimizer) -> float:
    return float(optimiser.param_groups[0]["lr"])


def _advanced(
    plan: Plan, network: torch.nn.Module, steps: int, done: int
) -> tuple[torch.optim.Optimizer, Any]:
    """An optimiser and its schedule of `steps` steps, `done` of which are made; the network is left as it is."""
    optimiser, schedule = make_optimiser(network, plan, steps=steps)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Detected call of `lr_scheduler.step"
        )  # no weight is to change
        for _ in range(done):
            schedule.step()  # type: ignore[union-attr]  # there is one wherever a length matters
    return optimiser, schedule


def _follows_the_length(plan: Plan, network: torch.nn.Module, lengths: tuple[int, int]) -> bool:
    made = [make_optimiser(network, plan, steps=steps)[1] for steps in lengths]
    states = [None if schedule is None else schedule.state_dict() for schedule in made]
    return states[0] != states[1]
