"""Random transforms whose draws depend on (seed, epoch, sample) alone, never on how many were drawn before.

A run that is resumed, or has another number of workers, sees the same augmented slices.
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
from medseg.learning.augmentation.reseeding import Reseeding


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
        self._reseed = Reseeding(augment)
        self._reseed_pseudo = self._reseed if pseudo_augment is None else Reseeding(pseudo_augment)
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
        augment, reseed = (
            (self.pseudo_augment, self._reseed_pseudo) if self._pseudo else (self.augment, self._reseed)
        )
        tracked = get_track_meta()
        set_track_meta(False)
        try:
            reseed(seed)
            own = {key: item[key] if key == "image" else item[key].clone() for key in self.keys}
            changed: dict[str, Any] = augment(own)
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
