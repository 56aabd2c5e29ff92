"""Whether an image and its label map still show the same places, whatever was done to intensities.

A transform is tried on a flat image, and once more with a spot at the same place of image and label map. Where the
two results differ, there the spot has come to: noise is the same in both and falls out, and what dims, inverts or
stretches intensities leaves the spot where it was. One that was blurred or shuffled says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

Item = Mapping[str, torch.Tensor]

_FLAT, _SPOT = 0.3, 0.8  # intensities; a frame of 0 and 1 around them keeps the range of both images the same
_SIDE = 3  # pixels of a spot
_ROWS, _COLUMNS = (0.2, 0.8), (0.25, 0.75)  # of a slice; off its axes and diagonals, so that no mirror hides
_FAINT = 1e-4  # what a spot may leave and still be gone
_SCATTERED = (
    2.0  # pixels from its middle, root mean square: a spot has 1.2, and one that was shuffled or smeared 3
)
_TRACE = 0.05  # of the most that a spot leaves: it is there, however unevenly it was dimmed
_COVERED = (
    0.4  # of a spot; what is coarser than the slice shifts by a pixel, what lies two beside it covers a third
)
_REMAPPED = 0.99  # of the pixels of a class


def pattern(shapes: Mapping[str, tuple[int, ...]], classes: int) -> dict[str, torch.Tensor]:
    """A flat image in a frame, and a label map of one slanting stripe a class.

    Args:
        shapes: `image` (C, H, W) and `label` (1, H, W).
        classes: How many labels there are, from 0 on; more than 4 are not shown.
    """
    channels, height, width = shapes["image"]
    plane = torch.full((height, width), _FLAT)
    plane[-1], plane[:, 0], plane[0], plane[:, -1] = 1.0, 1.0, 0.0, 0.0
    # no spot lies at the edge of a stripe, and each has a twentieth of the slice, whatever the number of classes
    slant = torch.linspace(0, 0.41, height)[:, None] + torch.linspace(0, 0.51, width)[None]
    label = (slant * min(classes, 4)).to(torch.uint8)
    return {"image": plane.repeat(channels, 1, 1), "label": label[None]}


def spotted(item: Item, place: int, classes: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The pattern with a spot in the image, and another label there; and where that is, (H, W).

    Args:
        item: As `pattern` gives it.
        place: Which of four, counted on without end.
        classes: As of `pattern`.
    """
    height, width = item["label"].shape[1:]
    top, left = int(height * _ROWS[place % 2]) - 1, int(width * _COLUMNS[place // 2 % 2]) - 1
    spot = torch.zeros(height, width, dtype=torch.bool)
    spot[max(0, top) : top + _SIDE, max(0, left) : left + _SIDE] = True
    label = torch.where(spot, (item["label"] + 1) % min(classes, 4), item["label"])
    return {"image": torch.where(spot, _SPOT, item["image"]), "label": label.to(torch.uint8)}, spot


@dataclass(frozen=True)
class Shown:
    """What a transform made of the pattern, without and with a spot."""

    without: Item
    within: Item
    spot: torch.Tensor

    @property
    def apart(self) -> bool:
        """Whether the spot of a channel lies elsewhere than that of the label map."""
        label = (self.within["label"] != self.without["label"])[0]
        return any(self._apart(image, label) for image in self._images())

    @property
    def stays(self) -> bool:
        """Whether the spot of each channel is where it was."""
        images = self._images()
        return bool(images) and not any(self._apart(image, self.spot) for image in images)

    def _images(self) -> list[torch.Tensor]:
        """Where each channel shows the spot, (H, W); those that do not are left out."""
        found = []
        for channel in (self.within["image"].double() - self.without["image"].double()).abs():
            most = channel.max()
            if most > _FAINT and _spread(channel >= most / 2) <= _SCATTERED:
                found.append(channel >= _TRACE * most)
        return found

    def _apart(self, image: torch.Tensor, label: torch.Tensor) -> bool:
        if not label.any():
            return False
        if torch.equal(label, self.spot):
            return self._beside(image)
        if torch.equal(image, self.spot):
            return self._beside(label)
        # both have moved: borders may be padded in two ways, so that it is enough if they touch
        one, other = image.nonzero().double(), label.nonzero().double()
        return bool(torch.cdist(one, other, p=torch.inf).min() > 1)

    def _beside(self, region: torch.Tensor) -> bool:
        """Whether a region covers little of the spot, and is no part of it."""
        shared = int((region & self.spot).sum())
        return shared < _COVERED * min(int(region.sum()), int(self.spot.sum()))


def _spread(region: torch.Tensor) -> float:
    """Root mean square distance of its pixels from their middle."""
    places = region.nonzero().double()
    return float((places - places.mean(0)).square().sum(1).mean().sqrt())


def remapped(before: torch.Tensor, after: torch.Tensor) -> dict[int, int]:
    """The labels that became another one as a whole, where they stand.

    Args:
        before: (1, H, W), as `pattern` gives it.
        after: (1, H, W).
    """
    found = {}
    for value in before.unique().tolist():
        new, counts = after[before == value].unique(return_counts=True)
        most = int(new[counts.argmax()])
        if most != value and counts.max() >= _REMAPPED * counts.sum():
            found[value] = most
    return found
