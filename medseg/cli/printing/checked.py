"""What `medseg pipeline check` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from medseg.cli.tables import say
from medseg.text import many

if TYPE_CHECKING:
    from medseg.pipeline.resolve import Resolved


def print_checked(console: Console, resolved: Resolved, *, with_data: bool) -> None:
    """What `pipeline check` found; `with_data` says whether it looked at the data."""
    definition = resolved.definition
    height, width = definition.slices.size
    say(
        console,
        f"{definition.name} is in order: {many(len(definition.steps), 'step')} ({', '.join(definition.steps)}); "
        f"{definition.network['_target_']} with {resolved.parameters:,} trainable parameters takes "
        f"{len(definition.inputs)} x {height} x {width} and tells {len(resolved.predictor.task.classes)} classes.",
        "green",
    )
    if resolved.supervision:
        say(console, resolved.supervision)
    if definition.loading.augment:
        say(console, augmentation_line(resolved.slice_by_slice))
    if resolved.one_process:
        say(console, f"Not by torchrun, in one process alone: {resolved.one_process}")
    if with_data:
        say(console, "The data fit it: a run would begin.", "green")
    else:
        say(console, f"No data were looked at: medseg data check {definition.name} --data PATH does that.")


def augmentation_line(slice_by_slice: tuple[str, ...]) -> str:
    """How augmentation runs; the transforms that no batch goes through at once are named."""
    if not slice_by_slice:
        return "Augmentation runs by batch, on a GPU where the network is on one."
    names = ", ".join(dict.fromkeys(slice_by_slice))
    return (
        f"Augmentation runs by batch, but slice by slice on the processor for {names}: no form of it for batches has "
        "all its settings (docs/extending.md). For a network on a GPU that leaves all augmentation to the processor, "
        "unless the slices are kept on the GPU."
    )
