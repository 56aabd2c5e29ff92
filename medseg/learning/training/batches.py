"""Batches of slices: where they are kept, in which order they come, and how they are augmented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from monai.data import CacheDataset
from monai.transforms import Compose
from numpy.typing import NDArray
from torch.utils.data import BatchSampler, DataLoader, Sampler

from medseg.learning.augmentation.by_place import AugmentByPlace
from medseg.learning.tasks.target import MASKS, Target
from medseg.learning.training.ranks.deal import Deal, Dealt, Places, Whole
from medseg.learning.training.sampling.foreground import Foreground
from medseg.learning.training.slice_cache import ReadSlice, StackedSlices
from medseg.machine.workers import context
from medseg.slices.store.store import Sample, SliceStore

CPU = torch.device("cpu")

_AGAIN = 2**32
"""Added to the epoch of a slice each time that it comes again in that epoch: more than there are epochs."""


class SliceDataset(CacheDataset):
    """Slices of a store by (epoch, index), one or a whole batch: MONAI's CacheDataset, drawn by their place.

    A batch has `image` (B, C, H, W) float32, `label` uint8 as the target gives it, `index` into `samples`, and
    `weight`, how much each counts in training. What is read, by `ReadSlice`, is kept in the stored precision, which
    takes half the memory, and crosses to a GPU in it; `AugmentByPlace` changes each batch.

    Args:
        store: Where the slices lie.
        samples: Which of them.
        augment: MONAI dictionary transforms with the keys image and label (`keys` of the target), or None.
        pseudo_augment: In place of them for slices whose truth was predicted; None: the same.
        seed: Of the augmentation.
        keep_on: Device on whose memory all slices are kept; None reads them from disk each time.
        target: What is learned from: (1, H, W) class indices of a label map, or (K,) the classes of an image.
        device: Where batches go. A GPU augments them, where all transforms can be run by batch.

    Raises:
        StoreError: A slice that is to be kept cannot be read.
    """

    def __init__(
        self,
        store: SliceStore,
        samples: Sequence[Sample],
        *,
        augment: Compose | None,
        pseudo_augment: Compose | None = None,
        seed: int,
        keep_on: torch.device | None,
        target: Target = MASKS,
        device: torch.device = CPU,
    ) -> None:
        self.store, self.samples, self.target, self.device = store, tuple(samples), target, device
        changes = augment is not None or pseudo_augment is not None
        self.random = (
            AugmentByPlace(augment or Compose([]), seed, target.keys, pseudo_augment) if changes else None
        )
        self.kept = None if keep_on is None else StackedSlices(len(self.samples), keep_on)
        read = ReadSlice(store, target)
        super().__init__(
            self.samples,
            Compose([read]),
            cache_num=0 if self.kept is None else len(self.samples),
            progress=False,
            copy_cache=False,  # a batch is a copy
            runtime_cache=False if self.kept is None else self.kept,
        )
        if self.kept is not None:  # now, and not slice by slice in the first epoch and in each worker
            for index, sample in enumerate(self.samples):
                self.kept[index] = read(sample)
        self.finished_on = self._finished_on()

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any]:
        batch = self.finished(self.__getitems__([place]))
        return {
            "image": batch["image"][0],
            "label": batch["label"][0],
            "index": int(batch["index"][0]),
            "weight": float(batch["weight"][0]),
        }

    def __getitems__(self, places: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """A batch as the loader of torch asks for it: finished, unless that is done on a GPU."""
        samples = [self.samples[index] for _, index in places]
        batch = self._read([index for _, index in places])
        batch["index"] = torch.tensor([index for _, index in places])
        batch["weight"] = torch.tensor([each.weight for each in samples], dtype=torch.float64)
        if self.random is not None:
            _, *shape = batch["image"].shape
            batch["draws"] = self.random.draw(places, tuple(shape), [each.pseudo for each in samples])
        return self.finished(batch) if self.finished_on == CPU else batch

    def finished(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch in float32 and augmented, on the device where that is done; one that is finished stays as it is."""
        for key in ("image", "label"):
            batch[key] = batch[key].to(self.finished_on, non_blocking=True)
        batch["image"] = batch["image"].float()
        if "draws" in batch and self.random is not None:
            self.random(batch, batch.pop("draws"))
        return batch

    def _read(self, rows: Sequence[int]) -> dict[str, Any]:
        """`image` and `label` of slices, in the stored precision; they are nobody else's."""
        kept = self._cache if isinstance(self._cache, StackedSlices) else None
        try:
            items = [self._transform(row) for row in rows if kept is None or kept[row] is None]
        except RuntimeError as error:  # of Compose, around what reading raised
            raised = error.__cause__ or error
        else:
            if kept is not None:
                return kept.gathered(rows)
            return {key: torch.stack([each[key] for each in items]) for key in ("image", "label")}
        raise raised

    def _finished_on(self) -> torch.device:
        """Where batches are augmented: on the device that they go to, unless a transform is run slice by slice.

        Such transforms are left to the processor, where workers share them; slices that are kept on a GPU stay there.
        """
        if self.device.type == "cpu" or not self.samples:
            return CPU
        if self.random is None or (self.kept is not None and self.kept.images.device.type != "cpu"):
            return self.device
        _, *shape = self._read([0])["image"].shape
        return CPU if self.random.one_by_one(tuple(shape)) else self.device


