"""What the numbers in a label map mean: stored values to class indices and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.manifest.numbered import graded, has_rims, made_up, mostly_in_pieces
from medseg.datasets.unannotated import UNANNOTATED
from medseg.geometry.background import is_background
from medseg.images.brighter import half_way
from medseg.images.refusal import RefusedError

#: What predictions write for a class whose objects are numbered: white, in a picture.
_INSTANCE = 255

#: How many unknown values a message lists before it only counts them.
_LISTED = 8

_WHOLE = "Save it as whole numbers, resampled by the nearest neighbour if at all, or leave the case out."
_NAME_THEM = (
    "Use the manifest of this edition of the data, name the value under 'label_values' of the manifest, or leave "
    "the case out."
)
_NUMBER_THEM = (
    "Number the objects from 1 (in 32 bits, so that large numbers do not turn negative), name what is no object "
    "under 'label_values' of the manifest, or leave the case out."
)
_RIMS = (
    "values form rims one pixel broad between lower and higher ones: where no such structure was drawn, it was "
    "interpolated, and these are no classes; save it anew, resampled by the nearest neighbour"
)


def _brighter(high: int) -> str:
    """What to do about a mask with values between those that it should have: half-way divides them."""
    return (
        "If it was resized, or saved as JPEG at some time, save it anew as whole labels; or, if what is brighter is "
        f"foreground, set {half_way(high)} in the manifest, after which a mask holds 0 and 1. Else leave the "
        "case out."
    )


@dataclass(frozen=True)
class Derive:
    """Two classes that the data set does not store, distinguished by the images.

    Attributes:
        value: The stored value that stands for both.
        outside: Class of voxels where every channel has its background value.
        inside: Class of all other voxels with that stored value.
    """

    value: int
    outside: str
    inside: str


@dataclass(frozen=True)
class LabelRule:
    """Stored label values and their classes.

    Attributes:
        classes: Names in order; an index into it is the class of a voxel.
        values: Class name of each stored value, without the value that `derive` splits.
        derive: Classes that are distinguished by the images, if any.
        instances: Class of every whole value above 0 that is not among `values`: each numbers an object.
        ignored: Values of voxels that nobody annotated: they have no class, and nothing counts them.
    """

    classes: tuple[str, ...]
    values: Mapping[int, str]
    derive: Derive | None = None
    instances: str | None = None
    ignored: tuple[int, ...] = ()

    @property
    def instance_value(self) -> int:
        """The one value that stands for all objects of `instances` where they are not distinguished."""
        taken = {*self.values, *self.ignored}
        return next(value for value in (_INSTANCE, *range(1, _INSTANCE)) if value not in taken)

    @property
    def foreground(self) -> tuple[int, ...]:
        """Indices of the classes that a value other than 0 stands for, such as the tumour classes."""
        marked = {name for value, name in self.values.items() if value != 0} | {self.instances}
        derived = {self.derive.outside, self.derive.inside} if self.derive else set()
        zero = {self.values.get(0)} | (derived if self.derive and self.derive.value == 0 else set())
        marked |= derived - zero
        return tuple(i for i, name in enumerate(self.classes) if name in marked - zero)

    def counts(self, stored: NDArray[Any]) -> dict[int, int]:
        """Voxels of each stored value.

        Raises:
            DataError: A value is unknown, not whole, or not finite; the message says which and how often.
        """
        values, voxels = _occurring(stored)
        known = {*self.values, *self.ignored} | ({self.derive.value} if self.derive else set())
        if values.dtype.kind == "f" and not np.all(np.isfinite(values)):
            raise RefusedError("the label map holds NaN or infinite values", _WHOLE)
        if values.dtype.kind == "f" and (broken := values[values != np.round(values)]).size:
            raise RefusedError(
                f"the label map was interpolated: it holds {len(values)} distinct values from {values[0]:.4g} to "
                f"{values[-1]:.4g}, {broken.size} of them broken, such as {float(broken[0])!r}; expected whole "
                f"numbers{self._known()}",
                _WHOLE,
            )
        unknown = [
            (int(v), int(n))
            for v, n in zip(values, voxels, strict=True)
            if int(v) not in known and not (self.instances and v > 0)
        ]
        if unknown:
            shown = ", ".join(f"{value} in {count} places" for value, count in unknown[:_LISTED])
            more = f" and {len(unknown) - _LISTED} further values" if len(unknown) > _LISTED else ""
            grey = len(unknown) > len(known) and min(known) < unknown[0][0] <= unknown[-1][0] < max(known)
            raise RefusedError(
                f"the label map holds {shown}{more}; the manifest declares{self._known().removeprefix(' of')}",
                _brighter(max(known)) if grey else _NAME_THEM if self.instances is None else _NUMBER_THEM,
            )
        return {int(v): int(n) for v, n in zip(values, voxels, strict=True)}

    def refuse_made_up(self, stored: NDArray[Any]) -> None:
        """Refuse a map (I, J, K) of whole numbers whose objects interpolation or JPEG made up.

        Raises:
            DataError: It is one.
        """
        if self.instances is not None and made_up(
            np.where(np.isin(stored, [*self.values, *self.ignored]), 0, stored)
        ):
            raise RefusedError(
                "the label map was interpolated, or saved as JPEG at some time: of its "
                f"{np.unique(stored).size} distinct values some form rims one pixel broad along edges, which would "
                "count as objects",
                _brighter(int(stored.max())),
            )

    def odd(self, stored: NDArray[Any]) -> tuple[str, ...]:
        """What is odd about a map that can be used, to be noted."""
        marked = self.marked(stored)
        if self.instances is not None and mostly_in_pieces(marked):
            return ("most of its numbers of objects occur in several pieces that do not touch",)
        if self.instances is not None and graded(marked):
            return (
                "its numbers of objects rise by small steps from pixel to pixel, as shades of one object do",
            )
        if self.instances is None and has_rims(marked):
            return (_RIMS,)
        return ()

    def marked(self, stored: NDArray[Any]) -> NDArray[Any]:
        """The stored values, and 0 in place of those that are ignored."""
        return np.where(np.isin(stored, self.ignored), 0, stored) if self.ignored else stored

    def encode(self, stored: NDArray[Any], image: NDArray[Any]) -> NDArray[np.uint8]:
        """Class index of each voxel.

        Args:
            stored: (I, J, K) label map as stored.
            image: (C, I, J, K) all channels of the same case, raw intensities; read only by `derive`.

        Returns:
            (I, J, K) indices into `classes`, and `UNANNOTATED` where a value is ignored. A stored label always wins
            over a derived class.

        Raises:
            DataError: As `counts`.
        """
        found = self.counts(stored)
        index = {name: i for i, name in enumerate(self.classes)}
        encoded = np.zeros_like(stored, dtype=np.uint8)  # in the memory order of what is compared with it
        for value in found:
            if value in self.values:
                encoded[stored == value] = index[self.values[value]]
        if self.instances is not None:
            encoded[(stored > 0) & ~np.isin(stored, list(self.values))] = index[self.instances]
        if self.ignored:
            encoded[np.isin(stored, self.ignored)] = UNANNOTATED
        if self.derive is not None and self.derive.value in found:
            free = stored == self.derive.value
            outside = is_background(image)
            encoded[free & outside] = index[self.derive.outside]
            encoded[free & ~outside] = index[self.derive.inside]
        return encoded

    def _known(self) -> str:
        named = sorted(set(self.values) | ({self.derive.value} if self.derive else set()))
        ignored = f" (and {sorted(self.ignored)} to be ignored)" if self.ignored else ""
        return f" of {named}{ignored}" + (
            "" if self.instances is None else ", and objects that are numbered from 1"
        )

    def collapsed(self, counts: Mapping[int, int]) -> dict[int, int]:
        """Counts of stored values, known or not, with all numbered objects under `instance_value`."""
        tallied: dict[int, int] = {}
        for value, count in counts.items():
            own = value in self.values or value in self.ignored
            numbered = self.instances is not None and value > 0 and not own
            key = self.instance_value if numbered else value
            tallied[key] = tallied.get(key, 0) + count
        return tallied

    def decode(self, encoded: NDArray[Any]) -> NDArray[Any]:
        """Stored value of each class index: the data set's own values, derived classes included.

        The result has the smallest of uint8, int16 and int32 that holds every value of the rule; NIfTI has
        all three, and a manifest refuses what does not fit the last.
        """
        value_of = {} if self.instances is None else {self.instances: self.instance_value}
        value_of |= {name: value for value, name in sorted(self.values.items(), reverse=True)}
        if self.derive is not None:
            value_of |= {self.derive.outside: self.derive.value, self.derive.inside: self.derive.value}
        table = np.array([value_of[name] for name in self.classes])
        small = next(
            each
            for each in (np.uint8, np.int16, np.int32)
            if np.iinfo(each).min <= table.min() and table.max() <= np.iinfo(each).max
        )
        return table.astype(small)[encoded]


def _occurring(stored: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Distinct values and how often each occurs; counting small whole numbers beats sorting all voxels."""
    if stored.dtype.kind not in "iu" or not stored.size or stored.min() < 0 or stored.max() > 10_000:
        return np.unique(stored, return_counts=True)
    voxels = np.bincount(stored.ravel(order="K"))
    values = np.flatnonzero(voxels)
    return values, voxels[values]
