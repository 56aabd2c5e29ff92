"""What preparing a data set will take, before it is done."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from medseg.datasets.case import Case
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.reading.unforeseen import one_case
from medseg.errors import DataError, Fault
from medseg.geometry.axes import AXES, AxisName
from medseg.images.refusal import found_and_remedy
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.slices.sizes import FITTINGS, Fitting
from medseg.slices.store.entry import read_entry
from medseg.slices.store.fill import free_bytes, make_slices, stores_folder
from medseg.slices.store.fingerprint import Recipe, make_recipe
from medseg.slices.store.jobs import Job, Known, list_jobs
from medseg.splits.split import Split


@dataclass(frozen=True)
class StorePlan:
    """What preparing takes.

    Attributes:
        cases: Number of cases, without those that are left out.
        ready: How many of them are prepared already.
        slices: Slices that will be stored, the ready ones included; at most, unless `exact`.
        bytes: What they take on disk, likewise.
        missing_bytes: What is still to be written of that.
        free_bytes: What is free where they go.
        seconds: What preparing the rest takes with the given number of jobs, as the first of them took.
        exact: Whether `slices` is exact: the rule keeps every slice, or draws no more than there are, or all
            is ready. Otherwise it depends on voxels that a plan does not read.
    """

    cases: int
    ready: int
    slices: int
    bytes: int
    missing_bytes: int
    free_bytes: int
    seconds: float
    exact: bool


def plan(
    cases: Sequence[Case],
    split: Split,
    preparation: Preparation,
    labels: LabelRule | None,
    *,
    regions: Mapping[str, Sequence[int]],
    seed: int,
    known: Known | None = None,
    root: Path | None = None,
    jobs: int = 1,
    skip_bad: bool = False,
) -> StorePlan:
    """Plan a call of `prepare.prepare` with the same arguments; nothing is left on disk.

    Reads the header of the channel that gives each case's grid, and prepares one missing case, whose slices are not
    kept, to learn the time, and how many slices the transforms make of it. With `skip_bad` cases that prove to be
    faulty in that are left out; others may still prove to be when they are prepared.

    Raises:
        DataError: A file is missing or has no usable header, with all faults listed; or the one case cannot be
            prepared, with `skip_bad` none can.
        DefinitionError: As `prepare.prepare`.
    """
    recipe = make_recipe(
        preparation.channels, preparation.rule, labels, regions=regions, seed=seed, files=preparation.files
    )
    where = root or stores_folder()
    work, faults = list_jobs(cases, split, recipe, known)
    made = {job.name: entry for job in work if (entry := read_entry(where / recipe.fingerprint / job.name))}
    missing = [job for job in work if job.name not in made]
    depths: dict[str, int] = {}
    for job in missing:
        try:
            depths[job.name] = _depth(job, preparation)
        except DataError as error:
            faults += error.faults
    ready = len(work) - len(missing)
    missing = [job for job in missing if job.name in depths]
    if faults and not skip_bad:
        raise DataError("\n".join(fault.text() for fault in faults), faults)
    missing, seconds, scale = _trial(missing, depths, preparation, recipe, skip_bad=skip_bad, ready=ready)
    bound, exact = 0, True
    for job in missing:
        selection = recipe.selection(job.role)
        most = round(depths[job.name] * scale)
        bound += most if selection.draw is None else min(most, selection.draw)
        exact &= not selection.content
    height, width = preparation.rule.size
    truth = 1 if labels is not None else 0
    each = height * width * (len(preparation.inputs) * np.dtype(preparation.rule.store).itemsize + truth)
    there = sum(sum(entry.sizes.values()) for entry in made.values())
    return StorePlan(
        cases=ready + len(missing),
        ready=ready,
        slices=bound + sum(len(entry.positions) for entry in made.values()),
        bytes=bound * each + there,
        missing_bytes=bound * each,
        free_bytes=free_bytes(where),
        seconds=seconds * len(missing) / max(1, min(jobs, len(missing))),
        exact=exact,
    )


def _trial(
    missing: list[Job],
    depths: Mapping[str, int],
    preparation: Preparation,
    recipe: Recipe,
    *,
    skip_bad: bool,
    ready: int,
) -> tuple[list[Job], float, float]:
    """Prepare the first case that can be: those from it on, its seconds, and how many slices come of one."""
    faults: list[Fault] = []
    for number, job in enumerate(missing):
        try:
            with one_case(job.case, writes=True):
                return missing[number:], *_tried(job, preparation, recipe, depths[job.name])
        except DataError as error:
            if not skip_bad:
                raise
            faults += error.faults
    if faults and not ready:
        raise DataError("\n".join(fault.text() for fault in faults), faults)
    return [], 0.0, 1.0


def _depth(job: Job, preparation: Preparation) -> int:
    """Number of slices that a case makes as it is stored, from the header alone."""
    channel = preparation.reference or preparation.channels[0]
    path = job.case.files[channel]
    try:
        grid = preparation.files.geometry(path)
        fitting, depth = stored_fitting(grid.shape, grid.affine, preparation.rule)
    except (DataError, ValueError) as error:
        fault = Fault(
            job.case.id,
            job.case.position,
            channel,
            *found_and_remedy(error),
            path,
        )
        raise DataError(fault.text(), [fault]) from error
    return fitting.count(depth)


def stored_fitting(shape: Sequence[int], affine: NDArray[np.float64], rule: SliceRule) -> tuple[Fitting, int]:
    """How the slices of a volume are brought to size, and how many it has, before any transform.

    Args:
        shape: (I, J, K) as stored.
        affine: (4, 4), of these axes.
        rule: Along which axis, to what size and how.

    Raises:
        ValueError: The axes have no directions.
    """
    stack = stored_stack(shape, affine, rule.axis)
    return FITTINGS[rule.fit](stack, rule.size, rule.overlap), stack[0]


def stored_stack(shape: Sequence[int], affine: NDArray[np.float64], axis: AxisName) -> tuple[int, int, int]:
    """(S, H, W) of the slices of a volume along an axis, before any transform; arguments as of `stored_fitting`."""
    source = io_orientation(affine)[:, 0]
    turned = [int(shape[int(np.flatnonzero(source == each)[0])]) for each in range(3)]
    return AXES[axis].seen((turned[0], turned[1], turned[2]))


def _tried(job: Job, preparation: Preparation, recipe: Recipe, depth: int) -> tuple[float, float]:
    """Seconds for one case, and how many slices the transforms make of one."""
    begin = time.perf_counter()
    made = make_slices(job, preparation, recipe)
    with tempfile.TemporaryFile() as file:  # it has no name: of slices of a patient a kill leaves nothing
        for array in (made.image, made.label):
            if array is not None:
                np.save(file, array)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - begin, made.whole / depth
