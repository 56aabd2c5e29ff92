"""Refusing transforms that a preparation cannot use, before anything is read.

Each transform of a definition is run on a small made-up volume in which one place is marked. What comes out
must keep its channels, tell truly where the mark went, and lead back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from monai.data.meta_tensor import MetaTensor
from monai.transforms.inverse import InvertibleTransform
from monai.transforms.traits import MultiSampleTrait, RandomizableTrait
from monai.transforms.transform import MapTransform
from numpy.typing import NDArray

from medseg.allowed import Allowed
from medseg.errors import DefinitionError
from medseg.geometry.grid import Geometry
from medseg.slices.transforms import TRANSFORMS_KEY, Chain, affine_of, as_array, as_meta, why

_SPATIAL = ("monai.transforms.spatial.", "monai.transforms.croppad.")
_KEYS = {"image", "label"}
_PROBE = (96, 88, 80)
_MARK = (8, -6, 5)  # from the centre: off it in every axis, by different amounts, but inside most crops
_VOXEL = (1.07, 0.93, 1.13)  # mm: no size that somebody asks for, so that who resamples alone is seen
_LABELS = (0, 7, 23)  # what interpolation makes of them is none of them
_INSIDE_AGREEMENT = 0.9  # of label voxels, there and back with resampling; exact inverses give 1


def check_transforms(
    specs: Sequence[Mapping[str, Any]],
    *,
    channels: Sequence[str],
    allowed: Allowed = Allowed(),  # noqa: B008  Allowed is frozen
    at: str = TRANSFORMS_KEY,
    shape: tuple[int, int, int] = _PROBE,
) -> None:
    """Check the transforms of a definition, in order.

    Args:
        specs: As written in the definition.
        channels: Names of the channels of the image.
        allowed: Where classes may come from.
        at: Their key in the definition, for errors.
        shape: (I, J, K) of the volume to try them on; that of the data, where it is known.

    Raises:
        DefinitionError: A transform is random, reads other keys than image and label, needs the truth,
            changes the number of channels, drops or falsifies the geometry, moves voxels and cannot be
            undone, or changes labels; the message names it by its key.
    """
    chain = Chain(specs, at=at, allowed=allowed)
    for i, transform in enumerate(chain.transforms):
        _check_kind(transform, f"{at}.{i}")
    before = _probe(len(channels), shape)
    data: dict[str, Any] = dict(before)
    alone: dict[str, Any] = {"image": before["image"]}
    for i, spec in enumerate(specs):
        where = f"{at}.{i} ({spec.get('_target_')})"
        step = Chain([spec], at=f"{at}.{i}", allowed=allowed)
        after = _run(step, data, where)
        alone = _run(step, alone, f"{where} without a label, as in prediction")
        _check_image(after, alone, len(channels), where)
        _check_places(step, data, after, where)
        _check_values(step, data, where)
        data = after
    if any(isinstance(each, InvertibleTransform) for each in chain.transforms):
        _check_round_trip(chain, before, at)


_RELABELS = (
    "labels are changed. What label values mean is declared by the manifest's `label_values`; "
    "remove `label` from the keys of transforms that do not move voxels, and give those that resample "
    "`mode: [bilinear, nearest]`."
)


def _check_kind(transform: MapTransform, where: str) -> None:
    name = type(transform).__name__
    if isinstance(transform, RandomizableTrait):
        raise DefinitionError(
            f"at {where}: {name} is random, and slices are prepared once. Put it under loading.augment."
        )
    if isinstance(transform, MultiSampleTrait):
        raise DefinitionError(f"at {where}: {name} makes several volumes of one, expected one. Remove it.")
    unknown = sorted(str(key) for key in transform.keys if key not in _KEYS)
    if unknown:
        raise DefinitionError(f"at {where}.keys: got {', '.join(unknown)}; the keys are image and label.")
    spatial = type(transform).__module__.startswith(_SPATIAL)
    if spatial and not isinstance(transform, InvertibleTransform):
        raise DefinitionError(f"at {where}: {name} {_NO_WAY_BACK}")


_NO_WAY_BACK = (
    "moves voxels and cannot be undone, so that predictions would not fit the file. Take an invertible one, "
    "such as Spacingd, Orientationd, Flipd or Rotate90d, or augment with a random one under loading.augment."
)


def _probe(channels: int, shape: tuple[int, int, int]) -> dict[str, Any]:
    """An ellipsoid of noise with one bright ball, and a label map of layers with the same ball."""
    random = np.random.default_rng(0)
    grid = np.indices(shape, dtype=np.float32)
    centre = np.array(shape, dtype=np.float32)[:, None, None, None] / 2
    inside = (((grid - centre) / (0.45 * 2 * centre)) ** 2).sum(axis=0) < 1
    ball = ((grid - centre - np.array(_MARK)[:, None, None, None]) ** 2).sum(axis=0) < 9
    image = np.where(inside, random.uniform(80, 120, (channels, *shape)), 0).astype(np.float32)
    image[:, ball] = 1000
    label = np.where(inside, np.where(grid[0] > centre[0], _LABELS[2], _LABELS[1]), _LABELS[0])
    affine = np.diag([*_VOXEL, 1.0])
    return {"image": as_meta(image, affine), "label": as_meta(label.astype(np.uint8)[None], affine)}


def _run(step: Chain, data: Mapping[str, Any], where: str) -> dict[str, Any]:
    copied = {key: value.clone() if isinstance(value, MetaTensor) else value for key, value in data.items()}
    try:
        return step.apply(copied)
    except Exception as error:  # a transform may raise anything at what a user wrote
        reason = why(error)
        raise DefinitionError(
            f"at {where}: the transform fails on a volume of {tuple(data['image'].shape)}: {reason}"
        ) from error


def _check_image(after: Mapping[str, Any], alone: Mapping[str, Any], channels: int, where: str) -> None:
    image = after.get("image")
    if not isinstance(image, MetaTensor):
        raise DefinitionError(
            f"at {where}: the transform drops the geometry of the image (it makes a {type(image).__name__}), "
            "which leads predictions back to the file. Remove it: the type is right already."
        )
    if image.ndim != 4 or len(image) != channels:
        raise DefinitionError(
            f"at {where}: the transform makes an image of shape {tuple(image.shape)}; expected {channels} "
            "channels (C, I, J, K), as `channels` says. Remove it."
        )
    if not as_array(image).size:
        raise DefinitionError(f"at {where}: the transform leaves nothing of a volume. Mend its arguments.")
    same = alone["image"].shape == image.shape and np.array_equal(as_array(alone["image"]), as_array(image))
    if not same:
        raise DefinitionError(
            f"at {where}: the image comes out otherwise where there is no label, and prediction has none. "
            "Let it depend on the image alone (`source_key: image`)."
        )


def _check_places(step: Chain, before: Mapping[str, Any], after: Mapping[str, Any], where: str) -> None:
    """The image's affine must say where its marked place went, and the label must have come along."""
    old, new = before["image"], after["image"]
    label = after.get("label")
    if not isinstance(label, MetaTensor) or label.ndim != 4 or len(label) != 1:
        raise DefinitionError(
            f"at {where}: the label map does not stay one channel with its geometry. "
            "Remove `label` from its keys."
        )
    if not together(new, label):
        raise DefinitionError(
            f"at {where}: the transform moves the image and not the label, or the other way "
            "round. Write `keys: [image, label]`."
        )
    if not np.isin(as_array(label), _LABELS).all():
        raise DefinitionError(f"at {where}: {_RELABELS}")
    was, found = _mark(old), _mark(new)
    if was is None or found is None:
        return
    world = affine_of(new) @ np.append(found, 1)
    scale = np.sqrt((affine_of(new)[:3, :3] ** 2).sum(axis=0)).max()
    off = np.abs(world - affine_of(old) @ np.append(was, 1))[:3].max()
    lost = not _within(affine_of(new), affine_of(old) @ np.append(was, 1), new.shape[1:])
    if off > 2 + scale and not lost:
        raise DefinitionError(
            f"at {where}: {type(step.transforms[0]).__name__} moves voxels without telling where (a mark "
            f"ended {off:.3g} mm from where the affine says), so that predictions would not fit the "
            "file. Take another transform."
        )


