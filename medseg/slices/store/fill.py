"""Filling the slice store: reading, transforming and cutting each case once."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.case import Case, folders_of
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.reading.unforeseen import ended, one_case
from medseg.datasets.reading.volume import Volume
from medseg.datasets.unannotated import annotated
from medseg.errors import DataError, Fault, StoreError
from medseg.geometry.background import background_values
from medseg.machine.crew.crew import Crew, Needs, crew_of
from medseg.places import cache_folder, private_folder
from medseg.progress import Progress, Silent
from medseg.slices.preparation import Preparation, PreparedVolume
from medseg.slices.selection import Selection
from medseg.slices.store.entry import Entry, read_entry, sound_entries, write_entry
from medseg.slices.store.fingerprint import Recipe, make_recipe
from medseg.slices.store.jobs import Job, Known, failed, list_jobs, unchanged
from medseg.slices.store.store import Sample, SliceStore
from medseg.slices.transforms import TRANSFORMS_KEY
from medseg.splits.split import Split
from medseg.text import many

_HALF_MAX = float(np.finfo(np.float16).max)
_FACT_VOXELS = 200_000  # intensity percentiles of this many voxels are right to a fraction of a per cent

_MOST_READ = 32  # entries that are read at once
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


def stores_folder() -> Path:
    """Where prepared stores are kept."""
    return cache_folder() / "stores"


def prepare(
    cases: Sequence[Case],
    split: Split,
    preparation: Preparation,
    labels: LabelRule | None,
    *,
    regions: Mapping[str, Sequence[int]],
    seed: int,
    known: Known | None = None,
    root: Path | None = None,
    jobs: int | Crew = 1,
    progress: Progress | None = None,
    private: bool = True,
) -> SliceStore:
    """Prepare what is not prepared yet, and index all of it.

    An entry is reused when and only when nothing that matters has changed: bytes of the files, channels, meaning
    of the labels, rule, kept slices, versions; and its own bytes, which are compared with their checksums. An
    interrupted call is continued by the next. At most `jobs` volumes are in memory at a time.

    Args:
        cases: All cases.
        split: Who is in which role.
        preparation: How volumes become slices.
        labels: What label values mean; None to read no truth.
        regions: Class indices of each region that the keep rule may name.
        seed: Of the draw of slices.
        known: What the files held when they were checked, so that they are not read again to tell what they hold.
        root: Folder of all stores; None for `stores_folder()`.
        jobs: How many cases to prepare at once, or who does it. On this machine they are threads: reading and
            arithmetic release the interpreter, and a process would import MONAI first, 11 s each.
        progress: Where to show a bar.
        private: Whether nobody else may look into the store, as where ids are identifying.

    Raises:
        DataError: Some cases cannot be used; all the others have been prepared, and all faults are listed.
        StoreError: No space is left, or the folder cannot be written.
        DefinitionError: The keep rule names no class or region.
    """
    recipe = make_recipe(
        preparation.channels, preparation.rule, labels, regions=regions, seed=seed, files=preparation.files
    )
    folder = ((root or stores_folder()) / recipe.fingerprint).absolute()
    work, faults = list_jobs(cases, split, recipe, known)
    crew = crew_of(jobs)
    entries = sound_entries(folder, [job.name for job in work], min(crew.at_once, _MOST_READ))
    # cases with the same files share an entry
    missing = list({job.name: job for job in work if job.name not in entries}.values())
    filler = _Filler(folder, preparation, recipe, len(missing))
    if private and work:
        filler.keep_others_out()
    if missing:
        made, more = filler.run(missing, crew, progress or Silent())
        entries |= made
        faults += more
    if faults:
        faults.sort(key=lambda fault: fault.position)
        noun = "case cannot" if len(faults) == 1 else "cases cannot"
        listed = "\n".join(fault.text() for fault in faults)
        raise DataError(f"{len(faults)} {noun} be prepared:\n{listed}", faults)
    classes = labels.classes if labels else ()
    samples = _index(work, split, entries)
    return SliceStore(folder, recipe.fingerprint, samples, entries, classes, preparation.channels)


def _index(work: Sequence[Job], split: Split, entries: Mapping[str, Entry]) -> tuple[Sample, ...]:
    split = split.settled((job.case.id, position) for job in work for position in entries[job.name].positions)
    return tuple(
        Sample(
            case=job.case.id,
            group=job.case.group,
            position=position,
            role=split.role(job.case.id, position),
            entry=job.name,
            row=row,
            labels=job.case.labels,
        )
        for job in work
        for row, position in enumerate(entries[job.name].positions)
    )


class _Filler:
    """Prepares cases into one folder, and knows how much space the rest will need."""

    def __init__(self, folder: Path, preparation: Preparation, recipe: Recipe, count: int) -> None:
        self._folder = folder
        self._preparation = preparation
        self._recipe = recipe
        self._left = count
        self._largest = 0

    def keep_others_out(self) -> None:
        """Let nobody else enter the folder."""
        try:
            private_folder(self._folder)
        except OSError as error:
            raise self._unwritten(error) from error

    def run(
        self, work: Sequence[Job], crew: Crew, progress: Progress
    ) -> tuple[dict[str, Entry], list[Fault]]:
        made: dict[str, Entry] = {}
        faults: list[Fault] = []
        do = partial(_filled, self._folder, self._preparation, self._recipe)
        needs = Needs(
            folders_of(job.case for job in work),
            self._folder,
            tuple(sorted(self._preparation.allowed.packages)),
        )
        with progress.bar("preparing slices", len(work), "cases") as bar:
            for job, filled in crew.results(work, do, _lost, usually="threads", needs=needs):
                self._left -= 1
                self._largest = max(self._largest, filled.nbytes)
                if filled.unwritten is not None:
                    raise self._unwritten(filled.unwritten) from filled.unwritten
                if filled.entry is not None:
                    made[job.name] = filled.entry
                faults += filled.faults
                bar.advance()
        return made, faults

    def _unwritten(self, error: OSError) -> StoreError:
        if error.errno not in _NO_SPACE:
            reason = error.strerror or str(error)
            return StoreError(
                f"the folder of prepared slices cannot be written: {reason}. "
                "Set MEDSEG_CACHE to a folder that can be."
            )
        free = free_bytes(self._folder)
        need = self._largest * max(1, self._left)
        return StoreError(
            f"no space is left to prepare slices: about {_size(need)} more are needed for "
            f"{many(max(1, self._left), 'case')}, {_size(free)} are free in {self._folder.parent}. "
            "What was prepared so far is kept. Free some space (`medseg cache clear`), or set MEDSEG_CACHE "
            "to a folder on another disk; `medseg data prepare NAME --dry-run` tells the size beforehand."
        )


@dataclass(frozen=True)
class _Filled:
    """What came of preparing a case: its entry, its faults, or why it could not be written; and bytes it takes."""

    entry: Entry | None = None
    faults: tuple[Fault, ...] = ()
    unwritten: OSError | None = None
    nbytes: int = 0


def _filled(folder: Path, preparation: Preparation, recipe: Recipe, job: Job) -> _Filled:
    """Prepare one case into the folder of a store, wherever that is done."""
    begin = time.perf_counter()
    if (there := _made_meanwhile(folder / job.name)) is not None:
        return there
    try:
        with one_case(job.case):
            made = make_slices(job, preparation, recipe)
        unchanged(job)
    except DataError as error:
        return _Filled(faults=error.faults)
    if (there := _made_meanwhile(folder / job.name)) is not None:
        return there
    facts = {**made.facts, "seconds": round(time.perf_counter() - begin, 3)}
    try:
        entry = write_entry(folder / job.name, made.image, made.label, facts)
    except OSError as error:
        return _Filled(unwritten=error, nbytes=made.nbytes)
    return _Filled(entry, nbytes=made.nbytes)


def _made_meanwhile(folder: Path) -> _Filled | None:
    """An entry that another process has prepared by now, and may be reading: it is not replaced under its hands."""
    entry = read_entry(folder)
    return None if entry is None or not entry.is_sound() else _Filled(entry)


def _lost(job: Job) -> _Filled:
    return _Filled(faults=(ended(job.case),))


@dataclass(frozen=True)
class MadeSlices:
    """The kept slices of one case before they are written.

    Attributes:
        image: (N, C, H, W).
        label: (N, H, W), None without a truth.
        facts: What `entry.write_entry` wants beside them, without `seconds`.
        whole: Number of all slices of the prepared volume.
        crops: Whether some of the volume reaches no slice, since it is larger than they are.
        cut_away: As `PreparedVolume.cut_away`.
    """

    image: NDArray[Any]
    label: NDArray[np.uint8] | None
    facts: Mapping[str, Any]
    whole: int
    crops: bool = False
    cut_away: tuple[int, int] = (0, 0)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self.image.nbytes + (self.label.nbytes if self.label is not None else 0)


def make_slices(job: Job, preparation: Preparation, recipe: Recipe) -> MadeSlices:
    """Read one case, prepare it and take the slices that its role keeps.

    Raises:
        DataError: It cannot be used, or its values do not fit the precision of the store; holds one fault.
    """
    volume = preparation.read(job.case, recipe.labels)
    try:
        prepared = preparation.apply(volume)
        counts = _class_counts(prepared, recipe.labels)
    except DataError as error:
        raise failed(job.case, "", str(error), f"Change {TRANSFORMS_KEY}, or leave the case out.") from error
    selection: Selection = recipe.selection(job.role)
    kept = selection.positions(prepared.content, counts, seed=recipe.seed, case=job.case.id)
    image = gather(prepared.image, kept, np.dtype(preparation.rule.store))
    if not np.isfinite(image).all():
        peak = float(np.abs(prepared.image[kept]).max())
        raise failed(
            job.case,
            "",
            f"values reach {peak:.6g} after {TRANSFORMS_KEY}, and float16 ends at {_HALF_MAX:g}",
            "Add a transform that normalises, such as NormalizeIntensityd, or set `slices.store: float32`.",
        )
    facts = {
        "positions": kept.tolist(),
        "counts": None if counts is None else counts[kept].tolist(),
        "geometry": {
            "shape": volume.geometry.shape,
            "spacing": volume.geometry.spacing,
            "orientation": volume.geometry.orientation,
        },
        "intensities": intensity_facts(volume),
        "cut_away": prepared.cut_away,
    }
    label = None if prepared.label is None else gather(prepared.label, kept, np.dtype(np.uint8))
    crops = prepared.fitting.crops
    return MadeSlices(image, label, facts, len(prepared.content), crops, prepared.cut_away)


def _class_counts(prepared: PreparedVolume, labels: LabelRule | None) -> NDArray[np.int64] | None:
    """(S, K) voxels of each class in each slice; those that nobody annotated are of none."""
    if prepared.label is None or labels is None:
        return None
    classes = len(labels.classes)
    planes = [each[annotated(each)] if labels.ignored else each.ravel() for each in prepared.label]
    flat = [np.bincount(each, minlength=classes) for each in planes]
    if any(len(each) > classes for each in flat):
        highest = max(len(each) for each in flat) - 1
        raise DataError(f"{TRANSFORMS_KEY} made the label {highest}, and there are {classes} classes")
    return np.array(flat, dtype=np.int64).reshape(len(flat), classes)


def intensity_facts(volume: Volume) -> dict[str, list[float]]:
    """Background and percentiles of the raw intensities, one number for each channel.

    The percentiles are taken over voxels that are not background, on a regular subset of large volumes.
    """
    background = background_values(volume.image)
    step = max(1, round((volume.image[0].size / _FACT_VOXELS) ** (1 / 3)))
    few = volume.image[:, ::step, ::step, ::step]
    shown = (few != background[:, None, None, None]).any(axis=0)
    voxels = few[:, shown] if shown.any() else few.reshape(len(few), -1)
    low, middle, high = np.percentile(voxels, [1, 50, 99], axis=1)
    numbers = {"background": background, "p01": low, "p50": middle, "p99": high}
    return {name: [float(value) for value in values] for name, values in numbers.items()}


def gather(slices: NDArray[Any], kept: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Copy some slices (S, ..., H, W) in a given precision; a value beyond its range becomes infinite.

    Slices across the order in memory are copied row by row: what lies together is then read together, which
    takes half the time.
    """
    made = np.empty((len(kept), *slices.shape[1:]), dtype=dtype)
    with np.errstate(over="ignore"):
        if abs(slices.strides[-2]) > abs(slices.strides[0]):
            for row in range(slices.shape[-2]):
                made[..., row, :] = slices[..., row, :][kept]
        else:
            for place, position in enumerate(kept):
                made[place] = slices[position]
    return made


def free_bytes(folder: Path) -> int:
    """Free space where a folder is or will be."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free


def _size(nbytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:.3g} TB"
