"""What a definition leaves to its data: names of classes, and how many inputs and outputs a network has."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.component import Allowed, build, resolve
from medseg.datasets.manifest.manifest import Manifest
from medseg.learning.tasks.task import TASK, Task
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.gather import with_known_classes

INPUTS = ("in_channels", "n_input_channels", "in_chans")
"""What constructors call the number of channels that a network takes."""

_OUTPUTS = ("out_channels", "num_classes", "classes")  # the number that it gives
_SIZE = "image_size"


@dataclass(frozen=True)
class Completed:
    """A definition and its manifest with nothing left to the data."""

    definition: PipelineDefinition
    manifest: Manifest


def complete(
    definition: PipelineDefinition, manifest: Manifest, root: Path | None, allowed: Allowed
) -> Completed:
    """Fill in what the definition leaves out.

    - Classes of a manifest that names none are those of the data; without data, those of its generated sample.
    - `task.classes`, when left out, are those of the manifest.
    - A network's number of inputs and outputs, when left out, are those of channels and task; its `image_size`,
      where it has one, is `slices.size`.

    Args:
        definition: As declared, after overrides.
        manifest: Of its data.
        root: Folder of the data; None where only the declaration is looked at.
        allowed: Where declared objects may come from.

    Raises:
        DefinitionError: The classes cannot be known without data, or a part cannot be built.
        DataError: The data tell no classes.
    """
    manifest = with_known_classes(manifest, root, allowed)
    task = dict(definition.task)
    if "classes" not in task and "classes" in _taken(task, "task", allowed):
        task["classes"] = list(manifest.classes)
    network = dict(definition.network)
    taken = _taken(network, "network", allowed)
    inputs = _missing(INPUTS, network, taken)
    outputs = _missing(_OUTPUTS, network, taken)
    network |= dict.fromkeys(inputs, len(definition.inputs))
    if _SIZE in taken and _SIZE not in network:
        network[_SIZE] = list(definition.slices.size)
    if outputs:
        made: Task = build(task, at="task", kind=TASK, allowed=allowed)
        network |= dict.fromkeys(outputs, made.out_channels)
    whole = {**definition.to_dict(), "task": task, "network": network}
    return Completed(PipelineDefinition.from_dict(whole, definition.name), manifest)


def _taken(spec: Mapping[str, Any], at: str, allowed: Allowed) -> frozenset[str]:
    """Arguments that a class takes by name, and those of its base that it hands on without naming them."""
    found: set[str] = set()
    for each in resolve(spec["_target_"], at=at, allowed=allowed).__mro__:
        parameters = inspect.signature(each).parameters
        found |= set(parameters)
        if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
            break
    return frozenset(found)


def _missing(names: Sequence[str], spec: Mapping[str, Any], taken: Collection[str]) -> list[str]:
    """The argument of these that the spec leaves out, if it gives none of them."""
    if any(name in spec for name in names):
        return []
    return [name for name in names if name in taken][:1]
