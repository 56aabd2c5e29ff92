"""Test-time augmentation by flips: the mean of the logits of a slice and of its mirror images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

Flips = tuple[tuple[int, ...], ...]
"""Axes of (H, W) that each mirror image is flipped along: `((0,), (1,), (0, 1))` are all of them."""

#: MONAI's transforms, by each of their names.
_FLIP, _AXIS_FLIP = ({f"{name}{end}" for end in ("d", "D", "Dict")} for name in ("RandFlip", "RandAxisFlip"))

_ALL: frozenset[tuple[int, ...]] = frozenset({(0,), (1,), (0, 1)})


def flips_of(given: Any) -> Flips:
    """Flips as a model's description has them.

    Raises:
        ValueError: They are none.
    """
    whole = isinstance(given, list | tuple) and all(_whole(each) for each in given)
    found = tuple(tuple(each) for each in given) if whole else ()
    if not whole or len(set(found)) != len(found) or not set(found) <= _ALL:
        raise ValueError(f"flips is {given!r}, expected some of [0], [1] and [0, 1], each once")
    return found


def _whole(given: Any) -> bool:
    return isinstance(given, list | tuple) and all(isinstance(axis, int) for axis in given)


def trained_flips(augment: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Flips:
    """The flips that a training may have seen: those of its transforms, and any two of them one after the other.

    Args:
        augment: Declared transforms, as `loading.augment` has them.
        keys: What has to be flipped together: the image, and its label where that is a map.
    """
    found = {flip for spec in augment if _flips(spec, keys) for flip in _of(spec)}
    both = {_after(one, other) for one in found for other in found}
    return tuple(sorted((found | both) & _ALL, key=lambda flip: (len(flip), flip)))


def _flips(spec: Mapping[str, Any], keys: Sequence[str]) -> bool:
    given = spec.get("keys", ())
    flipped = {given} if isinstance(given, str) else set(given)
    return _name(spec) in (*_FLIP, *_AXIS_FLIP) and flipped >= set(keys) and spec.get("prob", 0.1) > 0


def _name(spec: Mapping[str, Any]) -> str:
    return str(spec["_target_"]).rpartition(".")[2]


def _of(spec: Mapping[str, Any]) -> Iterable[tuple[int, ...]]:
    if _name(spec) in _AXIS_FLIP:  # one of them each time
        return (0,), (1,)
    axes = spec.get("spatial_axis")
    chosen = (0, 1) if axes is None else (axes,) if isinstance(axes, int) else axes
    return (tuple(sorted({axis % 2 for axis in chosen})),)


def _after(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """Two flips as one: along what only one of them flips."""
    return tuple(sorted(set(one) ^ set(other)))


def mean_logits(network: torch.nn.Module, batch: torch.Tensor, flips: Flips) -> torch.Tensor:
    """Logits of a batch (B, C, H, W), averaged over itself and its mirror images.

    Label maps (B, K, H, W) are flipped back before; the classes of whole images (B, K) have no place.
    """
    total: torch.Tensor = network(batch)
    for flip in flips:
        axes = [axis - 2 for axis in flip]
        given = network(torch.flip(batch, axes))
        total = total + (torch.flip(given, axes) if given.ndim == batch.ndim else given)
    return total / (1 + len(flips)) if flips else total


def described(flips: Flips) -> str:
    """Flips in words."""
    names = {(0,): "rows", (1,): "columns", (0, 1): "both"}
    return ", ".join(names[flip] for flip in flips)
