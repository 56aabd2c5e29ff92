"""The slice store: every slice of a data set that is learned from or scored, and who it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medseg.errors import StoreError
from medseg.slices.store.entry import Entry

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Sample:
    """A pointer to one slice; no pixels.

    Attributes:
        case: Public name of the case.
        group: Public name of the patient.
        position: Of the slice in its volume, counted along the axis of the rule.
        role: `train`, `val`, `test` or `unlabelled`.
        entry: Name of the entry that holds it.
        row: Of the slice in that entry.
        labels: Classes of the whole case, () if it has none of them; None where they are not known.
        weight: How much it counts in training.
        pseudo: Whether its truth was predicted rather than drawn by a person.
    """

    case: str
    group: str
    position: int
    role: str
    entry: str
    row: int
    labels: tuple[str, ...] | None = None
    weight: float = 1.0
    pseudo: bool = False


@dataclass(frozen=True)
class SliceStore:
    """Prepared slices on disk with their index; holds no open files, so that it may be sent to any process.

    Attributes:
        root: Folder of the preparation; one folder below it for each entry.
        fingerprint: Of the preparation; the name of `root`.
        samples: Every slice, cases in the order of the listing, positions ascending.
        entries: The entries by name.
        classes: Names of the classes of the labels.
        channels: Names of the channels of the images.
    """

    root: Path
    fingerprint: str
    samples: tuple[Sample, ...]
    entries: Mapping[str, Entry] = field(repr=False)
    classes: tuple[str, ...]
    channels: tuple[str, ...]

    def role(self, role: str) -> tuple[Sample, ...]:
        """The samples of one role, in order."""
        return tuple(sample for sample in self.samples if sample.role == role)

    def read(self, sample: Sample) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Image (C, H, W) in the stored precision, and label (H, W) of class indices.

        Raises:
            StoreError: The case has no truth (`image` reads the image alone), or the store was cleared.
        """
        return self.image(sample), self.mask(sample)

    def image(self, sample: Sample) -> NDArray[Any]:
        """Image (C, H, W) alone, in the stored precision."""
        return self.entries[sample.entry].read("image", sample.row)

    def mask(self, sample: Sample) -> NDArray[np.uint8]:
        """Label (H, W) of class indices alone.

        Raises:
            StoreError: As `read`.
        """
        return self.entries[sample.entry].read("label", sample.row)

    def arrays(self, case: str, role: str) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """All stored slices of a case in one role: images (N, C, H, W) and labels (N, H, W).

        Memory maps of the whole entry where the role has all of it, else copies of its rows.

        Raises:
            StoreError: No slice of the case has that role, or as `read`.
        """
        chosen = [sample for sample in self.samples if sample.case == case and sample.role == role]
        if not chosen:
            raise StoreError(f"case {case} has no slice in the role {role}.")
        entry = self.entries[chosen[0].entry]
        rows = [sample.row for sample in chosen]
        image, label = entry.array("image"), entry.array("label")
        return (image, label) if len(rows) == len(entry.positions) else (image[rows], label[rows])

    def voxel_counts(self, role: str) -> NDArray[np.int64]:
        """(K,) voxels of each class over the slices of one role; cases without a truth count nothing."""
        total = np.zeros(len(self.classes), dtype=np.int64)
        for sample in self.role(role):
            counts = self.entries[sample.entry].counts
            if counts is not None:
                total += counts[sample.row]
        return total

    def shows(self, samples: Sequence[Sample]) -> NDArray[np.bool_]:
        """(N, K) whether each slice shows each class, as it was counted when it was prepared; no pixel is read."""
        found = np.zeros((len(samples), len(self.classes)), dtype=bool)
        for place, sample in enumerate(samples):
            counts = self.entries[sample.entry].counts
            if counts is not None:
                found[place] = counts[sample.row] > 0
        return found

    def cut_away(self) -> dict[str, float]:
        """Share of what the label of a case marks that slices are too small to show, above 0, by case."""
        found = {sample.case: self.entries[sample.entry].cut_away for sample in self.samples}
        return {case: cut / marked for case, (cut, marked) in found.items() if cut}

    def nbytes(self, role: str) -> int:
        """Bytes that the slices of one role take in memory, in the stored precision, labels included."""
        return sum(self.entries[sample.entry].slice_bytes for sample in self.role(role))

    def digest(self, role: str) -> str:
        """Fingerprint of what one role holds, 32 hexadecimal digits: files, preparation, slices, classes."""
        rows = [
            f"{sample.entry}/{sample.position}{'' if sample.labels is None else list(sample.labels)}"
            for sample in self.role(role)
        ]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:32]

    def frame(self) -> pd.DataFrame:
        """The index as a table: case, group, position, role; one row for each slice."""
        import pandas as pd  # noqa: PLC0415  half a second that `cache list` need not spend

        columns = ["case", "group", "position", "role"]
        return pd.DataFrame([[getattr(s, name) for name in columns] for s in self.samples], columns=columns)
