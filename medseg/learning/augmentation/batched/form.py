"""What a random transform of MONAI must have to be applied to a whole batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from monai.transforms.transform import Randomizable
from numpy.typing import NDArray

#: Values that are changed at a time: what a processor keeps near, and enough for a GPU without the batch being there
#: several times over.
_ON_CPU, _ON_GPU = 2**17, 2**22


@dataclass(frozen=True)
class Slices:
    """What the transforms are given.

    Attributes:
        shape: (C, H, W) of an image.
        keys: The parts of an item that change: `image`, and `label` where it is a map (1, H, W).
    """

    shape: tuple[int, int, int]
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Drawn:
    """What one transform drew for those slices of a batch that it changes.

    Attributes:
        host: Arrays with a row for each of these slices, among them `rows`, their places in the batch.
        sent: The same on the device of the batch.
    """

    host: Mapping[str, NDArray[Any]]
    sent: Mapping[str, torch.Tensor]

    def __len__(self) -> int:
        return len(self.host["rows"])

    @property
    def rows(self) -> torch.Tensor:
        """(R,) int64, on the device."""
        return self.sent["rows"]

    def change(self, whole: torch.Tensor, changed: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Put what is made of the drawn rows of a batch in their place; it may be made in place."""
        if whole.device.type == "cpu" and len(self) == 1:  # without a copy
            row = int(self.host["rows"][0])
            rows = whole[row : row + 1]
            found = changed(rows)
            if found is not rows:
                rows.copy_(found)
        else:
            whole.index_copy_(0, self.rows, changed(whole.index_select(0, self.rows)))

    def part(self, which: slice) -> Drawn:
        """Some of the slices; whatever the device does, it is not waited for."""
        return Drawn(
            {name: value[which] for name, value in self.host.items()},
            {name: value[which] for name, value in self.sent.items()},
        )

    def parts(self, images: torch.Tensor) -> Iterator[Drawn]:
        """All of them, as many at a time as memory is well used by."""
        most = _ON_CPU if images.device.type == "cpu" else _ON_GPU
        step = max(most // max(images[0].numel(), 1), 1)
        for start in range(0, len(self), step):
            yield self.part(slice(start, start + step))

    def groups(self, name: str) -> Iterator[tuple[Any, Drawn]]:
        """Those that have one value of `name`, which the form is sorted by, with that value."""
        values = self.host[name]
        start = 0
        for end in range(1, len(self) + 1):
            if end == len(self) or not np.array_equal(values[end], values[start]):
                yield values[start], self.part(slice(start, end))
                start = end


class Form(ABC):
    """A random transform, drawn slice by slice as MONAI draws it and applied to all slices of a batch at once.

    Args:
        transform: Whose class is exactly the one that the form was made for. Nobody else gives it seeds.
        slices: What it is given.
    """

    #: Every argument of the transform that the form knows: one that has others, of a newer MONAI, has no form.
    arguments: ClassVar[tuple[str, ...]]

    #: The value by which slices are sorted, where some of them have to be changed together.
    sorted_by: ClassVar[str | None] = None

    def __init__(self, transform: Any, slices: Slices) -> None:
        if isinstance(transform, Randomizable):
            transform.set_random_state(seed=0)  # states of its own, which are seeded from now on
        self.transform, self.slices = transform, slices
        #: An image by its shape, which takes no memory: some look at it as they draw.
        self.like = torch.empty(()).expand(slices.shape)

    @abstractmethod
    def knows(self) -> bool:
        """Whether all its settings are known, so that the result is what MONAI gives for each slice."""

    @abstractmethod
    def draw(self, seed: int) -> Mapping[str, Any] | None:
        """What is drawn for one slice after `set_random_state(seed=seed)`; None leaves the slice as it is.

        Returns:
            Numbers and arrays by name, of the same names and shapes for every slice.
        """

    @abstractmethod
    def apply(self, batch: dict[str, torch.Tensor], drawn: Drawn) -> None:
        """Change `image` (B, C, H, W) float32 and `label` (B, 1, H, W) in place, and only the rows that were drawn.

        Nothing here may wait for the device: no value of a tensor on it decides what is done next.
        """

    def stacked(self, rows: Sequence[int], drawn: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        """Draws of several slices as arrays (R, ...), with their `rows`."""
        found = {name: np.array([each[name] for each in drawn]) for name in drawn[0]}
        found["rows"] = np.array(rows, dtype=np.int64)
        if self.sorted_by is not None:
            keys = found[self.sorted_by].reshape(len(rows), -1)
            order = np.lexsort(keys.T)
            found = {name: value[order] for name, value in found.items()}
        return found

    def chosen(self, seed: int) -> bool:
        """Whether the transform is applied at all, by its `prob`."""
        self.transform.R.seed(seed)
        self.transform.randomize(None)
        return bool(self.transform._do_transform)

    def drew(self, seed: int, inner: Any, *looked_at: Any) -> bool:
        """Whether the transform is applied; then the one within it, which MONAI seeds alike, has drawn.

        Args:
            seed: Of the slice.
            inner: The transform of arrays.
            looked_at: What its `randomize` takes.
        """
        if not self.chosen(seed):
            return False
        inner.R.seed(seed)
        inner.randomize(*looked_at)
        return True

    def keys(self) -> tuple[str, ...] | None:
        """The parts of an item that the transform changes; None where MONAI would complain, or change one twice."""
        declared = self.transform.keys
        found = tuple(key for key in declared if key in self.slices.keys)
        complains = len(found) < len(declared) and not self.transform.allow_missing_keys
        return None if complains or not found or len(set(found)) < len(found) else found


class OfImage(Form):
    """A form of a transform that changes the values of images, and nothing else."""

    def knows(self) -> bool:
        return self.keys() == ("image",)

    def apply(self, batch: dict[str, torch.Tensor], drawn: Drawn) -> None:
        for part in drawn.parts(batch["image"]):
            part.change(batch["image"], partial(self.changed, drawn=part))

    @abstractmethod
    def changed(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        """What becomes of the images (R, C, H, W) that the draws are of; they may be changed in place."""


def each(values: torch.Tensor) -> torch.Tensor:
    """Numbers of slices (R,), or of their channels (R, C), so that they go with images (R, C, H, W)."""
    shaped = values if values.ndim > 1 else values[:, None]
    return shaped[:, :, None, None].to(torch.float32)
