"""One case in memory: all channels and the truth on one grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.case import Case
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.manifest.patterns import MASK
from medseg.datasets.reading.masks import read_truth
from medseg.datasets.reading.placed import CaseGrid
from medseg.errors import DataError, Fault
from medseg.geometry.grid import Geometry, StoredImage
from medseg.geometry.placing import UNTURNED, turned_apart_message
from medseg.images.formats import NIFTI, FileKind
from medseg.images.refusal import RefusedError, found_and_remedy


@dataclass(frozen=True)
class Volume:
    """All channels and the truth of one case, RAS+.

    Attributes:
        image: (C, I, J, K) float32, raw intensities; I runs to the patient's right, J to anterior, K up.
        label: (I, J, K) uint8 class indices, `UNANNOTATED` where a value is ignored; None without a truth.
        geometry: The grid of the first channel's file, or of the one that others were resampled onto; it leads back
            to its own order of axes.
        objects: (I, J, K) int32, the stored values of a truth that numbers its objects; None of any other.
        notes: What is odd about the files of the image, though they can be used, as `medseg data check` says it.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8] | None
    geometry: Geometry
    objects: NDArray[np.int32] | None = None
    notes: tuple[str, ...] = ()


def read_volume(
    case: Case,
    channels: Sequence[str],
    labels: LabelRule | None,
    *,
    files: FileKind = NIFTI,
    reference: str | None = None,
) -> Volume:
    """Read one case.

    Args:
        case: Whose files to read.
        channels: Which channels, in this order.
        labels: How to read the truth; None to leave it unread.
        files: The kind of its files.
        reference: The channel onto whose grid the others are resampled; None where other grids are refused.

    Raises:
        DataError: A file cannot be used; `faults` holds one fault with the part and the path.
    """
    grid = CaseGrid(files, reference)
    stored = read_channels(case, channels, grid)
    geometry = stored[0].geometry
    image = np.stack([geometry.to_ras(each.data) for each in stored]).astype(np.float32)
    truth = None if labels is None else read_mask(case, grid)
    notes = notes_of(stored)
    if labels is None or truth is None:
        return Volume(image, None, geometry, notes=notes)
    values = geometry.to_ras(truth.data)
    try:
        label = labels.encode(values, image)
    except DataError as error:
        raise without_meaning(case, error) from error
    numbered = None if labels.instances is None else labels.marked(values).astype(np.int32)
    return Volume(image, label, geometry, numbered, notes)


def read_channels(case: Case, channels: Sequence[str], grid: CaseGrid) -> list[StoredImage]:
    """Read channels of a case, in the order given; they lie on one grid and hold real numbers only.

    Args:
        case: Whose.
        channels: Which, with the one onto whose grid others are resampled.
        grid: Of the case, with no channel placed yet.

    Raises:
        DataError: As `read_volume`.
    """
    stored = _channels(case, channels, grid.files)
    apart = (turned_apart_message(stored[0], each, "the first channel") for each in stored)
    for channel, problem in zip(channels, apart, strict=True):
        if problem is not None:
            raise _failed(case, channel, problem, UNTURNED)
    by_name = dict(zip(channels, stored, strict=True))
    placed = {each: _placed(case, each, grid, by_name[each]) for each in grid.order(channels)}
    stored = [placed[channel] for channel in channels]
    for channel, other in zip(channels, stored, strict=True):
        if other.data.dtype.kind == "f" and not np.isfinite(other.data).all():
            raise _failed(case, channel, "the image holds NaN or infinite values", "Export the image again.")
    return stored


def read_mask(case: Case, grid: CaseGrid) -> StoredImage | None:
    """Read the truth of a case, with its values as stored; None if it has none.

    Args:
        case: Whose.
        grid: Of its channels, which were placed: it must lie there.

    Raises:
        DataError: As `read_volume`.
    """
    if not case.has_truth:
        return None
    truth, faults = read_truth(case, grid)
    if truth is None or faults:
        raise DataError("\n".join(fault.text() for fault in faults), faults)
    return _placed(case, MASK, grid, truth)


def without_meaning(case: Case, error: DataError) -> DataError:
    """What is raised for a label map with values that a manifest does not name."""
    remedy = "Name the value under 'label_values' of the manifest, or leave the case out."
    return _failed(case, "mask", *found_and_remedy(error, remedy))


def notes_of(stored: Iterable[StoredImage]) -> tuple[str, ...]:
    """What is odd about the files of some channels, each note once."""
    return tuple(dict.fromkeys(note for each in stored for note in each.notes))


def empty_planes(empty: Sequence[str], held: Sequence[str]) -> tuple[str, ...]:
    """That some of the planes of a file hold one value only, as a note.

    Args:
        empty: Those channels.
        held: All channels of the file.
    """
    return (f"its planes {list(empty)} are empty",) if 0 < len(empty) < len(held) else ()


def by_file(case: Case, channels: Sequence[str]) -> dict[Path | None, list[str]]:
    """Which of the channels each file holds; under None those that have no file."""
    found: dict[Path | None, list[str]] = {}
    for channel in channels:
        found.setdefault(case.images.get(channel), []).append(channel)
    return found


def _channels(case: Case, channels: Sequence[str], files: FileKind) -> list[StoredImage]:
    read: dict[str, StoredImage] = {}
    for path, held in by_file(case, channels).items():
        if path is None:
            raise _failed(case, held[0], "the file is missing", "Add it, or leave the case out.")
        try:
            found = dict(zip(held, files.read(path, held), strict=True))
        except DataError as error:
            raise _failed(case, held[0], *found_and_remedy(error)) from error
        first, empty = held[0], [each for each in held if len(held) > 1 and _is_one_value(found[each])]
        read |= found
        read[first] = replace(found[first], notes=(*found[first].notes, *empty_planes(empty, held)))
    return [read[channel] for channel in channels]


def _is_one_value(stored: StoredImage) -> bool:
    return bool(stored.data.min() == stored.data.max())


def _placed(case: Case, part: str, grid: CaseGrid, stored: StoredImage) -> StoredImage:
    try:
        return grid.placed(part, stored)
    except RefusedError as error:
        raise _failed(case, part, error.found, error.remedy) from error


def _failed(case: Case, part: str, problem: str, remedy: str) -> DataError:
    fault = Fault(case.id, case.position, part, problem, remedy, case.files.get(part))
    return DataError(fault.text(), [fault])
