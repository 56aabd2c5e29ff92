"""Random transforms whose draws depend on (seed, epoch, sample) alone, never on how many were drawn before.

A run that is resumed, or has another number of workers or other batches, sees the same augmented slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from monai.data import set_track_meta
from monai.data.meta_obj import get_track_meta
from monai.transforms import Compose

from medseg.errors import DefinitionError
from medseg.learning.augmentation.batched.form import Drawn, Slices
from medseg.learning.augmentation.plan import Draws, Plan
from medseg.learning.augmentation.sending import sent


class AugmentByPlace:
    """Random transforms on batches, each slice of which is drawn by its place.

    Drawing looks at no pixel, and so can be done wherever slices are read; applying is done where the batch is. What
    becomes of a slice is what MONAI makes of it alone after `set_random_state` with the seed of its place, but for
    fields of noise (see `batched.noise`). MetaTensors are switched off meanwhile: past reading, they cost more than
    the augmentation itself.

    Args:
        augment: MONAI dictionary transforms.
        seed: Of the draws.
        keys: The parts of an item that the transforms see.
        pseudo_augment: In place of the first for slices whose truth was predicted; None: the same.
    """

    def __init__(
        self, augment: Compose, seed: int, keys: tuple[str, ...], pseudo_augment: Compose | None = None
    ) -> None:
        self.seed, self.keys = seed, keys
        self._declared = [augment] if pseudo_augment is None else [augment, pseudo_augment]
        self._plans: dict[tuple[int, int, int], list[Plan]] = {}

    def one_by_one(self, shape: tuple[int, int, int]) -> tuple[str, ...]:
        """Names of the transforms that are run slice by slice on images (C, H, W)."""
        return tuple(name for plan in self._plans_of(shape) for name in plan.one_by_one)

    def draw(
        self, places: Sequence[tuple[int, int]], shape: tuple[int, int, int], pseudo: Sequence[bool] = ()
    ) -> list[Draws]:
        """What is drawn for the slices of a batch.

        Args:
            places: (epoch, index) of each slice.
            shape: (C, H, W) of each image.
            pseudo: Whether the truth of each was predicted; by default of none.
        """
        plans = self._plans_of(shape)
        kinds = [min(int(each), len(plans) - 1) for each in pseudo] or [0] * len(places)
        seeds = [int(np.random.SeedSequence([self.seed, *place]).generate_state(1)[0]) for place in places]
        with _untracked():
            return [
                plan.draw({row: seeds[row] for row in range(len(places)) if kinds[row] == number})
                for number, plan in enumerate(plans)
            ]

    def __call__(self, batch: dict[str, torch.Tensor], draws: Sequence[Draws]) -> None:
        """Augment a batch in place: `image` (B, C, H, W) float32, and `label` where it is among the keys.

        Raises:
            DefinitionError: A label map was interpolated, or a slice got another shape.
        """
        image = batch["image"]
        there = [one for drawn in draws for one in drawn if one is not None]
        arrived = iter(sent(there, image.device))
        plans = self._plans_of((image.shape[1], image.shape[2], image.shape[3]))
        with _untracked():
            for plan, drawn in zip(plans, draws, strict=True):
                plan.apply(batch, [None if one is None else Drawn(one, next(arrived)) for one in drawn])
        batch["label"] = _whole(batch["label"])

    def _plans_of(self, shape: tuple[int, int, int]) -> list[Plan]:
        if shape not in self._plans:
            self._plans[shape] = [Plan(each, Slices(shape, self.keys)) for each in self._declared]
        return self._plans[shape]


@contextmanager
def _untracked() -> Iterator[None]:
    tracked = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(tracked)


def _whole(label: torch.Tensor) -> torch.Tensor:
    """Labels as uint8, whatever type a transform left them in.

    Raises:
        DefinitionError: They were interpolated.
    """
    if label.dtype == torch.uint8:
        return label
    whole = label.to(torch.uint8)
    if not torch.equal(whole.to(label.dtype), label):
        raise DefinitionError(
            "loading.augment made labels that are no classes: give transforms that resample "
            "`mode: [bilinear, nearest]`, and those of intensities `keys: [image]`."
        )
    return whole
