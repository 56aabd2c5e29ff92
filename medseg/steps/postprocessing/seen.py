"""Predicted label maps of validation cases, kept small, and how well they are."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medseg.learning.inference.cleaning import Cleaning, cleaned
from medseg.learning.scores.counts import confusion, counts_of, dice
from medseg.learning.scores.volumes import VolumeScorer


@dataclass(frozen=True)
class _Map:
    """A label map (I, J, K), which is a hundredth of its size when compressed."""

    packed: bytes
    shape: tuple[int, ...]

    @classmethod
    def of(cls, labels: NDArray[np.uint8]) -> _Map:
        return cls(zlib.compress(np.ascontiguousarray(labels).tobytes(), 1), labels.shape)

    def opened(self) -> NDArray[np.uint8]:
        return np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.shape)


@dataclass(frozen=True)
class SeenCase:
    """One validation case.

    Attributes:
        group: Its patient.
        voxel_volume: mm3.
        along: The axis that its slices are counted along.
        scored: (S,) whether a slice counts; by slice, others have another role.
    """

    group: str
    voxel_volume: float
    along: int
    scored: NDArray[np.bool_]
    _truth: _Map
    _predicted: _Map

    @classmethod
    def of(
        cls,
        group: str,
        truth: NDArray[np.uint8],
        predicted: NDArray[np.uint8],
        voxel_volume: float,
        along: int,
        scored: NDArray[np.bool_],
    ) -> SeenCase:
        """Keep two label maps (I, J, K), RAS+."""
        return cls(group, voxel_volume, along, scored, _Map.of(truth), _Map.of(predicted))

    @property
    def truth(self) -> NDArray[np.uint8]:
        """(I, J, K) class indices."""
        return self._truth.opened()

    @property
    def predicted(self) -> NDArray[np.uint8]:
        """(I, J, K) class indices, before any cleaning."""
        return self._predicted.opened()

    def matrix(self, cleaning: Sequence[Cleaning], classes: int) -> NDArray[np.int64]:
        """(K, K) voxels by true and predicted class after cleanings."""
        labels = cleaned(self.predicted, cleaning, self.voxel_volume, self.along)
        truth, labels = (np.moveaxis(each, self.along, 0)[self.scored] for each in (self.truth, labels))
        return confusion(truth, labels, classes)


@dataclass(frozen=True)
class SeenCases:
    """All of them, and the names that are scored.

    Attributes:
        cases: At least one.
        classes: Names of classes, in the order of their indices.
        regions: Class indices that each region joins.
        select: Names whose mean Dice is the score.
    """

    cases: Sequence[SeenCase]
    classes: Sequence[str]
    regions: Mapping[str, Sequence[int]]
    select: Sequence[str]

    @cached_property
    def _members(self) -> Mapping[str, tuple[int, ...]]:
        return VolumeScorer(self.classes, self.regions).members

    def scored(self, cleaning: Sequence[Cleaning]) -> Scored:
        """Dice of each class, region and patient after cleanings."""
        found: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in self._members}
        for case in self.cases:
            matrix = case.matrix(cleaning, len(self.classes))
            for name, members in self._members.items():
                counts = counts_of(matrix, members)
                value = float(dice(*counts))
                # 1 where a case rightly has nothing of it: left out, patients would come and go between the trials
                found[name][case.group].append(1.0 if np.isnan(value) else value)
        patients = {
            name: {group: float(np.mean(each)) for group, each in mine.items()}
            for name, mine in found.items()
        }
        return Scored(patients, tuple(self.select))

    def has(self, index: int) -> bool:
        """Whether any of them truly has a class."""
        return any((case.truth == index).any() for case in self.cases)


@dataclass(frozen=True)
class Scored:
    """Dice of validation patients.

    Attributes:
        patients: By class or region, then by patient: the mean over the cases of the patient; 1 for a case that
            rightly has nothing of it.
        select: Names whose mean is the score.
    """

    patients: Mapping[str, Mapping[str, float]]
    select: tuple[str, ...]

    @cached_property
    def means(self) -> dict[str, float]:
        """Over patients, of each class and region."""
        return {name: float(np.mean(list(each.values()))) for name, each in self.patients.items()}

    @property
    def score(self) -> float:
        """The mean over `select`."""
        return float(np.mean([self.means[name] for name in self.select]))

    def of_patients(self) -> dict[str, float]:
        """The mean over `select` of each patient."""
        groups = self.patients[self.select[0]]
        return {
            group: float(np.mean([self.patients[name][group] for name in self.select])) for group in groups
        }
