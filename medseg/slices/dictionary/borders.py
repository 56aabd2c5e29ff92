"""Frames and letters at the borders of pictures: what tells where an image is from, and nothing of the patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import MapTransform
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from medseg.slices.transforms import as_array

_EVEN = 0.05  # share of the range of greys by which a line of one grey may vary: JPEG leaves as much
_REST = (2, 98)  # percentiles of a line between which it is one grey: a scratch is no picture
_DARK = 1  # percentile of what is inside, which stands for black
_BESIDE = 0.01  # share of the shorter side by which letters are outside of the head
_ABOVE = 0.15  # share of the range above black, from which on a place shows something


class MaskBordersd(MapTransform):
    """Make frames, margins and letters at the borders of a picture (C, I, J, K) as dark as its darkest places.

    In each plane (I, J) two things are masked. Lines at an edge that are of one grey, bright or dark, one after the
    other, which are margins and frames. And, near the edges of what is left, what is brighter than the ground and no
    longer than `longest`, outside of the convex hull of all that is longer, which is the head: letters and marks.
    Letters that touch the head stay, and so do dark letters on bright ground. Nothing is moved or cropped.

    Args:
        keys: Of images; a label map stays as it is.
        near: How far letters may reach from an edge, as a share of the side, from 0 (no letters) to 0.5.
        longest: The longest side of a letter, or of what is written in one piece, as a share of the shorter side.
        active: False leaves images as they are.
        allow_missing_keys: Leave out keys that are not there.

    Raises:
        ValueError: A setting is out of its range.
    """

    def __init__(
        self,
        keys: str | Sequence[str] = "image",
        near: float = 0.2,
        longest: float = 0.15,
        active: bool = True,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        for name, value in (("near", near), ("longest", longest)):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value <= 0.5:
                raise ValueError(f"{name} is {value!r}, expected a number from 0 to 0.5")
        if not isinstance(active, bool):
            raise ValueError(f"active is {active!r}, expected true or false")  # noqa: TRY004
        self.near, self.longest, self.active = near, longest, active

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Mask each key."""
        done = dict(data)
        for key in self.key_iterator(done) if self.active else ():
            done[key] = self._masked(done[key])
        return done

    def _masked(self, image: torch.Tensor) -> torch.Tensor:
        found = image.clone()
        voxels = as_array(torch.as_tensor(image))
        for plane in range(voxels.shape[-1]):
            channels = voxels[..., plane].astype(np.float64)
            mask = torch.from_numpy(borders(channels, near=self.near, longest=self.longest))
            inside = channels[:, ~mask.numpy()]
            for channel, black in enumerate(np.percentile(inside, _DARK, axis=1) if inside.size else ()):
                of_channel = found[channel, ..., plane]
                found[channel, ..., plane] = torch.where(
                    mask, torch.as_tensor(black).to(of_channel), of_channel
                )
        return found


def borders(picture: NDArray[np.float64], *, near: float = 0.2, longest: float = 0.15) -> NDArray[np.bool_]:
    """Where a picture (C, I, J) has margins, frames and letters: (I, J). Nothing of a picture of one grey.

    Args:
        picture: Finite.
        near: As of `MaskBordersd`.
        longest: As of `MaskBordersd`.
    """
    grey = picture.mean(axis=0)
    found = np.ones(grey.shape, dtype=bool)
    inner = _within_margins(grey)
    kept = grey[inner]
    if min(kept.shape) < 2:
        return ~found
    found[inner] = _letters(kept, near, longest * min(grey.shape))
    return found


def _within_margins(grey: NDArray[np.float64]) -> tuple[slice, slice]:
    """What is left where lines of one grey are peeled off at all four edges, until none is."""
    most = _EVEN * float(np.ptp(grey))
    top, left, (bottom, right) = 0, 0, grey.shape

    def even(line: NDArray[np.float64]) -> bool:
        low, high = np.percentile(line, _REST)
        return bool(high - low <= most)

    peeled = True
    while peeled and top < bottom and left < right:
        before = (top, bottom, left, right)
        top += even(grey[top, left:right])
        bottom -= top < bottom and even(grey[bottom - 1, left:right])
        if top < bottom:
            left += even(grey[top:bottom, left])
            right -= left < right and even(grey[top:bottom, right - 1])
        peeled = before != (top, bottom, left, right)
    return slice(top, bottom), slice(left, right)


def _letters(grey: NDArray[np.float64], near: float, longest: float) -> NDArray[np.bool_]:
    """Small bright things near an edge that are outside of all that is large."""
    low, high = np.percentile(grey, (_DARK, 100 - _DARK))
    labels, _ = ndimage.label(grey > low + _ABOVE * (high - low), structure=np.ones((3, 3)))
    places = ndimage.find_objects(labels)
    sides = [max(each.stop - each.start for each in place) for place in places]
    large = np.array([side > longest for side in sides], dtype=bool)
    found = np.zeros(grey.shape, dtype=bool)
    if not large.any() or not near:
        return found
    outside = _outside(large[labels - 1] & (labels > 0))
    rows, columns = grey.shape
    for number in np.flatnonzero(~large):
        (top, bottom), (left, right) = ((each.start, each.stop) for each in places[number])
        reach = min(bottom / rows, right / columns, (rows - top) / rows, (columns - left) / columns)
        if reach <= near and outside(np.array([top + bottom, left + right]) / 2):
            found[places[number]] |= labels[places[number]] == number + 1
    # letters have soft edges, which are below the limit
    return ndimage.binary_dilation(found, iterations=2) & (found | (labels == 0))


def _outside(shown: NDArray[np.bool_]) -> Callable[[NDArray[np.float64]], bool]:
    """Tells of a place whether it is outside of the convex hull of what is shown: a head has parts of its own."""
    try:
        faces = ConvexHull(np.argwhere(shown)).equations
    except QhullError:  # of a line there is no inside
        return lambda _: True
    slack = _BESIDE * min(shown.shape)
    return lambda place: bool((faces[:, :2] @ place + faces[:, 2] > slack).any())
