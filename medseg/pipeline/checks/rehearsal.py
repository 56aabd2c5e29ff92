"""Trying the augmentation of a definition before anything is trained on it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Randomizable

from medseg.errors import DefinitionError
from medseg.pipeline.checks.alignment import parted, pattern

#: Draws of each transform. A turn by 90 degrees, which shows in two of three draws, hides once in 6,561.
_DRAWS = 8

#: In how many of them image and label map are compared, which takes longer.
_COMPARED = 4

#: How bright the pattern is on which image and label map are compared.
_SCALES = (1.0, 1000.0)


def rehearse(augment: Sequence[Any], item: Mapping[str, torch.Tensor]) -> None:
    """Apply each transform by itself, several times, with whatever makes it rare taken away.

    Args:
        augment: MONAI dictionary transforms, which are left as they are.
        item: `image` (C, H, W) and, where the label is a map that changes with it, `label` (1, H, W).

    Raises:
        DefinitionError: A transform cannot be applied, gives other shapes, moves the image or the label map alone,
            or interpolates labels; names it by its place.
    """
    expected = {key: tuple(value.shape) for key, value in item.items()}
    for place, given in enumerate(augment):
        transform = copy.deepcopy(given)
        if hasattr(transform, "prob"):
            transform.prob = 1.0
        where = f"loading.augment.{place} ({type(given).__name__})"
        for seed in range(_DRAWS):
            met = {key: tuple(value.shape) for key, value in _drawn(transform, seed, item, where).items()}
            if met != expected:
                labels = f", and labels into {met['label'][1:]}" if "label" in met else ""
                raise DefinitionError(
                    f"{where} turns slices of {expected['image'][1:]} into {met['image'][1:]}{labels}: a batch could "
                    "not be put together. Choose a square slices.size, or take it out."
                )
            if "label" in item and seed < _COMPARED:
                _refuse_parted(transform, seed, expected, where)


def _refuse_parted(transform: Any, seed: int, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Refuse a draw that moves the image away from its label map, or makes label values that are none.

    Both are tried on the same pattern, twice: noise that hides it in faint images does not in strong ones, and
    what cuts strong values off leaves faint ones.
    """
    faint, strong = (pattern(shapes, scale) for scale in _SCALES)
    drawn = _drawn(transform, seed, faint, where)
    label = drawn["label"]
    if not torch.equal(label, label.round()):
        raise DefinitionError(
            f"{where} interpolates the label map, which makes values that are no class. Take the nearest for it: "
            "`mode: [bilinear, nearest]`."
        )
    if made := set(label.unique().tolist()) - set(faint["label"].unique().tolist()):
        raise DefinitionError(
            f"{where} makes the label values {sorted(made)} of others, which would be other classes. Leave the label "
            "map out of its keys."
        )
    if parted(**drawn) and parted(**_drawn(transform, seed, strong, where)):
        raise DefinitionError(
            f"{where} moves the image and not its label map, or the other way round, so that the truth would be "
            "beside what it marks. Write `keys: [image, label]`."
        )


def _drawn(
    transform: Any, seed: int, item: Mapping[str, torch.Tensor], where: str
) -> dict[str, torch.Tensor]:
    """What a transform makes of an item with one draw."""
    try:
        if isinstance(transform, Randomizable):
            transform.set_random_state(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as that an image is blank
            changed = transform({key: value.clone() for key, value in item.items()})
        # plain tensors: what MONAI's carry along takes most of the time
        return {key: torch.as_tensor(changed[key]).as_subclass(torch.Tensor) for key in item}
    except Exception as error:  # transforms raise anything
        said = str(error.args[0] if isinstance(error, KeyError) and error.args else error)  # without quotes
        first = (said.splitlines() or [type(error).__name__])[0].rstrip(".")
        keys = getattr(transform, "keys", ())
        hint = "" if "label" in item or "label" not in keys else " Classes are no map: set `keys: [image]`."
        raise DefinitionError(f"{where} cannot be applied to a slice: {first}.{hint}") from error
