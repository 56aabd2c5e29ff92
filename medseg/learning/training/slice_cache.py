"""The transform that reads slices of a store, and the memory in which CacheDataset keeps what is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.transforms.transform import Transform

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

    def gathered(self, rows: Sequence[int]) -> dict[str, torch.Tensor]:
        """Several slices that are there, copied at once: `image` (B, C, H, W) and `label` (B, ...)."""
        which = torch.tensor(rows, dtype=torch.int64, pin_memory=self._device.type == "cuda")
        which = which.to(self._device, non_blocking=True)
        return {"image": self.images.index_select(0, which), "label": self.labels.index_select(0, which)}

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
