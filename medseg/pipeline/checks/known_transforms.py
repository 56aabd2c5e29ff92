"""MONAI's own transforms, of which the module says whether they move an image or change its intensities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from monai.transforms import (
    RandSimulateLowResolutiond,
    RandSmoothDeformd,
    RandSmoothFieldAdjustContrastd,
    RandSmoothFieldAdjustIntensityd,
)

Kind = Literal["spatial", "intensity", "unknown"]

_SPATIAL = {"monai.transforms.spatial.dictionary", "monai.transforms.croppad.dictionary"}
_INTENSITY = {"monai.transforms.intensity.dictionary"}

#: Those of which the module does not say it.
_NAMED: dict[type, Kind] = {
    RandSimulateLowResolutiond: "intensity",
    RandSmoothFieldAdjustContrastd: "intensity",
    RandSmoothFieldAdjustIntensityd: "intensity",
    RandSmoothDeformd: "spatial",
}


def kind_of(transform: object) -> Kind:
    """What a transform does; unknown of all that are not MONAI's, even if they are built on one of it."""
    if type(transform) in _NAMED:
        return _NAMED[type(transform)]
    module = type(transform).__module__
    return "spatial" if module in _SPATIAL else "intensity" if module in _INTENSITY else "unknown"


def leaves(transform: Any) -> Iterator[Any]:
    """The transforms that a `Compose`, a `OneOf` and the like consist of; else itself."""
    within = getattr(transform, "transforms", None)
    if not isinstance(within, list | tuple):
        yield transform
        return
    for each in within:
        yield from leaves(each)
