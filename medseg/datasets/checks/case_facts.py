"""What one case's files hold: grid, intensities, labels, digests, and everything that is wrong with them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.case import Case
from medseg.datasets.checks.perceptual_hash import likeness
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.manifest.patterns import MASK
from medseg.datasets.reading.masks import read_truth
from medseg.datasets.reading.placed import CaseGrid
from medseg.datasets.reading.unforeseen import unforeseen
from medseg.datasets.reading.volume import by_file, empty_planes
from medseg.errors import DataError, Fault
from medseg.files.content import Content, content_of
from medseg.geometry.background import background_values
from medseg.geometry.grid import Geometry, StoredImage
from medseg.geometry.placing import UNTURNED, turned_apart_message
from medseg.images.formats import NIFTI, FileKind
from medseg.images.refusal import RefusedError, found_and_remedy

#: A label map with more distinct values than this is no label map; they are not listed one by one.
_MOST_VALUES = 256

#: Before a note of the label map.
_OF_MASK = "mask: "

#: An affine enters digests rounded to this many decimals of a mm, so that noise of storage does not, and sizes of
#: voxels are told so; of voxels below a tenth of a mm to more, as far as their size needs.
_AFFINE_DECIMALS, _SIZE_DECIMALS = 3, 6

#: Pixels of an image of which a hash is made: it takes a copy of them in float32.
_MOST_HASHED = 1 << 26


@dataclass(frozen=True)
class ChannelFacts:
    """One channel of one case, as stored.

    Intensities are over the voxels that differ from the background (`background_values`); over
    all voxels where none differs. None where the file holds NaN or infinite values.

    Attributes:
        dtype: Type of the voxels as read.
        affine: As that of `CaseFacts`, where the channel lies on another grid than the case, onto which a definition
            resamples it; else None.
        digest: 32 hexadecimal digits over shape and values as float32; equal values, equal digest.
        voxels: How many voxels are no background.
        intensity: `min`, `max`, `mean`, `std`, and the percentiles `p01`, `p50`, `p99`.
    """

    dtype: str
    digest: str
    voxels: int
    intensity: Mapping[str, float] | None
    affine: tuple[float, ...] | None = None


@dataclass(frozen=True)
class CaseFacts:
    """What the files of one case hold. Holds public names only, and private paths only within faults.

    Attributes:
        case: Public id.
        group: Public name of the patient.
        shape: (I, J, K) as stored in the first channel that could be read; None if none could.
        spacing: Voxel size along these axes, mm.
        orientation: Directions in which these axes run, such as `LPS`.
        affine: The 16 numbers of the 4x4 affine, row by row, rounded to 0.001 mm,
            or to a hundredth of the smallest voxel.
        channels: Facts of each channel that could be read.
        labels: Voxels of each stored label value; None without a label map of whole numbers.
        mask_digest: As `ChannelFacts.digest`, of the label map.
        classes: Classes of the whole image, where these are the truth.
        likeness: Hash of an image of one slice, as `perceptual_hash.likeness`; None of others, of very large ones,
            and where the image is blank or nearly so.
        contents: What the bytes of each file are, by its part; channels that were not asked for, and files with
            faults, are left out.
        made_up: Channels whose files say that medseg generated them.
        faults: Everything that is wrong.
        notes: What is odd about the files, though they can be used.
        assumed: Those of the notes that say which sizes or sides are assumed (`Geometry.assumed`).
        unexpected: Whether an error that no reader foresees kept the case from being looked at: a fault names
            it. Nothing to be remembered, since the error may be medseg's own.
    """

    case: str
    group: str
    shape: tuple[int, ...] | None = None
    spacing: tuple[float, ...] | None = None
    orientation: str | None = None
    affine: tuple[float, ...] | None = None
    channels: Mapping[str, ChannelFacts] = field(default_factory=dict)
    labels: Mapping[int, int] | None = None
    mask_digest: str | None = None
    classes: tuple[str, ...] | None = None
    likeness: str | None = None
    contents: Mapping[str, Content] = field(default_factory=dict)
    made_up: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    unexpected: bool = False

    @property
    def image_notes(self) -> tuple[str, ...]:
        """Those of the notes that are of images, as a prediction gives them."""
        return tuple(note for note in self.notes if not note.startswith(_OF_MASK))

    def digest(self) -> str:
        """32 hexadecimal digits over the content: voxels, truth and affine; no name of a patient and no path."""
        parts = [f"{name} {facts.digest}" for name, facts in self.channels.items()]
        parts += [f"{name} at {facts.affine}" for name, facts in self.channels.items() if facts.affine]
        parts += [f"mask {self.mask_digest}", f"affine {self.affine}"]
        parts += [] if self.classes is None else [f"classes {sorted(self.classes)}"]
        written = "\n".join(parts)
        return hashlib.blake2b(written.encode(), digest_size=16).hexdigest()


def examine(
    case: Case,
    channels: Sequence[str],
    rule: LabelRule,
    files: FileKind = NIFTI,
    reference: str | None = None,
) -> CaseFacts:
    """Read every file of a case once, one at a time, and tell what it holds.

    Args:
        case: Whose files to read.
        channels: Which channels, in this order.
        rule: What the label map may hold.
        files: The kind of its files.
        reference: The channel onto whose grid a definition resamples the others; None where it refuses other grids.
    """
    try:
        return _examined(case, channels, rule, CaseGrid(files, reference))
    except Exception as error:  # noqa: BLE001  # one odd file must not hide what is wrong with the others
        return CaseFacts(case.id, case.group, faults=(unforeseen(case, error),), unexpected=True)


def _examined(case: Case, channels: Sequence[str], rule: LabelRule, grid: CaseGrid) -> CaseFacts:
    faults: list[Fault] = []
    seen: dict[str, ChannelFacts] = {}
    planes: list[NDArray[Any]] = []
    first: StoredImage | None = None
    notes: list[str] = []
    made_up: list[str] = []
    # Arrays are looked at as (K, J, I): NIfTI voxels lie in that order, and NumPy copies all others (0.2 s).
    for path, held in by_file(case, grid.order(channels)).items():
        unusable: list[Fault] = []
        for channel, stored in _read(case, path, held, grid.files, faults):
            first = first or replace(stored, data=np.empty(0))  # its voxels are let go of
            image, misplaced = _brought(case, channel, grid, first, stored)
            faults += misplaced
            seen[channel] = _channel_facts(image.data.T)
            if not first.geometry.same_grid(image.geometry):
                seen[channel] = replace(seen[channel], affine=_rounded(image.geometry))
            planes += [image.data.T[0]] if image.data.shape[2] == 1 else []
            unusable += _unusable(case, channel, image.data, seen[channel])
            notes += image.notes
            made_up += [channel] * stored.made_up
        # A picture in one colour is no empty one: of the planes of a file, one has to hold something.
        empty = [channel for channel in held if channel in seen and _empty(seen[channel])]
        if told := empty_planes(empty, held):
            notes += told
            unusable = [fault for fault in unusable if fault.part not in empty]
        faults += unusable
    labels, digest = None, None
    mask, wrong = read_truth(case, grid) if case.has_truth else (None, [])
    faults += wrong
    if mask is not None:
        mask, misplaced = _brought(case, MASK, grid, first or mask, mask)
        faults += misplaced
        mislabelled = list(_mislabelled(case, rule, mask.data.T))
        faults += mislabelled
        labels, digest = _label_counts(rule, mask.data.T), _digest(mask.data.T)
        odd = () if mislabelled else rule.odd(mask.data.T)
        notes += [f"{_OF_MASK}{note}" for note in (*mask.notes, *odd)]
    facts = CaseFacts(
        case.id,
        case.group,
        channels={channel: seen[channel] for channel in channels if channel in seen},
        labels=labels,
        mask_digest=digest,
        classes=case.labels,
        likeness=_likeness(planes, seen),
        contents=_contents(case, channels, {fault.path for fault in faults}),
        made_up=tuple(made_up),
        faults=tuple(faults),
        notes=tuple(dict.fromkeys(notes)),
    )
    return facts if first is None else _placed(facts, first.geometry)


def _contents(case: Case, channels: Sequence[str], faulty: Collection[Path | None]) -> dict[str, Content]:
    """Digests of files that were read a moment ago: the system still has them in memory.

    Those with a fault are not used, and not read to their end: one may be as long as the disk, or longer.
    """
    found = {}
    for part, path in case.files.items():
        if path not in faulty and (part in channels or part not in case.images):
            with suppress(OSError):  # it has its fault already
                found[part] = content_of(path)
    return found


def _likeness(planes: Sequence[NDArray[Any]], seen: Mapping[str, ChannelFacts]) -> str | None:
    """Hash of a picture's planes; None unless all of its channels are finite and of one shape."""
    whole = len(planes) == len(seen) > 0 and len({plane.shape for plane in planes}) == 1
    whole = whole and sum(plane.size for plane in planes) <= _MOST_HASHED
    finite = all(facts.intensity is not None for facts in seen.values())
    return likeness(np.stack(planes)) if whole and finite else None