def together(image: MetaTensor, label: MetaTensor) -> bool:
    """Whether an image and its label map are on one grid after transforms."""
    grids = (Geometry((*each.shape[1:],), affine_of(each)) for each in (image, label))
    return next(grids).same_grid(next(grids))


def _check_values(step: Chain, before: Mapping[str, Any], where: str) -> None:
    """What does not move voxels must leave every label alone, those of the data included."""
    transform = step.transforms[0]
    if isinstance(transform, InvertibleTransform) or "label" not in transform.keys:
        return
    shape = tuple(before["label"].shape)
    every = (np.arange(np.prod(shape)) % 256).astype(np.uint8).reshape(shape)
    after = _run(step, {**before, "label": as_meta(every, affine_of(before["label"]))}, where)["label"]
    if not np.array_equal(as_array(after), every):
        raise DefinitionError(f"at {where}: {_RELABELS}")


def _mark(image: MetaTensor) -> NDArray[np.float64] | None:
    """Centre of what stands out most in the first channel; None if nothing does."""
    channel = as_array(image)[0].astype(np.float64)
    deviation = np.abs(channel - np.median(channel))
    peak = deviation.max()
    far = deviation > 0.8 * peak
    if peak == 0 or far.mean() > 0.01:
        return None
    return np.argwhere(far).mean(axis=0)


def _within(affine: NDArray[np.float64], world: NDArray[np.float64], shape: Sequence[int]) -> bool:
    place = (np.linalg.inv(affine) @ world)[:3]
    return bool(np.all(place > 4) and np.all(place < np.array(shape) - 4))


def _check_round_trip(chain: Chain, before: Mapping[str, Any], at: str) -> None:
    """A label map must come back to where it was, as far as it was not cropped away."""
    data = {key: value.clone() for key, value in before.items()}
    after = chain.apply(data)
    label = as_array(after["label"])
    try:
        covered = chain.undo(np.ones_like(label), after["image"], nearest=True)
        back = chain.undo(label, after["image"], nearest=True)
    except Exception as error:  # inverting may raise anything
        raise DefinitionError(f"at {at}: the transforms cannot be undone: {why(error)}") from error
    truth = as_array(before["label"])
    if back.shape != truth.shape:
        raise DefinitionError(
            f"at {at}: undoing the transforms gives a volume of {back.shape[1:]}, expected {truth.shape[1:]}. "
            "Take transforms that MONAI can invert."
        )
    shown = (covered > 0.5) & (truth > 0)
    if shown.any() and (back == truth)[shown].mean() < _INSIDE_AGREEMENT:
        raise DefinitionError(f"at {at}: labels do not come back as they were. Either {_RELABELS}")
