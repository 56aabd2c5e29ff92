"""Which of the declared transforms are run by batch and which slice by slice, in the declared order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose
from monai.transforms.transform import Randomizable
from monai.utils.misc import MAX_SEED
from numpy.typing import NDArray

from medseg.learning.augmentation.batched.form import Drawn, Form, Slices
from medseg.learning.augmentation.batched.table import form_of
from medseg.learning.augmentation.one_by_one import OneByOne

Draws = list[dict[str, NDArray[Any]] | None]
"""What each step of a plan drew for a batch; None where it changes no slice."""


class Plan:
    """How transforms are run on batches.

    Args:
        augment: MONAI transforms. Where they are more than a list, such as with options of their own, all are run
            slice by slice.
        slices: What they are given.
    """

    def __init__(self, augment: Compose, slices: Slices) -> None:
        self._state = np.random.RandomState(0)
        self._steps: list[tuple[Form | OneByOne, int]] = []
        self.one_by_one: tuple[str, ...] = ()
        if not _is_list(augment):
            self._steps.append((OneByOne(augment, [augment], slices.keys), 1))
            self.one_by_one = (type(augment).__name__,)
            self._split = False
            return
        self._split = True
        forms = [form_of(each, slices) for each in augment.transforms]
        self.one_by_one = tuple(
            type(each).__name__ for each, form in zip(augment.transforms, forms, strict=True) if form is None
        )
        start = 0
        while start < len(forms):
            end, form = start + 1, forms[start]
            while form is None and end < len(forms) and forms[end] is None:
                end += 1
            random = [each for each in augment.transforms[start:end] if isinstance(each, Randomizable)]
            step = form or OneByOne(partial(augment, start=start, end=end), random, slices.keys)
            self._steps.append((step, len(random)))
            start = end

    def draw(self, seeds: Mapping[int, int]) -> Draws:
        """What is drawn for slices, by their places in a batch, of which each has a seed.

        Each transform gets the seed that `Compose.set_random_state` would give it.
        """
        drawn: list[tuple[list[int], list[Mapping[str, Any]]]] = [([], []) for _ in self._steps]
        total = sum(count for _, count in self._steps)
        for row, seed in seeds.items():
            each = [seed]
            if self._split:
                self._state.seed(seed)
                each = self._state.randint(MAX_SEED, size=total, dtype="uint32").tolist()
            start = 0
            for (step, count), (rows, found) in zip(self._steps, drawn, strict=True):
                own = each[start : start + count]
                start += count
                one = step.draw(*own) if isinstance(step, OneByOne) else step.draw(own[0] if own else 0)
                if one is not None:
                    rows.append(row)
                    found.append(one)
        return [
            step.stacked(rows, found) if rows else None
            for (step, _), (rows, found) in zip(self._steps, drawn, strict=True)
        ]

    def apply(self, batch: dict[str, torch.Tensor], drawn: Sequence[Drawn | None]) -> None:
        """Change a batch in place."""
        for (step, _), one in zip(self._steps, drawn, strict=True):
            if one is not None:
                step.apply(batch, one)


def _is_list(augment: Compose) -> bool:
    plain = not augment.lazy and augment.overrides is None and not augment.log_stats
    plain = plain and augment.map_items is True and not augment.unpack_items
    once = len(set(map(id, augment.transforms))) == len(augment.transforms)  # one that comes twice draws on
    return type(augment) is Compose and plain and once