def _placed(facts: CaseFacts, grid: Geometry) -> CaseFacts:
    spacing = tuple(round(size, _SIZE_DECIMALS + _further(grid)) for size in grid.spacing)
    return replace(
        facts,
        shape=grid.shape,
        spacing=spacing,
        orientation=grid.orientation,
        affine=_rounded(grid),
        assumed=grid.assumed,
    )


def _rounded(grid: Geometry) -> tuple[float, ...]:
    # `+ 0.0` turns the -0.0 that rounding leaves into 0.0, which is written otherwise.
    return tuple(float(x) + 0.0 for x in np.round(grid.affine, _AFFINE_DECIMALS + _further(grid)).ravel())


def _further(grid: Geometry) -> int:
    """How many decimals more than usual the smallest voxel needs."""
    return max(0, -1 - math.floor(math.log10(min(grid.spacing))))


def _read(
    case: Case, path: Path | None, held: Sequence[str], files: FileKind, faults: list[Fault]
) -> Iterator[tuple[str, StoredImage]]:
    if path is None:
        faults += [
            _fault(case, part, "the file is missing", "Add it, or leave the case out.") for part in held
        ]
        return
    try:
        yield from zip(held, files.read(path, held), strict=True)
    except DataError as error:
        faults.append(_fault(case, held[0], *found_and_remedy(error)))


