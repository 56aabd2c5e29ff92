"""The transforms between a slice store and a network, and the memory in which CacheDataset keeps what is read.

A draw depends on (seed, epoch, sample) alone, never on how many were drawn before: a run that is resumed, or
has another number of workers, sees the same augmented slices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.data import set_track_meta
from monai.data.meta_obj import get_track_meta
from monai.transforms import Compose
from monai.transforms.traits import RandomizableTrait
from monai.transforms.transform import Transform

from medseg.errors import DefinitionError
from medseg.learning.tasks.target import Target
from medseg.slices.store.store import Sample, SliceStore


class ReadSlice(Transform):
    """From a sample to its stored slice: `image` (C, H, W) in the stored precision, and `label` uint8.

    Args:
        store: Where the slices lie.
        target: What is learned from: (1, H, W) class indices of a label map, or (K,) the classes of an image.
    """

    def __init__(self, store: SliceStore, target: Target) -> None:
        self.store, self.target = store, target

    def __call__(self, data: Sample) -> dict[str, torch.Tensor]:
        """Read from disk.

        Raises:
            StoreError: The store was cleared, or the case has no truth.
        """
        label = self.target.read(self.store, data)
        return {"image": torch.from_numpy(self.store.image(data)), "label": torch.from_numpy(label)}


class AugmentByPlace(Transform, RandomizableTrait):
    """Random transforms on a slice, drawn by its place: call `at` first.

    What it gets is left as it is, since that is what the cache holds. MetaTensors are switched off meanwhile: past
    reading, they cost more than the augmentation itself.

    Args:
        augment: MONAI dictionary transforms.
        seed: Of the draws.
        keys: The parts of an item that the transforms see.
        pseudo_augment: In place of the first for slices whose truth was predicted; None: the same.
    """

    def __init__(
        self, augment: Compose, seed: int, keys: tuple[str, ...], pseudo_augment: Compose | None = None
    ) -> None:
        self.augment, self.seed, self.keys = augment, seed, keys
        self.pseudo_augment = augment if pseudo_augment is None else pseudo_augment
        self._place, self._pseudo = (0, 0), False

    def at(self, epoch: int, index: int, *, pseudo: bool = False) -> None:
        """Say which epoch and which slice the next call is for, and whether its truth was predicted."""
        self._place, self._pseudo = (epoch, index), pseudo

    def __call__(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Augment one item; its image is float32 afterwards.

        Raises:
            DefinitionError: A label map was interpolated.
        """
        item = {**data, "image": data["image"].to(torch.float32, copy=True)}
        seed = int(np.random.SeedSequence([self.seed, *self._place]).generate_state(1)[0])
        augment = self.pseudo_augment if self._pseudo else self.augment
        tracked = get_track_meta()
        set_track_meta(False)
        try:
            augment.set_random_state(seed=seed)
            own = {key: item[key] if key == "image" else item[key].clone() for key in self.keys}
            changed: dict[str, Any] = augment(own)
        finally:
            set_track_meta(tracked)
        found = {**item, **changed}
        return {"image": found["image"], "label": _whole(found["label"])}


class StackedSlices:
    """What CacheDataset keeps, one tensor for all images and one for all labels, each item a view of a row.

    One piece of memory takes no more than the slices do, on a GPU too, and is shared with workers at once.

    Attributes:
        images: (N, C, H, W) in the stored precision, once the first slice is there.
        labels: (N, ...) uint8.

    Args:
        length: How many slices.
        device: Whose memory.
    """

    def __init__(self, length: int, device: torch.device) -> None:
        self._device = device
        self.images = self.labels = torch.empty(0)
        self._items: list[dict[str, torch.Tensor] | None] = [None] * length

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor] | None:
        """One slice; None if it is not there yet, which CacheDataset then reads."""
        return self._items[row]

    def __setitem__(self, row: int, item: dict[str, torch.Tensor]) -> None:
        if not self.images.numel():
            self.images, self.labels = (self._room(item[key]) for key in ("image", "label"))
        self.images[row], self.labels[row] = item["image"], item["label"]
        self._items[row] = self._view(row)

    def __getstate__(self) -> dict[str, Any]:
        """Without the views: a process that is started can be handed a piece of memory once, not once a slice."""
        return {**self.__dict__, "_items": [item is not None for item in self._items]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._items = [self._view(row) if there else None for row, there in enumerate(state["_items"])]

    def _view(self, row: int) -> dict[str, torch.Tensor]:
        return {"image": self.images[row], "label": self.labels[row]}

    def _room(self, first: torch.Tensor) -> torch.Tensor:
        return torch.empty((len(self), *first.shape), dtype=first.dtype, device=self._device)


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
