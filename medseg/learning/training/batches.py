"""Batches of slices: where they are kept, in which order they come, and how they are augmented.

A draw depends on (seed, epoch, sample) alone, never on how many were drawn before: a run that is resumed, or
has another number of workers, sees the same augmented slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from monai.data import set_track_meta
from monai.data.meta_obj import get_track_meta
from monai.transforms import Compose
from torch.utils.data import DataLoader, Dataset, Sampler

from medseg.errors import DefinitionError, MedsegError, TrainingError
from medseg.learning.tasks.target import MASKS, Target
from medseg.machine.workers import CONTEXT
from medseg.slices.store.store import Sample, SliceStore


class SliceDataset(Dataset[dict[str, Any]]):
    """Slices of a store by (epoch, index).

    An item has `image` (C, H, W) float32, `label` uint8 as the target gives it, and `index` into `samples`.

    Args:
        store: Where the slices lie.
        samples: Which of them.
        augment: MONAI dictionary transforms with the keys image and label (`keys` of the target), or None.
        seed: Of the augmentation.
        keep_on: Device on whose memory all slices are kept; None reads them from disk each time.
        target: What is learned from: (1, H, W) class indices of a label map, or (K,) the classes of an image.
    """

    def __init__(
        self,
        store: SliceStore,
        samples: Sequence[Sample],
        *,
        augment: Compose | None,
        seed: int,
        keep_on: torch.device | None,
        target: Target = MASKS,
    ) -> None:
        self.store, self.samples, self.augment, self.seed = store, tuple(samples), augment, seed
        self.target = target
        self.kept = None if keep_on is None else self._keep(keep_on)

    def _keep(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        first, label = self._read(self.samples[0])
        images = torch.empty((len(self.samples), *first.shape), dtype=first.dtype)
        labels = torch.empty((len(self.samples), *label.shape), dtype=torch.uint8)
        for i, sample in enumerate(self.samples):
            images[i], labels[i] = self._read(sample)
        return images.to(device), labels.to(device)

    def _read(self, sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
        label = self.target.read(self.store, sample)
        return torch.from_numpy(np.array(self.store.image(sample))), torch.from_numpy(np.array(label))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any]:
        epoch, index = place
        if self.kept is not None:
            image, label = self.kept[0][index], self.kept[1][index]
        else:
            image, label = self._read(self.samples[index])
        item = {"image": image.float(), "label": label}
        if self.augment is not None:
            item = self._augmented(item, epoch, index)
        return {"image": item["image"], "label": item["label"], "index": index}

    def _augmented(self, item: dict[str, Any], epoch: int, index: int) -> dict[str, Any]:
        if self.augment is None:
            return item
        seed = int(np.random.SeedSequence([self.seed, epoch, index]).generate_state(1)[0])
        tracked = get_track_meta()
        set_track_meta(False)  # past reading, MetaTensors cost more than the augmentation itself
        try:
            self.augment.set_random_state(seed=seed)
            # a copy: what is kept in memory would be changed for good by a transform that works in place
            changed: dict[str, Any] = self.augment({key: item[key].clone() for key in self.target.keys})
        finally:
            set_track_meta(tracked)
        found = {**item, **changed}
        return {"image": found["image"], "label": _whole(found["label"])}


def _whole(label: Any) -> torch.Tensor:
    """A label map as uint8, whatever type a transform left it in.

    Raises:
        DefinitionError: It was interpolated.
    """
    found = torch.as_tensor(label)
    whole = found.to(torch.uint8)
    if found.dtype != torch.uint8 and not torch.equal(whole.to(found.dtype), found):
        raise DefinitionError(
            "loading.augment made labels that are no classes: give transforms that resample "
            "`mode: [bilinear, nearest]`, and those of intensities `keys: [image]`."
        )
    return whole


@contextmanager
def workers_watched(workers: int) -> Iterator[None]:
    """Tell what ended a process that loads slices; torch raises a RuntimeError, or a whole traceback as a message.

    Args:
        workers: How many load slices, for the message.

    Raises:
        TrainingError: One was killed or crashed, or found no memory.
        MedsegError: What one of them raised, with the message that it has in this process.
    """
    try:
        yield
    except MedsegError as error:
        own = f"{type(error).__module__}.{type(error).__qualname__}: "
        if not str(error).startswith("Caught ") or own not in str(error):
            raise
        raise type(error)(str(error).rpartition(own)[2].strip()) from error
    except (RuntimeError, MemoryError) as error:
        if "DataLoader worker (" not in str(error) and not str(error).startswith("Caught MemoryError"):
            raise
        raise TrainingError(
            f"one of {workers} processes that load slices ended unexpectedly: most likely the system stopped it for "
            "want of memory, of which each takes its own, in a container also of shared memory (--shm-size). Start "
            "the run again with --set loading.workers=0, or a smaller loading.batch_size; or free memory and go on "
            "with medseg pipeline resume."
        ) from error


class EpochOrder(Sampler[tuple[int, int]]):
    """The order of one epoch, as (epoch, index): a permutation drawn from (seed, epoch), or as listed."""

    def __init__(self, length: int, *, seed: int, shuffle: bool) -> None:
        self.length, self.seed, self.shuffle = length, seed, shuffle
        self.epoch = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        return iter([(self.epoch, int(i)) for i in order])


class Batches:
    """A role's slices as batches, epoch by epoch.

    Args:
        dataset: The slices.
        batch_size: Slices a batch; the last batch of an epoch may be smaller.
        seed: Of the order.
        shuffle: Draw an order for each epoch.
        workers: Processes that augment; 0 does it in this one.
        pin: Whether batches go to a CUDA device.
    """

    def __init__(
        self,
        dataset: SliceDataset,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
        workers: int = 0,
        pin: bool = False,
    ) -> None:
        self.dataset = dataset
        self.order = EpochOrder(len(dataset), seed=seed, shuffle=shuffle)
        self.loader: DataLoader[dict[str, Any]] = DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=self.order,
            num_workers=workers,
            pin_memory=pin,
            persistent_workers=workers > 0,
            multiprocessing_context=CONTEXT if workers > 0 else None,
            # Of its own: a loader draws from it when it starts workers, which persistent ones do but once, and
            # dropout after a resume must draw what it would have drawn.
            generator=torch.Generator().manual_seed(seed),
        )

    def at(self, epoch: int) -> DataLoader[dict[str, Any]]:
        """The batches of one epoch."""
        self.order.epoch = epoch
        return self.loader

    def cases(self, batch: dict[str, Any]) -> list[str]:
        """Public name of the case of each slice of a batch."""
        return [self.dataset.samples[int(i)].case for i in batch["index"]]

    def described(self, batch: dict[str, Any]) -> str:
        """Which slices a batch holds, for a message: public names and positions."""
        found = [self.dataset.samples[int(i)] for i in batch["index"]]
        return ", ".join(f"{sample.case} slice {sample.position}" for sample in found)