class EpochOrder(Sampler[tuple[int, int]]):
    """The order of one epoch, as (epoch, index): a permutation drawn from (seed, epoch), or as listed.

    With `most`, epochs are cut one after the other out of an endless row of permutations, so that every slice is
    seen before one is seen again.

    With `foreground`, the last slices of each batch are drawn by it, from (seed, epoch) alone, and only the others
    are cut out of that row. An epoch is as long as without, and no longer holds every slice once: of N slices and a
    share s, each comes in its turn once in about 1 / (1 - s) epochs, and those that show foreground come again by
    the draw; where s is 1, no other is seen. What comes again within an epoch does so with another first number,
    and is augmented in another way.

    Args:
        length: How many slices there are.
        seed: Of the order.
        shuffle: Draw an order for each epoch.
        most: Slices an epoch; by default all of them.
        foreground: What is drawn into each batch; only where it is shuffled.
        batch_size: Slices a batch, which `foreground` is a share of.
    """

    def __init__(
        self,
        length: int,
        *,
        seed: int,
        shuffle: bool,
        most: int | None = None,
        foreground: Foreground | None = None,
        batch_size: int = 1,
    ) -> None:
        self.length, self.seed, self.shuffle = length, seed, shuffle
        self.foreground, self.batch_size = foreground, batch_size
        self.most = length if most is None else min(most, length)
        self.epoch = 0

    def __len__(self) -> int:
        return self.most

    def __iter__(self) -> Iterator[tuple[int, int]]:
        if not self.shuffle or not self.length:
            return iter([(self.epoch, i) for i in range(self.length)])
        if self.foreground is None:
            return iter([(self.epoch, i) for i in self._in_turn(self.most)])
        return self._with(self.foreground)

    def _with(self, foreground: Foreground) -> Iterator[tuple[int, int]]:
        sizes = [min(self.batch_size, self.most - at) for at in range(0, self.most, self.batch_size)]
        turn = iter(self._in_turn(self.most - sum(map(foreground.of_batch, sizes))))
        draws = foreground.draws(self.seed, self.epoch)
        seen: Counter[int] = Counter()
        for size in sizes:
            drawn = foreground.of_batch(size)
            for index in (*islice(turn, size - drawn), *islice(draws, drawn)):
                yield self.epoch + _AGAIN * seen[index], index
                seen[index] += 1

    def _in_turn(self, count: int) -> list[int]:
        """The slices of this epoch out of the row of permutations, of which each epoch takes so many."""
        if not count:
            return []
        first = self.epoch * count
        turns = range(first // self.length, (first + count - 1) // self.length + 1)
        row = np.concatenate([self._permutation(turn) for turn in turns])
        start = first - turns[0] * self.length
        return [int(i) for i in row[start : start + count]]

    def _permutation(self, turn: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, turn]).permutation(self.length)


def _as_it_is(batch: dict[str, Any]) -> dict[str, Any]:
    """What the dataset gives is a batch already."""
    return batch


class OnDevice:
    """Batches that are finished where the network is, one after the other.

    Args:
        loader: Gives them as they were read, in pinned memory.
        dataset: Knows how they are finished.
    """

    def __init__(self, loader: DataLoader[dict[str, Any]], dataset: SliceDataset) -> None:
        self._loader, self._dataset = loader, dataset

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._loader:
            yield self._dataset.finished(batch)


class Batches:
    """A role's slices as batches, epoch by epoch.

    Args:
        dataset: The slices.
        batch_size: Slices a batch; the last batch of an epoch may be smaller.
        seed: Of the order.
        shuffle: Draw an order for each epoch.
        workers: Processes that augment; 0 does it in this one.
        pin: Whether batches go to a CUDA device.
        most: Slices an epoch; by default all of them.
        foreground: What is drawn into each batch beside the slices that come in their turn; see `EpochOrder`.
        deal: What of the batches this process loads.
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
        most: int | None = None,
        foreground: Foreground | None = None,
        deal: Deal = Whole(),  # noqa: B008 - frozen
    ) -> None:
        self.dataset = dataset
        self.order = EpochOrder(
            len(dataset), seed=seed, shuffle=shuffle, most=most, foreground=foreground, batch_size=batch_size
        )
        self._whole = BatchSampler(self.order, batch_size, drop_last=False)
        self.loader: DataLoader[dict[str, Any]] = DataLoader(
            dataset,
            batch_sampler=Dealt(self._whole, deal),
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=pin,
            persistent_workers=workers > 0,
            multiprocessing_context=context() if workers > 0 else None,
            # Of its own: a loader draws from it when it starts workers, which persistent ones do but once, and
            # dropout after a resume must draw what it would have drawn.
            generator=torch.Generator().manual_seed(seed),
        )

    def at(self, epoch: int) -> DataLoader[dict[str, Any]] | OnDevice:
        """The batches of one epoch, finished."""
        self.order.epoch = epoch
        return self.loader if self.dataset.finished_on == CPU else OnDevice(self.loader, self.dataset)

    def whole(self, epoch: int) -> Iterator[Places]:
        """The slices of each batch of an epoch, as all processes have them together."""
        self.order.epoch = epoch
        return iter(self._whole)

    def cases(self, batch: dict[str, Any]) -> list[str]:
        """Public name of the case of each slice of a batch."""
        return [self.dataset.samples[int(i)].case for i in batch["index"]]

    def described(self, batch: dict[str, Any]) -> str:
        """Which slices a batch holds, for a message: public names and positions."""
        found = [self.dataset.samples[int(i)] for i in batch["index"]]
        return ", ".join(f"{sample.case} slice {sample.position}" for sample in found)
