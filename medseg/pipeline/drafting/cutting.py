"""How slices are cut from what a folder holds: the keys below `slices`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.scanning.look import Look
from medseg.errors import DataError
from medseg.geometry.axes import AXES
from medseg.pipeline.drafting.choice import Choice
from medseg.pipeline.drafting.grids import cut_axis, divisible, halvings, target_spacing
from medseg.pipeline.drafting.intensities import CROPPED, kept_share, volume_scaling
from medseg.text import many

#: Voxel sizes in the plane of slices that differ by no more are left as they are.
_ALIKE = 1.1
_LARGEST = 512
_TILE = 256
_MUCH_LARGER = 1.5  # times the median side
_OF_CLASSES = 224
_COARSEST = 96  # pixels of the shorter side, where larger pixels save time

_MARGIN = 1.1  # around what label maps mark
_MUCH_SMALLER = 0.7  # of the median slice
_ENOUGH = 20  # label maps, before they say where in a slice labels lie


@dataclass(frozen=True)
class Cut:
    """How slices are cut.

    Attributes:
        choices: The keys below `slices`.
        size: Of a slice, (H, W).
        slices: How many the data set has, about.
        mirrored: Whether training sees mirror images. Of pictures it does; volumes lie in a known orientation, and
            where something lies tells what it is.
    """

    choices: tuple[Choice, ...]
    size: tuple[int, int]
    slices: int
    mirrored: bool = True

    @property
    def halvings(self) -> int:
        """How often a network may halve them."""
        return halvings(self.size)


def _grids(look: Look) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shapes (N, 3) and spacings (N, 3) of the cases that could be read."""
    seen = [each for each in look.seen if each.shape is not None]
    if not seen:
        reasons = "; ".join(f"{reason} ({count})" for reason, count in look.problems.most_common(3))
        raise DataError(
            f"none of the files that were tried can be read: {reasons or 'there are none'}.", look.faults
        )
    return np.array([each.shape for each in seen], float), np.array([each.spacing for each in seen], float)


def _cases(look: Look) -> int:
    return len(look.listing.cases) if look.listing else 0


def cut_volumes(look: Look, part: float = 1.0) -> Cut:
    """Slices across one axis of volumes, resampled in their plane where voxels differ, or to save time.

    Args:
        look: At the folder.
        part: Of the side that slices have at their own resolution; smaller ones have larger pixels and take less
            time. No side becomes shorter than 96 pixels by it.
    """
    shapes, spacings = _grids(look)
    target = target_spacing(spacings, shapes)
    axis = cut_axis(target, shapes)
    plane = list(axis.in_plane)
    alike = bool((spacings[:, plane].max(axis=0) <= _ALIKE * spacings[:, plane].min(axis=0)).all())
    scales = 1.0 if alike else spacings[:, plane] / target[plane]
    size, fit, why = _sized(look, plane, scales, shapes)
    shorter = min(part, 1.0) if min(size) * part >= _COARSEST else min(_COARSEST / min(size), 1.0)
    if shorter < 1:
        scales = scales * shorter
        size, fit, why = _sized(look, plane, scales, shapes)
    sizes = shapes[:, plane] * scales
    scaling, why_scaled = volume_scaling(look)
    image = kept_share(look) < CROPPED
    seen = next(each for each in AXES.values() if each.name == axis.plane)
    spacing = [round(float(target[along]) / shorter, 4) for along in (seen.rows, seen.columns)]
    pixels = f"{_words(target[plane] / shorter)} mm"
    resampled = f"pixels differ: resampled to the median, {pixels}"
    if shorter < 1:
        resampled = (
            f"larger than the data's pixels, {_words(target[plane])} mm, so that the time holds enough slices; "
            "predictions have the data's own"
        )
    return Cut(
        (
            *_aligned(look),
            Choice("slices.axis", axis.plane, axis.why),
            Choice("slices.size", list(size), why),
            Choice("slices.fit", fit),
            Choice("slices.keep", "image" if image else "all", "slices that hold anything" if image else ""),
            Choice("slices.transforms", [scaling], why_scaled),
            *([] if alike and shorter == 1 else [Choice("slices.spacing", spacing, resampled)]),
        ),
        size,
        int(np.median(shapes[:, axis.axis]) * _cases(look) * _tiles(sizes, size, fit)),
        mirrored=False,
    )


def _aligned(look: Look) -> Iterator[Choice]:
    """That channels on several grids are resampled, onto that which most label maps lie on."""
    apart = [each.fitting for each in look.seen if each.fitting]
    if not apart:
        return
    counts = Counter(name for fitting in apart for name in fitting)
    first = max(look.fields["channels"], key=lambda name: counts[name])  # of equals the first
    of = "label maps lie on that" if any(each.labels for each in look.seen) else "the first is taken"
    why = (
        f"channels of {many(len(apart), 'case')} lie on several grids: {of} of {first}, onto which the others are "
        "resampled where the files say they lie; nothing is registered"
    )
    yield Choice("slices.align", {"reference": first}, why)


