"""Trying the network of a definition on a blank batch before anything is trained."""

from __future__ import annotations

from typing import Any

import torch

from medseg.errors import DefinitionError
from medseg.learning.inspection.trial_pass import untouched
from medseg.learning.outputs.main_output import main_of, with_main_output
from medseg.learning.tasks.task import Task
from medseg.machine.within_memory import is_unmade, within_memory
from medseg.pipeline.declaration.completion import INPUTS
from medseg.pipeline.declaration.definition import PipelineDefinition

#: With which value of an argument MONAI's networks give one output as they train.
_ONE_OUTPUT = {"deep_supervision": "false", "dsdepth": "1", "aux_logits": "false"}


def check_network(
    definition: PipelineDefinition, network: torch.nn.Module, task: Task, *, trains: bool
) -> int:
    """Send a blank batch through a network, as it predicts and as it trains; it is left as it was.

    Args:
        definition: Says the channels and the size of slices.
        network: On the CPU.
        task: What its output must mean.
        trains: Whether a step trains it.

    Returns:
        How many outputs are learned from.

    Raises:
        DefinitionError: It does not take the batch, or what it gives does not fit the task.
    """
    with_main_output(network)
    size = definition.slices.size
    expected = (2, *task.target.output(task.out_channels, size))
    count = 1
    for training in (False, True) if trains else (False,):
        given = blank_outputs(definition, network, training=training)
        several = isinstance(given, list) and training
        if not several or len(expected) == 2:
            _refuse_other_form(definition, network, given, len(expected), training=training)
        _refuse_other_shape(task, tuple(main_of(given).shape), expected)
        if several:
            _refuse_unlike(definition, network, given, expected)
            count = len(given)
    return count


def blank_outputs(definition: PipelineDefinition, network: torch.nn.Module, *, training: bool) -> Any:
    """What a network gives for a blank batch; it is left as it was.

    Raises:
        DefinitionError: It does not take the batch.
    """
    channels, (height, width), before = len(definition.inputs), definition.slices.size, network.training
    network.train(training)
    try:
        with torch.no_grad(), untouched(network), within_memory(kept=is_unmade(network)):
            return network(torch.zeros(2, channels, height, width))
    except Exception as error:  # networks raise anything at a shape they do not take
        first = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DefinitionError(
            f"the network does not take a batch (2, {channels}, {height}, {width}), which channels and "
            f"slices.size ask for: {first}. {_inputs(definition)}hoose another slices.size, which its strides divide "
            "and leave more than one pixel of; or take a network of 2D slices."
        ) from error
    finally:
        network.train(before)


def _refuse_other_form(
    definition: PipelineDefinition, network: torch.nn.Module, given: Any, axes: int, *, training: bool
) -> None:
    """Refuse what is not one tensor."""
    if isinstance(given, torch.Tensor):
        return
    size = f" of {len(given)}" if isinstance(given, list | tuple | dict) else ""
    reason = (
        "Classes of whole images are learned from one output alone: a second one, such as that of an auxiliary "
        "classifier, has no label map of another size to learn from."
        if axes == 2
        else "Several outputs are taken where they stand in one list, each a tensor (B, K, H, W), that which counts "
        "first."
    )
    raise DefinitionError(
        f"the network {type(network).__name__} gives a {type(given).__name__}{size} "
        f"{'as it trains' if training else 'for a batch'}, expected one tensor of {axes} axes. {reason} "
        f"{_remedy(definition)}"
    )


def _refuse_unlike(
    definition: PipelineDefinition,
    network: torch.nn.Module,
    given: list[torch.Tensor],
    expected: tuple[int, ...],
) -> None:
    """Refuse outputs that cannot be compared with the label map: other classes, or larger than it."""
    for place, each in enumerate(given):
        shape = tuple(each.shape)
        fits = len(shape) == len(expected) and shape[:2] == expected[:2]
        if fits and all(0 < mine <= most for mine, most in zip(shape[2:], expected[2:], strict=True)):
            continue
        batch, classes, height, width = expected
        raise DefinitionError(
            f"the network {type(network).__name__} gives {len(given)} outputs as it trains, and number {place + 1} "
            f"has the shape {shape}; expected ({batch}, {classes}, h, w), no larger than {height} x {width}, since "
            f"the label map is brought to its size. {_remedy(definition)}"
        )


def _remedy(definition: PipelineDefinition) -> str:
    argument = next((name for name in _ONE_OUTPUT if name in definition.network), None)
    if argument is None:
        return "Take another network, or a class of your own around it that gives the one output that counts."
    return f"Set network.{argument} to {_ONE_OUTPUT[argument]}."


def _refuse_other_shape(task: Task, given: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if given == expected:
        return
    fits = len(given) == len(expected) and given[:2] == expected[:2]
    remedy = (
        "Choose a slices.size that its strides divide."
        if fits
        else f"Set network.out_channels to {task.out_channels}, or mend task.classes."
        if len(given) == len(expected)
        else f"Take a network for {task.target.noun}."
    )
    raise DefinitionError(
        f"the network gives {given} where the task, with {len(task.classes)} classes, wants {expected}. {remedy}"
    )


def _inputs(definition: PipelineDefinition) -> str:
    """What to do first where a network does not take its input: its number of channels, if that is another."""
    count = len(definition.inputs)
    for name in INPUTS:
        if definition.network.get(name, count) != count:
            return f"Set network.{name} to {count}, or leave it out; else c"
    return "C"
