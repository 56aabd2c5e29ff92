"""What the training data looked like, so that a prediction can warn where its input differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from medseg.datasets.checks.case_facts import CaseFacts
from medseg.datasets.reading.volume import Volume
from medseg.geometry.background import background_values

#: Spacing may lie so far outside the range of training, as a share, before there is a warning.
_SPACING_SLACK = 0.1
#: The 1st, 50th and 99th percentile of intensities may lie outside the range of training by this factor.
_INTENSITY_FACTOR = 2.0


_DIRECTIONS = ("right to left", "front to back", "up and down")


@dataclass(frozen=True)
class Intensities:
    """Percentiles of one channel over the voxels that are not background, raw units of the scanner."""

    p01: float
    p50: float
    p99: float


@dataclass(frozen=True)
class CaseProfile:
    """What one case looks like: spacing in mm, orientation as stored, intensities by channel.

    Spacing is along right-left, anterior-posterior and superior-inferior, in whatever order axes are stored.
    """

    spacing: tuple[float, float, float]
    orientation: str
    intensities: Mapping[str, Intensities]


@dataclass(frozen=True)
class TrainingProfile:
    """Ranges over the training cases; of many cases, no value can be assigned to a patient.

    Attributes:
        spacing: Smallest and largest size in each direction, mm: right to left, front to back, up and down.
        orientations: All that occurred, such as `LPS`.
        intensities: Channel to percentile name to (smallest, largest).
    """

    spacing: tuple[tuple[float, float], ...]
    orientations: tuple[str, ...]
    intensities: Mapping[str, Mapping[str, tuple[float, float]]]

    @classmethod
    def of(cls, profiles: Sequence[CaseProfile]) -> TrainingProfile:
        """Ranges over profiles."""
        sizes = np.array([p.spacing for p in profiles])
        names = tuple(profiles[0].intensities)
        ranges = {
            name: {
                part: _range([getattr(p.intensities[name], part) for p in profiles])
                for part in ("p01", "p50", "p99")
            }
            for name in names
        }
        spacing = tuple(
            (float(low), float(high)) for low, high in zip(sizes.min(0), sizes.max(0), strict=True)
        )
        return cls(spacing, tuple(sorted({p.orientation for p in profiles})), ranges)

    @classmethod
    def joined(cls, profiles: Sequence[TrainingProfile]) -> TrainingProfile:
        """Ranges over what several models of the same channels have seen."""
        sizes = np.array([p.spacing for p in profiles])
        names = {channel: tuple(parts) for channel, parts in profiles[0].intensities.items()}
        ranges = {
            channel: {
                part: _range([end for p in profiles for end in p.intensities[channel][part]])
                for part in parts
            }
            for channel, parts in names.items()
        }
        lowest, highest = sizes[..., 0].min(0), sizes[..., 1].max(0)
        spacing = tuple((float(low), float(high)) for low, high in zip(lowest, highest, strict=True))
        return cls(spacing, tuple(sorted({name for p in profiles for name in p.orientations})), ranges)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingProfile:
        """Undo `to_dict`."""
        spacing = tuple((float(low), float(high)) for low, high in data["spacing"])
        ranges = {
            channel: {part: (float(low), float(high)) for part, (low, high) in parts.items()}
            for channel, parts in data["intensities"].items()
        }
        return cls(spacing, tuple(data["orientations"]), ranges)

    def warnings(self, case: CaseProfile) -> list[str]:
        """What about a case lies outside the training data; one sentence each, without its name."""
        found = []
        for axis, size, (low, high) in zip(_DIRECTIONS, case.spacing, self.spacing, strict=True):
            if not low * (1 - _SPACING_SLACK) <= size <= high * (1 + _SPACING_SLACK):
                found.append(f"spacing {axis} is {size:.3g} mm; in training {low:.3g} to {high:.3g} mm")
        if case.orientation not in self.orientations:
            known = ", ".join(self.orientations)
            found.append(f"orientation is {case.orientation}; in training {known} (reoriented all the same)")
        for channel, parts in self.intensities.items():
            found += _strange(channel, parts, case.intensities[channel])
        return found


def profile_volume(volume: Volume, channels: Sequence[str]) -> CaseProfile:
    """Look at one volume.

    Args:
        volume: Raw intensities.
        channels: Names, in the order of its channels.
    """
    intensities = {}
    for name, channel, empty in zip(channels, volume.image, background_values(volume.image), strict=True):
        inside = channel[channel != empty]
        low, middle, high = np.percentile(inside if inside.size else channel, [1, 50, 99])
        intensities[name] = Intensities(float(low), float(middle), float(high))
    orientation = volume.geometry.orientation
    return CaseProfile(_by_direction(volume.geometry.spacing, orientation), orientation, intensities)


def _by_direction(spacing: tuple[float, float, float], orientation: str) -> tuple[float, float, float]:
    """Sort what belongs to stored axes, such as those of `LPS`, to right-left, front-back, up-down."""
    place = [next(i for i, letter in enumerate(orientation) if letter in pair) for pair in ("RL", "AP", "SI")]
    return (spacing[place[0]], spacing[place[1]], spacing[place[2]])


def _range(values: Sequence[float]) -> tuple[float, float]:
    return (float(min(values)), float(max(values)))


def _strange(channel: str, parts: Mapping[str, tuple[float, float]], intensities: Intensities) -> list[str]:
    width = max(parts["p99"][1] - parts["p01"][0], 1e-6)
    found = []
    for part, (low, high) in parts.items():
        value, slack = getattr(intensities, part), (_INTENSITY_FACTOR - 1) * width
        if not low - slack <= value <= high + slack:
            found.append(
                f"{channel}: {part[1:].lstrip('0')}% of the voxels lie below {value:.4g}; "
                f"in training that was {low:.4g} to {high:.4g}"
            )
    scale = intensities.p99 - intensities.p01
    narrowest = max((parts["p99"][0] - parts["p01"][1]) / _INTENSITY_FACTOR**2, 0.0)
    if scale < narrowest:
        found.append(f"{channel}: intensities span {scale:.4g}, far less than in training")
    return found


def profile_facts(facts: CaseFacts) -> CaseProfile:
    """What a check that read the same files already knows."""
    intensities = {
        name: Intensities(*(float((channel.intensity or {})[part]) for part in ("p01", "p50", "p99")))
        for name, channel in facts.channels.items()
    }
    x, y, z = facts.spacing or (1.0, 1.0, 1.0)
    spacing = _by_direction((x, y, z), facts.orientation or "RAS")
    return CaseProfile(spacing, facts.orientation or "", intensities)
