"""A manifest and a definition for a folder that was looked at: written, and read back as a run reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.scanning.look import Look
from medseg.errors import DefinitionError
from medseg.named import MANIFESTS, PIPELINES, Kind
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.drafting.budget import LEAST_STEPS, Course, Pace
from medseg.pipeline.drafting.choice import open_questions, written
from medseg.pipeline.drafting.machine import Machine, Time
from medseg.pipeline.drafting.manifest_choices import manifest_choices
from medseg.pipeline.drafting.plan import Plan, planned
from medseg.places import written_whole
from medseg.yaml import parse_yaml

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Draft:
    """A manifest and a definition.

    Attributes:
        name: Of both.
        manifest: Its text.
        definition: Its text.
        questions: What a person must decide.
        course: How long the training is.
    """

    name: str
    manifest: str
    definition: str
    questions: tuple[str, ...]
    course: Course


Clock = Callable[[PipelineDefinition, Manifest], Pace]
"""Measures a training; see `medseg.pipeline.drafting.pace.measured`."""


def drafted(
    name: str, look: Look, machine: Machine, minutes: float | None = None, clock: Clock | None = None
) -> Draft:
    """Draft them; nothing is written.

    With a clock, the largest network is taken of which at least 300 steps fit into the minutes, and slices of volumes
    get larger pixels where it would see too few of them.

    Args:
        name: Of both.
        look: At the folder.
        machine: What the training will run on.
        minutes: What it may take; by default what the machine suggests.
        clock: Measures it; without one, about 3000 steps are planned.

    Raises:
        DataError: There is nothing to be learned from; says what to do.
    """
    of_manifest = list(manifest_choices(name, look))
    manifest = Manifest.from_json(parse_yaml(written(of_manifest), f"{name}.yaml"))
    plan = planned(name, look, machine, machine.scales[0])
    if clock is not None:
        plan = _within(machine.minutes if minutes is None else minutes, name, look, machine, manifest, clock)
    draft = Draft(
        name,
        written(of_manifest),
        written(plan.choices),
        tuple(open_questions([*of_manifest, *plan.choices])),
        plan.course,
    )
    _definition(name, plan)
    return draft


def _within(
    minutes: float, name: str, look: Look, machine: Machine, manifest: Manifest, clock: Clock
) -> Plan:
    """The plan of the largest network that has enough steps, on the finest slices of which it sees enough.

    Where it sees enough of none, it takes those of which it sees most. Where no network has enough steps, it is the
    last and smallest plan.
    """
    plan: Plan | None = None
    for _, scales in groupby(machine.scales, key=lambda scale: scale.base):
        fit: list[Plan] = []
        timeless: Plan | None = None
        for scale in scales:
            before, timeless = timeless, planned(name, look, machine, scale)
            if timeless == before:  # its slices cannot be made smaller
                continue
            pace = clock(_definition(name, timeless), manifest)
            plan = planned(name, look, machine, scale, Time(minutes, pace))
            if plan.course.steps >= LEAST_STEPS:
                fit.append(plan)
                if plan.sees_enough:
                    return plan
        if fit:
            return max(fit, key=lambda plan: plan.seen)
    assert plan is not None  # noqa: S101 - there are scales
    return plan


def _definition(name: str, plan: Plan) -> PipelineDefinition:
    return PipelineDefinition.from_dict(parse_yaml(written(plan.choices), f"{name}.yaml"), f"{name}.yaml")


def places(name: str) -> tuple[Path, Path]:
    """Where manifest and definition of a name belong in the working folder.

    Raises:
        DefinitionError: It can be none.
    """
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{name!r} can be no name of a pipeline: expected letters, digits and '_', with a letter first, such as "
            "liver2."
        )
    return _place(MANIFESTS, name), _place(PIPELINES, name)


def _place(kind: Kind, name: str) -> Path:
    return Path(kind.folder) / f"{name}.yaml"


def refuse_to_overwrite(name: str) -> None:
    """Refuse a name whose files are there.

    Raises:
        DefinitionError: One of them is.
    """
    there = [str(path) for path in places(name) if path.exists() or path.is_symlink()]
    if there:
        verb = "is" if len(there) == 1 else "are"
        raise DefinitionError(
            f"{' and '.join(there)} {verb} there already. Take another name, or overwrite with --force (in a script "
            "force=True)."
        )


def write(draft: Draft) -> tuple[Path, Path]:
    """Write manifest and definition to the working folder; gives their places."""
    manifest, definition = places(draft.name)
    for path, text in ((manifest, draft.manifest), (definition, draft.definition)):
        with written_whole(path) as beside:
            beside.write_text(text, encoding="utf-8", newline="\n")
    return manifest, definition
