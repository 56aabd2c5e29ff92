"""How the slices of a work reach a training: where they are kept, and as which batches they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from monai.transforms import Compose, Transform

from medseg.component import build
from medseg.datasets.roles import UNLABELLED
from medseg.errors import DataError, DefinitionError
from medseg.learning.selftraining.mixmatch import Stream
from medseg.learning.training.batches import Batches, SliceDataset
from medseg.learning.training.cache_placement import Placement, place_slices, worker_count
from medseg.learning.training.memory import available_memory
from medseg.learning.training.ranks.deal import deal_of
from medseg.learning.training.sampling.foreground import Foreground
from medseg.slices.store.store import Sample
from medseg.splits.split import Role
from medseg.steps.step import Run, Work


def placed(work: Work, run: Run) -> Placement:
    """Where slices are kept, chosen once for both roles: with the first in memory, less of it is free."""
    needed = work.store.nbytes("train") + work.store.nbytes("val")
    memory = available_memory() // run.ranks.place.beside  # each process of a machine keeps all slices
    placement = place_slices(run.loading.cache, needed, run.device, memory)
    run.progress.say(placement.note)
    run.recorder.params({"loading.cache_used": placement.name})
    return placement


def role_batches(
    work: Work,
    run: Run,
    role: Role,
    placement: Placement,
    pseudo_augment: Sequence[Callable[[Any], Any]] | None = None,
    foreground_share: float = 0.0,
) -> Batches:
    """Batches of one role; those of training are shuffled and augmented.

    Args:
        work: What the slices are of.
        run: How they are loaded.
        role: Which they are.
        placement: Where they are kept.
        pseudo_augment: In place of `loading.augment` for training slices whose truth was predicted; None: the same.
        foreground_share: Of each batch of training, that is drawn to show foreground.

    Raises:
        DataError: No slice has the role.
    """
    samples = work.store.role(role)
    if not samples:
        raise DataError(
            f"no slice has the role {role}: nothing of those patients passes slices.keep, or the split gives "
            "them no patient. Change slices.keep or split."
        )
    training = role == "train"
    augment = _augmentation(run) if training else None
    dataset = SliceDataset(
        work.store,
        samples,
        augment=augment,
        pseudo_augment=Compose(list(pseudo_augment)) if training and pseudo_augment is not None else None,
        seed=run.seed,
        keep_on=placement.keep_on,
        target=work.predictor.task.target,
        device=run.device,
    )
    foreground = _foreground(foreground_share, work, samples) if training else None
    if training and foreground_share:
        nothing = "No slice for training shows any foreground: foreground_share draws none."
        run.progress.say(nothing if foreground is None else foreground.note(run.loading.batch_size))
    beside = run.ranks.place.beside
    workers = worker_count(run.loading.workers, run.device, placement, dataset.finished_on, beside)
    return Batches(
        dataset,
        batch_size=run.loading.batch_size,
        seed=run.seed,
        shuffle=training,
        workers=workers if training else 0,
        pin=run.device.type == "cuda" and placement.name != "gpu",
        most=run.loading.slices_per_epoch if training else None,
        foreground=foreground,
        deal=deal_of(run.ranks.place, training=training),
    )


def _foreground(share: float, work: Work, samples: Sequence[Sample]) -> Foreground | None:
    """What is drawn into each batch; which classes are foreground says the manifest."""
    if not share:
        return None
    return Foreground.of(share, work.store, samples, work.predictor.manifest.label_rule().foreground)


def unlabelled_stream(work: Work, run: Run, labelled: int) -> Stream:
    """Slices without a label beside those of an epoch of training, two augmentations of each, read from disk.

    What comes in an epoch depends on the seed and the epoch alone. Where there are fewer than those with a label,
    they come again, augmented in another way.

    Args:
        work: What the slices are of.
        run: How they are loaded, and augmented by `loading.augment`.
        labelled: How many slices with a label an epoch has.
    """
    samples = [replace(each, labels=()) for each in work.store.role(UNLABELLED)]
    first, second = (
        Batches(
            SliceDataset(
                work.store,
                samples,
                augment=_augmentation(run),
                seed=run.seed + 1 + view,  # labelled ones have that of the run
                keep_on=None,
                target=work.predictor.task.target,
                device=run.device,
            ),
            batch_size=run.loading.batch_size,
            seed=run.seed,  # one order for both
            shuffle=True,
            pin=run.device.type == "cuda",
            most=labelled,
        )
        for view in range(2)
    )
    turns = -(-labelled // len(first.order))

    def stream(epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for turn in range(turns):
            place = epoch * turns + turn
            for one, other in zip(first.at(place), second.at(place), strict=True):
                yield one["image"], other["image"]

    return stream


def _augmentation(run: Run) -> Compose | None:
    """What `loading.augment` declares; None where it is nothing."""
    specs = run.loading.augment
    built = [
        build(spec, at=f"loading.augment.{i}", kind=Transform, allowed=run.allowed)
        for i, spec in enumerate(specs)
    ]
    return Compose(built) if built else None


def try_augmentation(
    transforms: Sequence[Callable[[Any], Any]], shape: tuple[int, int, int], *, at: str = "pseudo_augment"
) -> None:
    """Refuse transforms that do not take an image (C, H, W), or change its shape; `at` is their setting.

    Raises:
        DefinitionError: Names the transform.
    """
    for place, transform in enumerate(transforms):
        where = f"{at}.{place} ({type(transform).__name__})"
        try:
            changed = transform({"image": torch.rand(shape, generator=torch.Generator().manual_seed(0))})
            given = tuple(changed["image"].shape)
        except Exception as error:  # transforms raise anything
            first = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise DefinitionError(
                f"{where} cannot be applied to an image: {first}. Set `keys: [image]`."
            ) from error
        if given != shape:
            raise DefinitionError(
                f"{where} turns images of {shape} into {given}: a batch could not be put together. Take it out."
            )


def are_transforms(given: object) -> bool:
    """Whether this is a list of objects that can be called."""
    return isinstance(given, Sequence) and not isinstance(given, str) and all(map(callable, given))