def _fault(case: Case, part: str, problem: str, remedy: str) -> Fault:
    return Fault(case.id, case.position, part, problem, remedy, case.files.get(part))


def _brought(
    case: Case, part: str, grid: CaseGrid, first: StoredImage, stored: StoredImage
) -> tuple[StoredImage, list[Fault]]:
    """An image in the order of the first channel; as stored where it is resampled or, with a fault, refused."""
    try:
        found = grid.placed(part, stored, read=False)
    except RefusedError as error:
        return stored, [_fault(case, part, error.found, error.remedy)]
    apart = turned_apart_message(first, stored, "the first channel")
    return found, [] if apart is None else [_fault(case, part, apart, UNTURNED)]


def _empty(facts: ChannelFacts) -> bool:
    """Whether a channel holds one value only."""
    return facts.intensity is not None and facts.voxels == 0


def _unusable(case: Case, channel: str, data: NDArray[Any], facts: ChannelFacts) -> Iterator[Fault]:
    if facts.intensity is None:
        count = int(data.size - np.count_nonzero(np.isfinite(data)))
        problem = f"the image holds NaN or infinite values in {count} of {data.size} places"
        yield _fault(case, channel, problem, "Export the image again, or leave the case out.")
    elif _empty(facts):
        value = facts.intensity["min"]
        problem = f"the image is empty: all of it is {value:g}"
        yield _fault(case, channel, problem, "Export the image again, or leave the case out.")


def _mislabelled(case: Case, rule: LabelRule, stored: NDArray[Any]) -> Iterator[Fault]:
    try:
        found = rule.counts(stored)
        if found and set(found) <= set(rule.ignored):
            problem = f"all of the label map holds {sorted(found)}, which the manifest ignores: nothing is annotated"
            remedy = "Annotate some of it, mend 'ignore' of the manifest, or leave the case out."
            yield _fault(case, MASK, problem, remedy)
        if case.mask is not None:  # of a file for each object the numbers are medseg's own
            rule.refuse_made_up(stored)
    except DataError as error:
        yield _fault(case, MASK, *found_and_remedy(error))


def _label_counts(rule: LabelRule, stored: NDArray[Any]) -> dict[int, int] | None:
    """Places of each stored value, those that the rule does not know among them: a fault tells of these."""
    values, places = np.unique(stored, return_counts=True)
    if not np.isfinite(values).all() or not np.array_equal(values, np.round(values)):
        return None
    counts = rule.collapsed({int(value): int(count) for value, count in zip(values, places, strict=True)})
    return counts if len(counts) <= _MOST_VALUES else None


def _channel_facts(data: NDArray[Any]) -> ChannelFacts:
    dtype, digest = str(data.dtype), _digest(data)
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        return ChannelFacts(dtype, digest, 0, None)
    inside = data[data != background_values(data[None])[0]]
    values = np.asarray(inside if inside.size else data.ravel(), dtype=np.float32)
    low, middle, high = np.percentile(values, (1, 50, 99))
    intensity = {
        "min": float(values.min()),
        "max": float(values.max()),
        "mean": float(values.mean(dtype=np.float64)),
        "std": float(values.std(dtype=np.float64)),
        "p01": float(low),
        "p50": float(middle),
        "p99": float(high),
    }
    return ChannelFacts(dtype, digest, int(inside.size), intensity)


def _digest(data: NDArray[Any]) -> str:
    flat = np.ascontiguousarray(data, dtype="<f4")
    digest = hashlib.blake2b(str(data.shape).encode(), digest_size=16)
    digest.update(flat.data)
    return digest.hexdigest()
