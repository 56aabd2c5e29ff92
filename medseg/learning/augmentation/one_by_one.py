"""Transforms that have no form for a batch, run slice by slice in their place among the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import Randomizable
from numpy.typing import NDArray

from medseg.errors import DefinitionError
from medseg.learning.augmentation.batched.form import Drawn
from medseg.learning.augmentation.reseeding import Reseeding


class OneByOne:
    """A stretch of transforms that is run on each slice of a batch by itself.

    Args:
        run: Applies all of them to an item.
        random: Those of them that draw; each gets a seed for each slice.
        keys: The parts of an item that they see.
    """

    def __init__(
        self, run: Callable[[Any], Any], random: Sequence[Randomizable], keys: tuple[str, ...]
    ) -> None:
        self._run, self._keys = run, keys
        self._reseed = [Reseeding(each) for each in random]

    def draw(self, *seeds: int) -> Mapping[str, Any]:
        """Nothing but the seeds: such transforms draw as they are run."""
        return {"seeds": np.array(seeds, dtype=np.int64)}

    def stacked(self, rows: Sequence[int], drawn: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        """Seeds (R, n) and the places of the slices in the batch."""
        return {
            "rows": np.array(rows, dtype=np.int64),
            "seeds": np.stack([each["seeds"] for each in drawn]),
        }

    def apply(self, batch: dict[str, torch.Tensor], drawn: Drawn) -> None:
        """Change the drawn rows in place; label maps may become float, which is looked at in the end.

        Raises:
            DefinitionError: A slice has another shape afterwards.
        """
        for row, seeds in zip(drawn.host["rows"], drawn.host["seeds"], strict=True):
            for reseed, seed in zip(self._reseed, seeds, strict=True):
                reseed(int(seed))
            found = self._run({key: batch[key][row].clone() for key in self._keys})
            for key in self._keys:
                value = torch.as_tensor(found[key])
                _refuse_other_shape(batch[key][row], value, key)
                if value.dtype.is_floating_point and not batch[key].dtype.is_floating_point:
                    batch[key] = batch[key].to(value.dtype)
                batch[key][row] = value


def _refuse_other_shape(before: torch.Tensor, after: torch.Tensor, key: str) -> None:
    if before.shape != after.shape:
        raise DefinitionError(
            f"loading.augment turns the {key} of a slice of {tuple(before.shape)} into {tuple(after.shape)}: a batch "
            "could not be put together. Take out what crops or resizes."
        )
