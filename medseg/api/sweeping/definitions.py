"""The definitions of a sweep: what each run learns, and what scores the winner."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.allowed import Allowed
from medseg.component import build
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DefinitionError
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.declaration.overrides import override
from medseg.pipeline.study.varied import Varied

_SHARED = ("split", "manifest", "channels", "sample", "name")  # with another, scores would be of other data
_OF_TRAINING = ("slices.keep", "slices.neighbours", "slices.store")  # what is scored stays the same
_OF_SCORE = (
    *("task._target_", "task.select", "task.classes", "task.regions", "task.threshold", "task.thresholds"),
)
_MOST_CHECKED = 64


def fixed_split(definition: PipelineDefinition) -> PipelineDefinition:
    """The same with a seed of the split: runs of other seeds have the same patients in each role."""
    if definition.split.seed is not None or definition.split.file is not None:
        return definition
    return with_values(definition, [f"split.seed={definition.seed}"])


def with_values(definition: PipelineDefinition, values: Sequence[str]) -> PipelineDefinition:
    """The same with `path=value` strings applied.

    Raises:
        DefinitionError: A path leads nowhere, or a value is none that it can have.
    """
    return PipelineDefinition.from_dict(override(definition.to_dict(), values), definition.name)


def _learns(definition: PipelineDefinition, path: str, allowed: Allowed) -> bool:
    """Whether a setting is of a step that learns; of one that is not there, saying so is left to others."""
    name = path.split(".")[1] if "." in path else ""
    if name not in definition.steps:
        return True
    step = build(definition.steps[name], at=f"steps.{name}", kind=None, allowed=allowed)
    return "train" in step.roles or not step.roles


def refuse_wrong(
    definition: PipelineDefinition, given: Sequence[Varied], seeds: int, allowed: Allowed
) -> None:
    """Refuse what no definition can be made of, or no fair comparison, before anything is learned.

    Raises:
        DefinitionError: A setting is not there, a value is none that it can have, or runs would differ in their data.
    """
    for each in given:
        room = each.path.split(".")[0]
        if room in _SHARED:
            raise DefinitionError(
                f"--vary {each.path}: runs with another {room} are scored on other patients, and their scores do not "
                "compare. Run them one by one: medseg pipeline run --set"
            )
        if room == "slices" and not each.path.startswith(_OF_TRAINING):
            raise DefinitionError(
                f"--vary {each.path}: runs with other slices are scored on other pixels, and their validation scores "
                "do not compare. Run them one by one, and compare their scores on the test part: medseg runs compare"
            )
        if each.path.startswith(_OF_SCORE) or each.path == "task" or each.path.endswith(".best_by"):
            raise DefinitionError(
                f"--vary {each.path}: it decides what the validation score is of, and scores of two kinds do not "
                "compare. Run them one by one: medseg pipeline run --set"
            )
        if room == "steps" and not _learns(definition, each.path, allowed):
            raise DefinitionError(
                f"--vary {each.path}: it does not change the validation score by which runs are ranked. Vary a "
                "setting of a step that learns."
            )
        if each.path == "seed" and seeds > 1:
            raise DefinitionError("--vary seed and --seeds both vary the seed. Leave one out.")
        for value in each.ends:
            try:
                with_values(definition, [f"{each.path}={value}"])
            except DefinitionError as error:
                raise DefinitionError(str(error).replace("--set ", "--vary ")) from error


def learned(definition: PipelineDefinition, allowed: Allowed) -> PipelineDefinition:
    """The same without the steps that look at the test part: no choice may rest on it.

    Raises:
        DefinitionError: Nothing is learned by the others.
    """
    built = _built(definition, allowed)
    steps = {name: definition.steps[name] for name, step in built.items() if "test" not in step.roles}
    if not any("train" in built[name].roles for name in steps):
        raise DefinitionError(
            f"no step of {definition.name} learns without the test part, so that nothing can be chosen on validation."
        )
    return PipelineDefinition.from_dict({**definition.to_dict(), "steps": steps}, definition.name)


def scored(definition: PipelineDefinition, model: Path, allowed: Allowed) -> PipelineDefinition | None:
    """What scores a trained model on the test part, by the steps of the definition that do; None if none does.

    Args:
        definition: With the values of the model.
        model: Its folder.
        allowed: Where classes may come from.
    """
    built = _built(definition, allowed)
    steps: dict[str, Any] = {
        name: definition.steps[name]
        for name, step in built.items()
        if "test" in step.roles and "train" not in step.roles
    }
    if not steps:
        return None
    use = {"_target_": "medseg.steps.UseModel", "weights": str(model)}
    name = next(each for each in ("model", "chosen_model", "model_of_the_sweep") if each not in steps)
    return PipelineDefinition.from_dict(
        {**definition.to_dict(), "steps": {name: use, **steps}}, definition.name
    )


def refuse_unrunnable(
    definition: PipelineDefinition,
    manifest: Manifest,
    root: Path | None,
    given: Sequence[Varied],
    allowed: Allowed,
) -> None:
    """Refuse a sweep of which no combination of values could begin.

    Raises:
        DefinitionError: What is wrong with the first of them.
        DataError: The data tell no classes.
    """
    from medseg.pipeline.declaration.completion import complete  # noqa: PLC0415 - torch and MONAI
    from medseg.pipeline.resolve import resolve  # noqa: PLC0415

    first: DefinitionError | None = None
    for values in itertools.islice(itertools.product(*(each.ends for each in given)), _MOST_CHECKED):
        settings = [f"{each.path}={value}" for each, value in zip(given, values, strict=True)]
        try:
            whole = complete(learned(with_values(definition, settings), allowed), manifest, root, allowed)
            resolve(whole.definition, whole.manifest, allowed)
        except DefinitionError as error:
            first = first or error
        else:
            return
    if first is not None:
        raise first


def _built(definition: PipelineDefinition, allowed: Allowed) -> Mapping[str, Any]:
    return {
        name: build(spec, at=f"steps.{name}", kind=None, allowed=allowed)
        for name, spec in definition.steps.items()
    }
