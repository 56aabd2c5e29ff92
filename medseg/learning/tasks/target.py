"""What a network learns from: a label map of each slice, or the classes of the whole image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import one_hot

from medseg.errors import StoreError
from medseg.slices.store.store import Sample, SliceStore

Truth = Literal["masks", "one", "many"]
"""What the truth of a data set is: label maps, one class an image, or any number of classes an image."""


class Target(Protocol):
    """What a network learns from, and the shape of its answer. Without state."""

    @property
    def truth(self) -> Truth:
        """The truth that a data set must have."""

    @property
    def noun(self) -> str:
        """What such a truth is called, in the plural."""

    @property
    def remedy(self) -> str:
        """What such a truth is, and the tasks of medseg that learn from it, for people."""

    @property
    def unit(self) -> str:
        """What has a class by itself: a pixel or an image, with its article."""

    @property
    def background(self) -> bool:
        """Whether the first class is what is left where nothing else is."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of an item that augmentation changes."""

    def contents(self, names: Sequence[str]) -> tuple[str, ...]:
        """What slices may be kept by, of what they contain: some of the names of classes and regions, or more."""

    def read(self, store: SliceStore, sample: Sample) -> NDArray[np.uint8]:
        """The label of one slice.

        Raises:
            StoreError: Its case has no truth.
        """

    def counts(self, store: SliceStore, role: str) -> NDArray[np.int64]:
        """(K,) how often each class occurs in a role."""

    def blank(self, classes: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """A label of the first class."""

    def examples(self, classes: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """A batch of made-up labels (B, ...) in which each class is, as far as there is room."""

    def alone(self, classes: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """For each class a batch of one label that holds no other: (K, 1, ...)."""

    def extremes(self, classes: int) -> tuple[NDArray[np.uint8], ...]:
        """Batches of labels of no class, and of every one, where an example may have them."""

    def indicators(self, label: torch.Tensor, classes: int) -> torch.Tensor:
        """Where a batch of labels has each class: (B, K, ...) float32 of 0 and 1."""

    def output(self, channels: int, size: tuple[int, int]) -> tuple[int, ...]:
        """Shape of what a network gives for one slice (H, W)."""


@dataclass(frozen=True)
class MaskTarget:
    """A class for each pixel: labels (1, H, W) of class indices, logits (C, H, W)."""

    truth: Truth = "masks"
    noun: str = "label maps"
    remedy: str = "label maps: take medseg.learning.ClassMasks, BinaryMask or RegionMasks"
    unit: str = "a pixel"
    background: bool = True
    keys: tuple[str, ...] = ("image", "label")

    def contents(self, names: Sequence[str]) -> tuple[str, ...]:
        """Any of them, or the foreground."""
        return ("foreground", *names)

    def read(self, store: SliceStore, sample: Sample) -> NDArray[np.uint8]:
        """The label map (1, H, W)."""
        return store.mask(sample)[None]

    def counts(self, store: SliceStore, role: str) -> NDArray[np.int64]:
        """Pixels of each class."""
        return store.voxel_counts(role)

    def blank(self, classes: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Zeros (1, H, W)."""
        del classes
        return np.zeros((1, *size), dtype=np.uint8)

    def examples(self, classes: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Runs of three pixels of each class, (2, 1, H, W)."""
        return (np.arange(2 * size[0] * size[1]) // 3 % classes).astype(np.uint8).reshape(2, 1, *size)

    def alone(self, classes: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Full of each, (K, 1, 1, H, W)."""
        each = np.arange(classes, dtype=np.uint8).reshape(-1, 1, 1, 1, 1)
        return np.broadcast_to(each, (classes, 1, 1, *size)).copy()

    def extremes(self, classes: int) -> tuple[NDArray[np.uint8], ...]:
        """None: a pixel has one class."""
        del classes
        return ()

    def indicators(self, label: torch.Tensor, classes: int) -> torch.Tensor:
        """(B, K, H, W)."""
        return one_hot(label[:, 0].long(), classes).movedim(-1, 1).float()

    def output(self, channels: int, size: tuple[int, int]) -> tuple[int, ...]:
        """(C, H, W)."""
        return (channels, *size)


@dataclass(frozen=True)
class LabelTarget:
    """Classes of the whole image: labels (K,) that are 1 for each class it has, logits (K,)."""

    truth: Truth
    remedy: str
    noun: str = "classes of images"
    unit: str = "an image"
    background: bool = False
    keys: tuple[str, ...] = ("image",)

    def contents(self, names: Sequence[str]) -> tuple[str, ...]:
        """None: a slice has no class of its own."""
        del names
        return ()

    def read(self, store: SliceStore, sample: Sample) -> NDArray[np.uint8]:
        """1 for each class of the slice's case, else 0: (K,)."""
        if sample.labels is None:
            raise StoreError(f"case {sample.case} has no class: its label cannot be read.")
        return indicator(sample.labels, store.classes)

    def counts(self, store: SliceStore, role: str) -> NDArray[np.int64]:
        """Slices of each class."""
        total: NDArray[Any] = np.zeros(len(store.classes), dtype=np.int64)
        for sample in store.role(role):
            if sample.labels is not None:
                total += indicator(sample.labels, store.classes)
        return total

    def blank(self, classes: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The first class alone, (K,)."""
        del size
        return np.eye(classes, dtype=np.uint8)[0]

    def examples(self, classes: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Each class alone, (K, K)."""
        del size
        return np.eye(classes, dtype=np.uint8)

    def alone(self, classes: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Each class alone, (K, 1, K)."""
        return self.examples(classes, size)[:, None]

    def extremes(self, classes: int) -> tuple[NDArray[np.uint8], ...]:
        """Of any number of classes, (1, K) without and with all; else none."""
        shape = (1, classes)
        return (np.zeros(shape, np.uint8), np.ones(shape, np.uint8)) if self.truth == "many" else ()

    def indicators(self, label: torch.Tensor, classes: int) -> torch.Tensor:
        """(B, K)."""
        del classes
        return label.float()

    def output(self, channels: int, size: tuple[int, int]) -> tuple[int, ...]:
        """(K,)."""
        del size
        return (channels,)


def indicator(labels: tuple[str, ...], classes: tuple[str, ...]) -> NDArray[np.uint8]:
    """(K,) uint8: 1 at each class that is among the labels.

    Raises:
        StoreError: A label is none of the classes.
    """
    unknown = sorted(set(labels) - set(classes))
    if unknown:
        raise StoreError(f"{unknown} are none of the classes {list(classes)}.")
    return np.array([name in labels for name in classes], dtype=np.uint8)


MASKS = MaskTarget()
"""A label map of each slice."""

ONE_LABEL = LabelTarget("one", "one class of each image: take medseg.learning.ImageClasses")
"""One class of the whole image."""

MANY_LABELS = LabelTarget("many", "any number of classes of each image: take medseg.learning.ImageTags")
"""Any number of classes of the whole image."""

TARGETS: Mapping[Truth, Target] = {each.truth: each for each in (MASKS, ONE_LABEL, MANY_LABELS)}
"""By the truth that a data set must have for it."""
