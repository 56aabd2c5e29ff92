"""Which structures of a DICOM SEG or RTSTRUCT are which value of a label map, and on which slices they lie."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medseg.geometry.grid import TOLERANCE_VOXELS
from medseg.images.dicom.series.stack import LPS_TO_RAS, Series
from medseg.images.refusal import RefusedError

Structures = tuple[tuple[int, tuple[str, ...]], ...]
"""Of each class: its stored value, and the names of its structures; later classes win over earlier ones."""

OVERLAP = "structures overlap in {count} voxels: there the class that the manifest names later counts"
ELSEWHERE = "it says another frame of reference than its series, though it refers to images of the series"

_OTHER = "Name the series that it was drawn on as the first channel, or leave the case out."


@dataclass(frozen=True)
class Named:
    """Structures by the values that they stand for.

    Attributes:
        numbers: Of each value, in the order in which they are drawn, the numbers of its structures.
        unnamed: How many structures stand for none.
    """

    numbers: tuple[tuple[int, tuple[int, ...]], ...]
    unnamed: int

    def notes(self) -> tuple[str, ...]:
        """That structures are left out, if some are."""
        if not self.unnamed:
            return ()
        verb = "structure is of no class" if self.unnamed == 1 else "structures are of no class"
        return (f"{self.unnamed} {verb} of the manifest, and count as background",)

    def empty(self, filled: Container[int], what: str) -> tuple[str, ...]:
        """That structures of a class hold nothing, if some do.

        Args:
            filled: Numbers of the structures that hold something.
            what: What they would hold, in the singular.
        """
        count = len({number for _, numbers in self.numbers for number in numbers if number not in filled})
        if count == 0:
            return ()
        if count == 1:
            return (f"1 structure of a class has no {what}, and counts as not there",)
        return (f"{count} structures of a class have no {what}, and count as not there",)


def named(labels: Mapping[int, str], wanted: Structures, what: str) -> Named:
    """The structures of each value.

    Args:
        labels: Names of the structures of a file by their numbers.
        wanted: Names of the manifest.
        what: What the file calls its structures, in the plural.

    Raises:
        RefusedError: The file holds none of them. Names are not told: people write them, and may name somebody.
    """
    found = [
        (value, tuple(number for number, label in labels.items() if any(fits(label, name) for name in names)))
        for value, names in wanted
    ]
    used = {number for _, numbers in found for number in numbers}
    if not used:
        raise RefusedError(
            f"it holds {len(labels)} {what}, and none has a name of 'layout.mask.structures' of the manifest",
            "Add its names there, as a viewer shows them, or leave the case out.",
        )
    return Named(tuple(found), len(labels.keys() - used))


def fits(label: str, name: str) -> bool:
    """Whether a label is a name, in which `*` is any text; upper and lower case are one."""
    rest, pieces = label.strip().casefold(), name.strip().casefold().split("*")
    if len(pieces) == 1:
        return rest == pieces[0]
    first, *middle, last = pieces
    if not rest.startswith(first) or len(rest) < len(first) + len(last) or not rest.endswith(last):
        return False
    rest = rest[len(first) : len(rest) - len(last)]
    for piece in middle:
        at = rest.find(piece)
        if at < 0:
            return False
        rest = rest[at + len(piece) :]
    return True


@dataclass(frozen=True)
class Slices:
    """Finds places of a series.

    Attributes:
        series: Which.
        elsewhere: Whether what is drawn says another frame of reference than the series has. Some programs write one
            of their own: it is taken for that of the series where images of the series are referred to.
    """

    series: Series
    elsewhere: bool = False

    @classmethod
    def of(cls, series: Series, references: Sequence[str]) -> Slices:
        """The places of a series for what is drawn in one of some frames of reference, where it says so."""
        own = {plane.reference for plane in series.planes} - {""}
        others = set(references) - {""}
        return cls(series, bool(own) and bool(others) and not own & others)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the frame of reference."""
        return (ELSEWHERE,) if self.elsewhere else ()

    def indices(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Voxel indices (N, 3) of points (N, 3) of the patient, mm, LPS; of the affine's voxels, not rounded."""
        inverse = np.linalg.inv(LPS_TO_RAS @ self.series.affine)
        return np.asarray(points @ inverse[:3, :3].T + inverse[:3, 3])

    def number(
        self, along: NDArray[np.float64], referenced: Iterable[tuple[str, int]], at: float, what: str
    ) -> int:
        """The slice that something lies on.

        Args:
            along: Its places along the third axis, as indices.
            referenced: Which images it says that it was drawn on: instance, and frame from 0.
            at: Its place in mm, for messages.
            what: What it is, in words.

        Raises:
            RefusedError: It lies on none, or on another than it says.
        """
        number = round(float(along.mean()))
        if np.abs(along - number).max() > TOLERANCE_VOXELS:
            raise RefusedError(f"{what} at {at:.2f} mm lies between slices, or across them", _OTHER)
        if not 0 <= number < self.series.shape[2]:
            raise RefusedError(
                f"{what} at {at:.2f} mm lies beyond the {self.series.shape[2]} slices of the series: some are "
                "missing, or it was drawn on another",
                "Add the missing files, or leave the case out.",
            )
        theirs = [self.images[each] for each in referenced if each in self.images]
        if self.elsewhere and not theirs:
            raise RefusedError(
                f"{what} at {at:.2f} mm was drawn in another frame of reference than the series is in, and refers to "
                "none of its images",
                _OTHER,
            )
        if theirs and number not in theirs:
            raise RefusedError(
                f"{what} at {at:.2f} mm refers to an image at another place: its references are wrong", _OTHER
            )
        return number

    @cached_property
    def images(self) -> dict[tuple[str, int], int]:
        """The number of each slice by its instance and frame."""
        return {(plane.instance, plane.frame): number for number, plane in enumerate(self.series.planes)}
