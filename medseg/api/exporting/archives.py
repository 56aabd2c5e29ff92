"""What NumPy archives of cases hold, and which manifest reads them back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.datasets.manifest.manifest import Manifest
from medseg.text import many

ORIGINAL = "brats2d_npz"
"""The manifest of archives as the original notebook on BraTS read them."""


@dataclass(frozen=True)
class Archives:
    """Archives that were written.

    Attributes:
        paths: One for each case.
        channels: What the planes of `data` are, in their order.
        classes: What the values of `seg` are, from 0 on.
        patients: How many the cases are of.
    """

    paths: tuple[Path, ...]
    channels: tuple[str, ...]
    classes: tuple[str, ...]
    patients: int

    def reading(self, known: Manifest) -> str:
        """Say which manifest reads them: `known`, or one with the lines that are given.

        Args:
            known: A manifest of archives.
        """
        values = dict(enumerate(self.classes))
        fits = known.truth_within and (known.channels, known.label_values) == (self.channels, values)
        return (f"The manifest {known.name} reads them." if fits else self._needed(known)) + self._grouped()

    def _needed(self, known: Manifest) -> str:
        labels = ", ".join(f"{value}: {json.dumps(name)}" for value, name in enumerate(self.classes))
        return (
            f"No manifest of medseg reads them: {known.name} has other channels or label values. Write one "
            "(docs/your-data.md) that has these lines, and name it with --set manifest=FILE:\n"
            f"channels: {json.dumps(self.channels)}\n"
            f"classes: {json.dumps(self.classes)}\n"
            f"label_values: {{{labels}}}\n"
            "volumes: {channels: npz}\n"
            "layout: {images: '**/{case}.npz'}"
        )

    def _grouped(self) -> str:
        if self.patients == len(self.paths):
            return ""
        return (
            f"\nThe {many(len(self.paths), 'case', 'are')} of {many(self.patients, 'patient')}, and archives do not "
            "say of whom: name the patient with `group` in the manifest, or the role of every case in a split file, "
            "so that no patient is in two parts."
        )


def in_order(channels: Sequence[str], known: Manifest) -> tuple[str, ...]:
    """The channels in the order of a manifest that has them all; else as they are."""
    if set(channels) <= set(known.channels):
        return tuple(sorted(channels, key=known.channels.index))
    return tuple(channels)
