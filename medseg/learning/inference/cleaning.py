"""Post-processing of label maps: the largest component, the smallest size, holes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medseg.learning.settings import is_number

_TOUCHING = ndimage.generate_binary_structure(3, 3)  # voxels that share a corner are of one component


@dataclass(frozen=True)
class Cleaning:
    """What is done with the voxels of one class; what it loses becomes background.

    Attributes:
        index: Of the class, 1 or more.
        largest: Whether only the largest of its components is kept.
        least: The smallest volume of a component that is kept, mm3; of pictures, whose pixels have no size, pixels.
        fill: Whether background that the class encloses in a slice becomes it.
    """

    index: int
    largest: bool = False
    least: float = 0.0
    fill: bool = False

    def __call__(self, labels: NDArray[np.uint8], voxel_volume: float, along: int) -> NDArray[np.uint8]:
        """Clean a label map.

        Args:
            labels: (I, J, K) class indices; left as they are.
            voxel_volume: Of a voxel, mm3.
            along: The axis that slices are counted along, 0 to 2.

        Returns:
            (I, J, K) class indices.
        """
        where = ndimage.find_objects((labels == self.index).astype(np.uint8))
        if not where:
            return labels
        cleaned = labels.copy()
        box = cleaned[where[0]]  # a view: holes and components lie within
        mask = box == self.index
        if self.largest or self.least > 0:
            kept = self._kept(mask, voxel_volume)
            box[mask & ~kept] = 0
            mask = kept
        if self.fill:
            for plane, drawn in zip(np.moveaxis(mask, along, 0), np.moveaxis(box, along, 0), strict=True):
                drawn[ndimage.binary_fill_holes(plane) & (drawn == 0)] = self.index
        return cleaned

    def _kept(self, mask: NDArray[np.bool_], voxel_volume: float) -> NDArray[np.bool_]:
        parts, count = ndimage.label(mask, _TOUCHING)
        sizes = np.bincount(parts.ravel(), minlength=count + 1) * voxel_volume
        sizes[0] = -1  # what is not of the class
        keep = sizes >= max(self.least, 0)
        if self.largest:
            keep &= np.arange(count + 1) == sizes.argmax()
        kept: NDArray[np.bool_] = keep[parts]
        return kept

    def words(self) -> str:
        """What is done, as a person reads it."""
        done = [
            *(["the largest component alone"] if self.largest else []),
            *([f"components of {self.least:g} mm3 (of pictures: pixels) or more"] if self.least > 0 else []),
            *(["holes filled"] if self.fill else []),
        ]
        return ", ".join(done)


def component_volumes(
    labels: NDArray[np.uint8], truth: NDArray[Any], index: int, voxel_volume: float
) -> list[float]:
    """Volumes, mm3, of the predicted components of a class that touch none of its truth."""
    parts, count = ndimage.label(labels == index, _TOUCHING)
    touched = set(np.unique(parts[truth == index]).tolist())
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * voxel_volume
    return [float(sizes[part]) for part in range(1, count + 1) if part not in touched]


def cleanings_of(given: Any, classes: int) -> tuple[Cleaning, ...]:
    """Cleanings as a model's description has them.

    Args:
        given: A list of mappings.
        classes: How many there are.

    Raises:
        ValueError: They are none, or of other classes.
    """
    try:
        found = tuple(Cleaning(**each) for each in given)
    except TypeError:
        found = None
    if found is None or not all(_whole(each, classes) for each in found):
        raise ValueError(f"cleaning is {given!r}, expected a list of index, largest, least and fill")
    return found


def _whole(cleaning: Cleaning, classes: int) -> bool:
    index, least = cleaning.index, cleaning.least
    return (
        type(index) is int
        and 0 < index < classes
        and type(cleaning.largest) is bool
        and type(cleaning.fill) is bool
        and is_number(least)
        and 0 <= least < float("inf")
    )


def as_given(cleaning: Sequence[Cleaning]) -> list[dict[str, Any]]:
    """What `cleanings_of` takes."""
    return [asdict(each) for each in cleaning]


def cleaned(
    labels: NDArray[np.uint8], cleaning: Sequence[Cleaning], voxel_volume: float, along: int
) -> NDArray[np.uint8]:
    """A label map (I, J, K) after one cleaning and then the next."""
    for each in cleaning:
        labels = each(labels, voxel_volume, along)
    return labels
