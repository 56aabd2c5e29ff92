"""How fast a training would be on this machine, by a short one on slices of noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, Transform
from numpy.typing import NDArray

from medseg.allowed import SHIPPED
from medseg.component import build
from medseg.datasets.manifest.manifest import Manifest
from medseg.learning.tasks.task import on_device
from medseg.learning.training.batches import Batches, SliceDataset
from medseg.learning.training.cache_placement import Placement, worker_count
from medseg.learning.training.fit import fit
from medseg.learning.training.memory import measure_need
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.drafting.budget import Pace
from medseg.pipeline.resolve import Resolved, resolve
from medseg.places import passing_folder
from medseg.slices.store.store import Sample
from medseg.steps.fit import Fit

_BATCHES = 3
_EPOCHS = 2  # the first warms up


@dataclass(frozen=True)
class _Noise:
    """What a slice store and a target give, without data."""

    shape: tuple[int, int, int]
    labels: NDArray[np.uint8]
    keys: tuple[str, ...]

    def image(self, sample: Sample) -> NDArray[np.float32]:
        return np.random.default_rng(sample.row).normal(size=self.shape).astype(np.float32)

    def read(self, store: Any, sample: Sample) -> NDArray[np.uint8]:
        del store
        return self.labels[sample.row % len(self.labels)]


def measured(definition: PipelineDefinition, manifest: Manifest, device: torch.device) -> Pace:
    """Train the network of a definition for a few batches as its first `Fit` would, and look at the clock.

    Args:
        definition: Complete.
        manifest: Of its data.
        device: Where it will be trained.

    Raises:
        DefinitionError: A part of it does not fit the rest.
    """
    resolved = resolve(definition, manifest, SHIPPED)
    step = next(each for each in resolved.steps.values() if isinstance(each, Fit))
    task, network = resolved.predictor.task, resolved.predictor.network.to(device)
    label = torch.from_numpy(task.target.blank(len(task.classes), resolved.predictor.input_shape[1:]))
    need = measure_need(network, on_device(task.loss(), device), resolved.predictor.input_shape, label=label)
    size = definition.loading.batch_size
    with passing_folder("medseg-pace") as folder:
        standing = fit(
            network,
            task,
            _batches(resolved, _BATCHES * size, device, training=True),
            _batches(resolved, size, device, training=False),
            plan=replace(step.plan, epochs=_EPOCHS, validate_every=1, patience=None, best_by="score"),
            device=device,
            seed=definition.seed,
            folder=folder,
            need=need,
        )
    last = standing.history[-1]
    trained = 1 / last["slices_per_second"]
    kept = (
        math.prod(resolved.predictor.input_shape) * np.dtype(definition.slices.store).itemsize + label.nbytes
    )
    return Pace(
        trained, max(last["seconds"] / size - trained * _BATCHES, 0.0), need.of(size) / 2**30, kept / 2**30
    )


def _batches(resolved: Resolved, slices: int, device: torch.device, *, training: bool) -> Batches:
    definition, task = resolved.definition, resolved.predictor.task
    shape, memory = resolved.predictor.input_shape, torch.device("cpu")
    noise: Any = _Noise(shape, task.target.examples(len(task.classes), shape[1:]), task.target.keys)
    augment = [
        build(spec, at=f"loading.augment.{i}", kind=Transform, allowed=resolved.allowed)
        for i, spec in enumerate(definition.loading.augment)
    ]
    dataset = SliceDataset(
        noise,
        [Sample(f"case {row}", f"case {row}", 0, "train", "", row) for row in range(slices)],
        augment=Compose(augment) if training and augment else None,
        seed=definition.seed,
        keep_on=memory,
        target=noise,
        device=device,
    )
    placement = Placement("memory", memory, "")
    workers = worker_count(definition.loading.workers, device, placement, dataset.finished_on)
    return Batches(
        dataset,
        batch_size=definition.loading.batch_size,
        seed=definition.seed,
        shuffle=training,
        workers=workers if training else 0,
        pin=device.type == "cuda",
    )
