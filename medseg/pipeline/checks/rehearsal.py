"""Trying the augmentation of a definition before anything is trained on it."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from monai.data.meta_obj import get_track_meta, set_track_meta
from monai.transforms import Randomizable

from medseg.errors import DefinitionError
from medseg.machine.within_memory import TooLargeError, within_memory
from medseg.pipeline.checks.alignment import Shown, pattern, remapped, spotted
from medseg.pipeline.checks.known_transforms import kind_of, leaves

#: Draws of each transform. A turn by 90 degrees, which shows in two of three draws, hides once in 6,561.
_DRAWS = 8

#: In how many of them image and label map must lie apart: one may be an accident.
_PARTED = 2


def rehearse(augment: Sequence[Any], item: Mapping[str, torch.Tensor], classes: int = 4) -> None:
    """Apply each transform by itself, several times, with whatever makes it rare taken away.

    Args:
        augment: MONAI dictionary transforms, which are left as they are.
        item: `image` (C, H, W) and, where the label is a map that changes with it, `label` (1, H, W), of which only
            the shapes count then.
        classes: Of the label map.

    Raises:
        DefinitionError: A transform cannot be applied, names a key twice, gives other shapes, moves the image or the
            label map alone, or makes other labels of those that there are; names it by its place.
    """
    for place, given in enumerate(augment):
        transform = copy.deepcopy(given)
        for each in (transform, *leaves(transform)):
            if hasattr(each, "prob"):
                each.prob = 1.0
        where = f"loading.augment.{place} ({type(given).__name__})"
        _refuse_twice(transform, where)
        if "label" in item:
            _try_on_masks(transform, where, {key: tuple(value.shape) for key, value in item.items()}, classes)
        else:
            for seed in range(_DRAWS):
                _drawn(transform, seed, item, where)


def _refuse_twice(transform: Any, where: str) -> None:
    """Refuse a key that is named twice: a mirrored image would be mirrored back, and its label map would not."""
    for leaf in leaves(transform):
        keys = getattr(leaf, "keys", ())
        if twice := sorted({str(key) for key in keys if tuple(keys).count(key) > 1}):
            raise DefinitionError(
                f"{where} names {twice[0]} more than once in its keys, and would be applied to it as often. Name "
                "each key once."
            )


def _try_on_masks(transform: Any, where: str, shapes: Mapping[str, tuple[int, ...]], classes: int) -> None:
    plain = pattern(shapes, classes)
    unknown = kind_of(transform) == "unknown"
    shown = []
    for seed in range(_DRAWS):
        twin = copy.deepcopy(transform) if unknown else None  # which draws the same
        drawn = _drawn(transform, seed, plain, where)
        _refuse_made(plain["label"], drawn["label"], where)
        if twin is not None:
            item, spot = spotted(plain, seed, classes)
            shown.append(Shown(drawn, _drawn(twin, seed, item, where), spot))
    for leaf in leaves(transform):
        _refuse_by_kind(leaf, where, plain, classes)
    if sum(each.apart for each in shown) >= _PARTED and _repeats(transform, plain, where):
        raise _moves(where)
    turns = [remapped(plain["label"], each.without["label"]) for each in shown if each.stays]
    found = [each for each in turns if each]
    if len(found) >= _PARTED:
        turned = ", ".join(f"{old} into {new}" for old, new in found[0].items())
        raise DefinitionError(
            f"{where} turns labels into others where they stand, {turned}: training would learn other classes than "
            "are scored. Leave the label map out of its keys; the manifest says what its values mean (label_values)."
        )


def _refuse_made(before: torch.Tensor, label: torch.Tensor, where: str) -> None:
    """Refuse label values that are none."""
    if not torch.equal(label, label.round()):
        raise DefinitionError(
            f"{where} interpolates the label map, which makes values that are no class. Take the nearest for it: "
            "`mode: [bilinear, nearest]`."
        )
    if made := set(label.unique().tolist()) - set(before.unique().tolist()):
        raise DefinitionError(
            f"{where} makes the label values {sorted(made)} of others, which would be other classes. Leave the label "
            "map out of its keys."
        )


def _refuse_by_kind(leaf: Any, where: str, plain: Mapping[str, torch.Tensor], classes: int) -> None:
    """Refuse a transform of MONAI that moves one of image and label map, or treats labels as intensities."""
    kind, keys = kind_of(leaf), {"image", "label"} & set(getattr(leaf, "keys", ()))
    alone = kind == "spatial" and len(keys) == 1
    if not alone and not (kind == "intensity" and "label" in keys):
        return
    looked_at = keys if alone else {"label"}
    for seed in range(_DRAWS):
        item, _ = spotted(plain, seed, classes)  # a spot, since a mirrored frame may look as before
        drawn = _drawn(leaf, seed, item, where)
        if all(torch.allclose(drawn[key].float(), item[key].float(), atol=1e-3) for key in looked_at):
            continue
        if alone:
            raise _moves(where)
        if "image" in keys and _cuts_out(item, drawn):
            continue
        raise DefinitionError(
            f"{where} changes the label map as it changes intensities: the truth would name other classes than are "
            "there. Leave the label map out: `keys: [image]`."
        )


def _cuts_out(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> bool:
    """Whether labels became the first class alone, and only where the image is of one value now."""
    cut = after["label"] != before["label"]
    filled = after["image"][cut.expand_as(after["image"])]
    return bool((after["label"][cut] == 0).all() and len(filled.unique()) == 1)


def _moves(where: str) -> DefinitionError:
    return DefinitionError(
        f"{where} moves the image and not its label map, or the other way round, so that the truth would be beside "
        "what it marks. Write `keys: [image, label]`."
    )


def _repeats(transform: Any, item: Mapping[str, torch.Tensor], where: str) -> bool:
    """Whether the same draw gives the same: else two draws show nothing."""
    one, other = (_drawn(copy.deepcopy(transform), 0, item, where) for _ in range(2))
    return all(torch.equal(one[key], other[key]) for key in item)


def _drawn(
    transform: Any, seed: int, item: Mapping[str, torch.Tensor], where: str
) -> dict[str, torch.Tensor]:
    """What a transform makes of an item with one draw, which must keep its shapes."""
    try:
        if isinstance(transform, Randomizable):
            transform.set_random_state(seed=seed)
        with warnings.catch_warnings(), _as_in_training(seed), within_memory(growing=True):
            warnings.simplefilter("ignore")  # such as that an image is blank
            changed = transform({key: value.clone() for key, value in item.items()})
        drawn = {key: torch.as_tensor(changed[key]).as_subclass(torch.Tensor) for key in item}
    except Exception as error:  # transforms raise anything
        # MONAI puts its own in front of want of memory; a KeyError puts quotes around its message
        shown = error.__cause__ if isinstance(error.__cause__, TooLargeError) else error
        message = str(shown.args[0] if isinstance(shown, KeyError) and shown.args else shown)
        first = (message.splitlines() or [type(error).__name__])[0].rstrip(".")
        keys = getattr(transform, "keys", ())
        hint = "" if "label" in item or "label" not in keys else " Classes are no map: set `keys: [image]`."
        raise DefinitionError(f"{where} cannot be applied to a slice: {first}.{hint}") from error
    if any(drawn[key].shape != item[key].shape for key in item):
        before, after = tuple(item["image"].shape[1:]), tuple(drawn["image"].shape[1:])
        labels = f", and labels into {tuple(drawn['label'].shape[1:])}" if "label" in drawn else ""
        raise DefinitionError(
            f"{where} turns slices of {before} into {after}{labels}: a batch could not be put together. "
            "Choose a square slices.size, or take it out."
        )
    return drawn


@contextmanager
def _as_in_training(seed: int) -> Iterator[None]:
    """Plain tensors, and the generators of everybody at one state; afterwards as before."""
    tracked, python_state = get_track_meta(), random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - what the transforms of others draw from
    set_track_meta(False)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # no GPU is asked
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        set_track_meta(tracked)
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
