"""What changes the weights in a training: the optimiser and the schedule of its learning rate."""

from __future__ import annotations

from typing import Any

import torch

from medseg.errors import DefinitionError
from medseg.learning.training.engine.on_cuda import fused
from medseg.learning.training.plan import Plan


def make_optimiser(
    network: torch.nn.Module, plan: Plan, *, steps: int
) -> tuple[torch.optim.Optimizer, Any | None]:
    """The optimiser of what can be trained in a network, and its schedule, `steps` steps long.

    Raises:
        DefinitionError: Nothing can be trained, or an argument is refused.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    if not trained:
        raise DefinitionError(
            "the network has no parameter that can be trained: all are frozen, or it has none."
        )
    optimiser = fused(plan.optimiser, trained[0].device)(params=trained)
    if plan.schedule is None:
        return optimiser, None
    return optimiser, plan.schedule(optimizer=optimiser, **_lengths(steps))


def try_step(optimiser: torch.optim.Optimizer, schedule: Any | None) -> None:
    """Take one step without gradients, as any state of these weights allows; weights, states and rates change.

    torch loads a state without comparing its shapes with those of the weights, and a schedule takes any.

    Raises:
        Exception: Whatever optimisers and schedules raise at a state that is not theirs.
    """
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    optimiser.step()
    optimiser.zero_grad()
    if schedule is not None:
        schedule.step()
    for group in optimiser.param_groups:
        float(group["lr"])


def _lengths(steps: int) -> dict[str, int]:
    """The names under which torch's and MONAI's schedules ask how long the training is."""
    return {"T_max": steps, "total_iters": steps, "total_steps": steps, "t_total": steps}


def rehearse(plan: Plan) -> None:
    """Take one step with a network of one weight: what fails there would fail after the data are prepared.

    Raises:
        DefinitionError: It cannot be taken.
    """
    network = torch.nn.Linear(1, 1, bias=False)
    optimiser, schedule = make_optimiser(network, plan, steps=max(plan.epochs, 2))
    if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        return
    try:
        network(torch.ones(1, 1)).sum().backward()
        optimiser.step()
        if schedule is not None:
            schedule.step()
    except Exception as error:  # optimisers and schedules raise anything at arguments that they took
        raise DefinitionError(f"optimiser or schedule cannot take a step: {error}") from error
