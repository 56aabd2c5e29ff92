"""Resolving every part of a definition before anything runs: a typo costs a second, not a night."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from monai.transforms import Compose, Transform

from medseg.component import Allowed, build
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DefinitionError, ModelError
from medseg.learning.augmentation.by_place import AugmentByPlace
from medseg.learning.inference.predictor import Predictor
from medseg.learning.outputs.deep_supervision import supervision_note
from medseg.learning.tasks.partial_loss import loss_of
from medseg.learning.tasks.target import TARGETS
from medseg.learning.tasks.task import TASK, Task
from medseg.machine.within_memory import within_memory
from medseg.pipeline.checks.loss_check import check_loss
from medseg.pipeline.checks.network_check import check_network
from medseg.pipeline.checks.order import refuse_outdated, refuse_unfed
from medseg.pipeline.checks.passed import once
from medseg.pipeline.checks.rehearsal import rehearse
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.slices.preparation import Preparation
from medseg.slices.transform_checks import check_transforms
from medseg.steps.step import Step

#: What a blank batch goes through, and what decides its form.
_TRIED_ON_A_BATCH = {"seed", "channels", "slices", "loading", "task", "network"}


@dataclass(frozen=True)
class Resolved:
    """A definition whose every part has been built.

    Attributes:
        definition: As declared, after overrides.
        manifest: Of its data.
        steps: By name, in order.
        predictor: The network with its first weights, drawn by the definition's seed.
        allowed: Where declared objects may come from.
        parameters: Trainable parameters of the network.
        slice_by_slice: Transforms of `loading.augment` that have no form for batches, and run on each slice alone.
        outputs: Of the network as it trains, each of which is learned from.
    """

    definition: PipelineDefinition
    manifest: Manifest
    steps: Mapping[str, Step]
    predictor: Predictor
    allowed: Allowed
    parameters: int
    slice_by_slice: tuple[str, ...] = ()
    outputs: int = 1

    @property
    def one_process(self) -> str:
        """Which step torchrun cannot spread over several processes, and why, as a sentence; empty for none."""
        for name, step in self.steps.items():
            ask = getattr(step, "one_process", None)
            if ask is not None and (reason := ask(self.predictor)):
                return f"steps.{name}: {reason}"
        return ""

    @property
    def supervision(self) -> str:
        """How several outputs are learned from, as a sentence; empty for one."""
        return supervision_note(self.outputs)


def _step(found: type) -> bool:
    """Whether a class is a step, as far as its names tell."""
    return all(hasattr(found, name) for name in ("__call__", "recall", "check"))


def resolve(
    definition: PipelineDefinition, manifest: Manifest, allowed: Allowed, *, done: Collection[str] = ()
) -> Resolved:
    """Build every part, and send one blank batch through network and loss.

    Args:
        definition: As declared, after overrides.
        manifest: Of its data.
        allowed: Where declared objects may come from.
        done: Steps of a run that goes on, which are recalled and not checked: a file that one of them read may
            be gone.

    Raises:
        DefinitionError: Something does not exist, does not take its arguments, or does not fit the rest.
        ModelError: Weights that a step starts from cannot be read, or do not fit.
    """
    _refuse_unknown_channels(definition, manifest)
    manifest = showing(definition, manifest)
    task: Task = build(definition.task, at="task", kind=TASK, allowed=allowed)
    _refuse_other_truth(task, manifest)
    _refuse_other_classes(task, manifest)
    _refuse_unknown_keep(definition, task)
    _refuse_leaking_tiles(definition)
    _refuse_spacing(definition, manifest)
    _refuse_axis(definition, manifest)
    _refuse_neighbours(definition, manifest)
    _refuse_align(definition, manifest)
    channels, transforms = definition.channels, definition.slices.transforms
    once(
        partial(check_transforms, transforms, at="slices.transforms", channels=channels, allowed=allowed),
        of=["transforms", list(channels), [dict(each) for each in transforms], sorted(allowed.packages)],
    )
    preparation = Preparation(definition.channels, definition.slices, allowed, manifest.files())
    augment = [
        build(spec, at=f"loading.augment.{i}", kind=Transform, allowed=allowed)
        for i, spec in enumerate(definition.loading.augment)
    ]
    torch.manual_seed(definition.seed)
    with within_memory(kept=True):
        network = build(definition.network, at="network", kind=torch.nn.Module, allowed=allowed)
    steps = {
        name: build(spec, at=f"steps.{name}", kind=_step, allowed=allowed)
        for name, spec in definition.steps.items()
    }
    refuse_unfed(steps)
    refuse_outdated(steps)
    predictor = Predictor(
        network,
        dict(definition.network),
        task,
        preparation,
        manifest,
        batch_size=definition.loading.predict_batch,  # and as large when it is loaded: others round otherwise
    )
    trains = any("train" in step.roles for step in steps.values())
    outputs = once(
        partial(_try_blank_batch, definition, network, task, augment, trains=trains),
        of=["batch", trains, definition.model_dump(mode="json", include=_TRIED_ON_A_BATCH)],
    )
    if trains:
        loss_of(task, partly=bool(manifest.ignore))
    for name, step in steps.items():
        if name not in done:
            _check(name, step, predictor)
    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    random = AugmentByPlace(Compose(augment), definition.seed, task.target.keys)
    slice_by_slice = random.one_by_one(predictor.input_shape)
    return Resolved(definition, manifest, steps, predictor, allowed, parameters, slice_by_slice, outputs)


def _check(name: str, step: Step, predictor: Predictor) -> None:
    try:
        step.check(predictor)
    except (DefinitionError, ModelError) as error:  # a step does not know what it is called
        at = f"at steps.{name}"
        raise type(error)(str(error) if str(error).startswith(at) else f"{at}: {error}") from error


def showing(definition: PipelineDefinition, manifest: Manifest) -> Manifest:
    """The manifest with the channel that figures show, where the definition names one.

    Raises:
        DefinitionError: It is no channel of the input.
    """
    if definition.shown is None:
        return manifest
    if definition.shown not in definition.channels:
        raise DefinitionError(
            f"shown is {definition.shown!r}, which is not among 'channels': expected one of "
            f"{list(definition.channels)}."
        )
    return manifest.model_copy(update={"shown": definition.shown})


def _refuse_unknown_channels(definition: PipelineDefinition, manifest: Manifest) -> None:
    unknown = [name for name in definition.channels if name not in manifest.channels]
    if unknown:
        raise DefinitionError(
            f"channels names {unknown}, which the data set {manifest.name} does not have: it has "
            f"{list(manifest.channels)}."
        )


def _refuse_other_truth(task: Task, manifest: Manifest) -> None:
    if task.target.truth != manifest.truth:
        raise DefinitionError(
            f"task is {type(task).__name__}, and the truth of the data set {manifest.name} is "
            f"{TARGETS[manifest.truth].remedy}."
        )


def _refuse_other_classes(task: Task, manifest: Manifest) -> None:
    if tuple(task.classes) != tuple(manifest.classes):
        raise DefinitionError(
            f"task.classes is {list(task.classes)}, the data set {manifest.name} has {list(manifest.classes)}: "
            "they must be the same names in the same order."
        )


def _refuse_unknown_keep(definition: PipelineDefinition, task: Task) -> None:
    known = ("all", "image", *task.target.contents((*task.classes, *task.regions)))
    if definition.slices.keep.contains not in known:
        raise DefinitionError(
            f"slices.keep.contains is {definition.slices.keep.contains!r}, expected one of {list(known)}."
        )


def _refuse_leaking_tiles(definition: PipelineDefinition) -> None:
    if definition.split.by == "slice" and definition.slices.fit == "tile":
        raise DefinitionError(
            "split.by is `slice` and slices.fit is `tile`: overlapping tiles of one slice would be in training and "
            "in test. Set split.by=group, or slices.fit=resize."
        )


def _refuse_spacing(definition: PipelineDefinition, manifest: Manifest) -> None:
    """Refuse to resample what has no size in mm."""
    if definition.slices.spacing is not None and not manifest.files().measured:
        raise DefinitionError(
            f"slices.spacing is given in mm, and {manifest.files().noun} do not say how large a pixel is. Leave it "
            "out, and set slices.size and slices.fit=resize."
        )


def _refuse_axis(definition: PipelineDefinition, manifest: Manifest) -> None:
    """Refuse to cut pictures across: their rows and columns are the slices."""
    axis, files = definition.slices.axis, manifest.files()
    if axis != "axial" and manifest.pictures is not None:
        raise DefinitionError(
            f"slices.axis is {axis}, and the slices of {files.noun} are the pictures themselves. Leave it out."
        )


def _refuse_neighbours(definition: PipelineDefinition, manifest: Manifest) -> None:
    """Refuse to look for slices on either side of a picture."""
    files = manifest.files()
    if definition.slices.neighbours and files.flat:
        raise DefinitionError(
            f"slices.neighbours is {definition.slices.neighbours}, and {files.noun} have no slices on either side. "
            "Leave it out."
        )


def _refuse_align(definition: PipelineDefinition, manifest: Manifest) -> None:
    """Refuse to resample onto the grid of what is no channel, or has no place in mm."""
    reference, files = definition.reference, manifest.files()
    if reference is None:
        return
    if files.flat or not files.measured:
        raise DefinitionError(
            f"slices.align resamples by where files say that voxels lie, and {files.noun} do not say it. Leave it "
            "out."
        )
    if reference not in definition.channels:
        raise DefinitionError(
            f"slices.align.reference is {reference!r}, which is not among 'channels': expected one of "
            f"{list(definition.channels)}."
        )


def _try_blank_batch(
    definition: PipelineDefinition,
    network: torch.nn.Module,
    task: Task,
    augment: Sequence[Any],
    *,
    trains: bool,
) -> int:
    """Send a blank batch through augmentation, network and loss; gives how many outputs are learned from."""
    height, width = definition.slices.size
    label = torch.from_numpy(task.target.blank(len(task.classes), (height, width)))
    # no blank one: transforms of intensities warn of it
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(len(definition.inputs), height, width, generator=generator)
    item = {"image": image, "label": label}
    rehearse(augment, {key: item[key] for key in task.target.keys}, len(task.classes))
    outputs = check_network(definition, network, task, trains=trains)
    check_loss(task, (height, width))
    return outputs
