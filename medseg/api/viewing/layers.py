"""A case as layers for napari: made without it, so that what it is given can be tested anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medseg.api.viewing.seen import Seen
from medseg.figures.overlay import window_of
from medseg.geometry.axes import AXES

#: What is shown filled, and what as outlines over it.
_OUTLINED = ("truth",)


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        kind: Grey or colour image, or a map of values.
        name: What it is called.
        data: (S, H, W) slices as radiologists see them, along the axis of the model; of a picture (H, W), and
            (H, W, 3) in 0..255 where it has colours.
        scale: Size of a voxel along these axes, mm; of a picture 1.
        affine: 4x4, from (slice, row, column) to world coordinates in mm, RAS+. It is told, and not applied: napari
            shows turned layers aslant.
        window: Intensities shown black and white; None of colours and maps.
        colours: Red, green and blue, 0 to 255, by value of a map.
        names: What a value of a map is called.
        outlined: Whether the areas of a map are outlined, not filled.
        visible: Whether it is shown at first.
    """

    kind: Literal["image", "labels"]
    name: str
    data: NDArray[Any]
    scale: tuple[float, ...]
    affine: NDArray[np.float64] = field(compare=False)
    window: tuple[float, float] | None = None
    colours: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    outlined: bool = False
    visible: bool = True


def layers_of(seen: Seen) -> tuple[Layer, ...]:
    """Images, the one that people are shown first on top and alone visible, then truth and prediction over them."""
    axis = AXES[seen.axis]
    cut = [axis.cut(image) for image in seen.images]
    affine = _from_slices(seen)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    scale = (1.0, 1.0) if seen.flat else tuple(float(size) for size in sizes)
    if seen.flat:
        cut = [slices[0] for slices in cut]
    found = []
    if seen.channels == ("red", "green", "blue") and seen.flat:
        colours = np.clip(np.stack(cut, axis=-1), 0, 255).astype(np.uint8)
        found.append(Layer("image", "picture", colours, scale, affine))
    else:
        found += [
            Layer("image", name, slices, scale, affine, window_of(image), visible=place == 0)
            for place, (name, slices, image) in enumerate(zip(seen.channels, cut, seen.images, strict=True))
        ][::-1]
    colours_of = {each.value: each.shown(place) for place, each in enumerate(seen.segments, start=1)}
    names = {each.value: each.label for each in seen.segments}
    for name, values in seen.maps.items():
        slices = axis.cut(values)
        shown = slices[0] if seen.flat else slices
        outlined = name in _OUTLINED
        found.append(
            Layer(
                "labels",
                name,
                np.ascontiguousarray(shown),
                scale,
                affine,
                colours=colours_of,
                names=names,
                outlined=outlined,
            )
        )
    return tuple(found)


def _from_slices(seen: Seen) -> NDArray[np.float64]:
    """From (slice, row, column) to the world, mm; rows and columns run against their axes."""
    axis = AXES[seen.axis]
    shape = seen.images.shape[1:]
    turned = np.zeros((4, 4))
    turned[3, 3] = 1
    turned[axis.along, 0] = 1
    for place, column in ((axis.rows, 1), (axis.columns, 2)):
        turned[place, column], turned[place, 3] = -1, shape[place] - 1
    affine: NDArray[np.float64] = seen.geometry.ras_affine @ turned
    return affine