def _sized(
    look: Look, plane: list[int], scales: NDArray[np.float64] | float, shapes: NDArray[np.float64]
) -> tuple[tuple[int, int], str, str]:
    """Size of slices whose sides become so many times as long, the way to it, and why."""
    sizes = shapes[:, plane] * scales
    return _cropped(look, plane, scales, sizes) or _size(sizes)


def _words(sizes: NDArray[np.float64]) -> str:
    return " x ".join(f"{each:.3g}" for each in sizes)


def _size(sizes: NDArray[np.float64]) -> tuple[tuple[int, int], str, str]:
    """Size of slices, the way to it, and why."""
    middle, largest = np.median(sizes, axis=0), sizes.max(axis=0)
    if largest.max() <= _LARGEST and (largest <= _MUCH_LARGER * middle).all():
        height, width = divisible(largest.tolist(), 2 ** halvings([int(each) for each in largest]))
        return (
            (height, width),
            "pad",
            f"the largest slice, {_words(largest)}, made divisible by what the network halves",
        )
    side = np.minimum(np.maximum(middle, 32), _TILE)
    height, width = divisible(side.tolist(), 2 ** halvings([int(each) for each in side]))
    height, width = min(height, _TILE), min(width, _TILE)
    return (
        (height, width),
        "tile",
        f"sizes differ or are large (median {_words(middle)}, up to {_words(largest)}): cut into tiles",
    )


def _cropped(
    look: Look, plane: list[int], scales: NDArray[np.float64] | float, sizes: NDArray[np.float64]
) -> tuple[tuple[int, int], str, str] | None:
    """The middle of the slices, if all that label maps mark lies well within it and it is much smaller; else None."""
    seen = [each for each in look.seen if each.shape is not None]
    if len(seen) < max(_cases(look), _ENOUGH) or any(each.window is None for each in seen):
        return None  # of large data sets not all are read
    if look.fields.get("derive") is not None:  # a class that no label map marks
        return None
    marked = (np.array([each.window for each in seen], float)[:, plane] * scales).max(axis=0) * _MARGIN
    size = divisible(marked.tolist(), 2 ** halvings([int(each) for each in marked]))
    if np.prod(size) > _MUCH_SMALLER * np.prod(np.median(sizes, axis=0)) or max(size) > _LARGEST:
        return None
    why = (
        f"slices are cropped to their middle: all that the {len(seen)} label maps mark lies within {_words(marked)}, "
        "a tenth added. What lies outside is never found: enlarge it where patients lie less centred"
    )
    height, width = size
    return (height, width), "pad", why


def _tiles(sizes: NDArray[np.float64], size: tuple[int, int], fit: str) -> float:
    """Tiles of a slice, about; 1 where it is padded or cropped."""
    if fit != "tile":
        return 1.0
    return float(max(np.mean(np.ceil(sizes / np.array(size)).prod(axis=1)), 1.0))


def cut_pictures(look: Look) -> Cut:
    """Pictures at their own resolution, whole or in tiles."""
    shapes, _ = _grids(look)
    sizes = shapes[:, [1, 0]]  # rows, columns
    size, fit, why = _size(sizes)
    return Cut(
        (
            Choice("slices.size", list(size), why),
            Choice("slices.fit", fit),
            Choice("slices.keep", "all"),
            Choice("slices.transforms", [_standardised(look)], "each picture to mean 0 and deviation 1"),
        ),
        size,
        int(_cases(look) * _tiles(sizes, size, fit) * float(shapes[:, 2].mean())),  # a file may hold several
    )


def _standardised(look: Look) -> dict[str, Any]:
    colours = look.fields["pictures"]["channels"] == "rgb"
    separate = {} if colours else {"channel_wise": True}  # colours keep their proportions
    return {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"], **separate}


def cut_whole_pictures(look: Look, part: float = 1.0) -> Cut:
    """Pictures that have a class each, brought to one size.

    Args:
        look: At the folder.
        part: Of the side that they should have; smaller ones take less time.
    """
    shapes, _ = _grids(look)
    sizes = shapes[:, [1, 0]]
    middle = np.median(sizes, axis=0)
    side = min(max(float(middle.min()), 32), _OF_CLASSES) * part
    side = max(32 * round(side / 32), 32)
    less = "" if part == 1 else f", and {part:g} of its side takes the time that there is"
    why = f"stretched to it; the median picture has {_words(middle)} pixels{less}"
    return Cut(
        (
            Choice("slices.size", [side, side], why),
            Choice("slices.fit", "resize"),
            Choice("slices.keep", "all"),
            Choice("slices.transforms", [_standardised(look)], "each picture to mean 0 and deviation 1"),
        ),
        (side, side),
        int(_cases(look) * float(shapes[:, 2].mean())),
    )
