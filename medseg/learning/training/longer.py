"""Whether a training that has begun can go on by another plan, and end as if it had begun by it."""

from __future__ import annotations

import math

import torch

from medseg.errors import RunError
from medseg.learning.training.fit import make_optimiser
from medseg.learning.training.plan import Plan


def refuse_other_course(before: Plan, after: Plan, network: torch.nn.Module, done: int) -> str:
    """Compare the plan that a training began by with the one by which it is to go on.

    Args:
        before: The plan until now.
        after: The plan from now on; epochs and patience alone may differ.
        network: What is trained.
        done: Epochs that are trained.

    Returns:
        In what the training differs from one that began by the later plan; empty where it does not.

    Raises:
        RunError: Epochs or patience cannot be honoured any more; the text begins with the setting.
    """
    if after.epochs < done:
        raise RunError(f"epochs is {after.epochs}, and {done} are trained already: expected {done} or more.")
    if (after.patience or math.inf) < (before.patience or math.inf):
        least = "null" if before.patience is None else f"{before.patience} or more, or null"
        raise RunError(
            f"patience is {after.patience}, expected {least}: with less, the training may have ended before now."
        )
    if after.epochs != before.epochs and done and _follows_the_length(before, after, network):
        raise RunError(
            f"epochs is {after.epochs} and was {before.epochs}: the schedule of the learning rate, which names no "
            f"length of its own, has gone so far as for {before.epochs} epochs."
        )
    if done == before.epochs < after.epochs and done % after.validate_every:
        return (
            f"epoch {done} was validated because it was the last. A training of {after.epochs} epochs from the start "
            f"validates every {after.validate_every}, and may choose another best epoch."
        )
    return ""


def _follows_the_length(before: Plan, after: Plan, network: torch.nn.Module) -> bool:
    made = [make_optimiser(network, after, steps=plan.epochs)[1] for plan in (before, after)]
    states = [None if schedule is None else schedule.state_dict() for schedule in made]
    return states[0] != states[1]
