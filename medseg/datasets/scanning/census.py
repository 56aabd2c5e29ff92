"""What the files of cases hold: grids, values of label maps, intensities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.case import Case, folders_of
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.reading.masks import read_truth
from medseg.datasets.reading.placed import CaseGrid
from medseg.datasets.reading.unforeseen import ended
from medseg.datasets.reading.volume import by_file
from medseg.datasets.scanning.colours import spread
from medseg.datasets.scanning.memory import Memory
from medseg.datasets.scanning.seen import Seen
from medseg.errors import DataError
from medseg.geometry.grid import Geometry, StoredImage
from medseg.geometry.placing import on_grid, same_places
from medseg.images.formats import FileKind
from medseg.images.refusal import found_and_remedy
from medseg.machine.crew.crew import Crew, Needs, crew_of, in_order
from medseg.progress import Progress, Silent

WHOLE, MASKS = 40, 1000
"""Of so many cases all files are read, and of so many the label map; spread evenly over the data set."""

_SAMPLED = 2000  # intensities of the foreground that are kept of a channel of a case
_MOST_VALUES = 256

#: A mask whose most frequent value is white, with so many shades beside, was resized or saved as JPEG.
_WHITE, _SHADES = 255, 6

_FEWEST_FOR_PROCESSES = 16

_MADE_UP = LabelRule(("background", "foreground"), {0: "background"}, None, "foreground")


def census(
    cases: Sequence[Case],
    manifest: Manifest,
    *,
    jobs: int | Crew = 1,
    progress: Progress | None = None,
    remember: Path | None = None,
) -> tuple[Seen, ...]:
    """Read some of the cases.

    Args:
        cases: Of the data set.
        manifest: Says how files are read; its label values do not matter.
        jobs: Processes, or who reads.
        progress: Where to say how far it is.
        remember: Folder of earlier findings; files that did not change since are not read again.
    """
    chosen = spread(list(range(len(cases))), MASKS)
    whole = set(spread(chosen, WHOLE))
    asked = [
        (cases[each], manifest.channels if each in whole else ())
        for each in chosen
        if each in whole or cases[each].mask is not None  # objects of one class mean the same in every case
    ]
    files = manifest.files()
    memory = None if remember is None else Memory(remember, files)
    stamps = [None if memory is None else memory.stamp(case, channels) for case, channels in asked]
    known = {stamp: seen for stamp in stamps if memory and stamp and (seen := memory.recall(stamp))}
    unread = [each for each, stamp in zip(asked, stamps, strict=True) if stamp is None or stamp not in known]
    fresh = _read(unread, files, crew_of(jobs))
    found = []
    with (progress or Silent()).bar("looking into files", len(unread), "cases") as bar:
        for stamp in stamps:
            if stamp is not None and stamp in known:
                found.append(known[stamp])
                continue
            found.append(next(fresh))
            bar.advance()
            if memory is not None and stamp is not None:
                memory.keep(stamp, found[-1])
    return tuple(found)


def _read(asked: Sequence[tuple[Case, Sequence[str]]], files: FileKind, crew: Crew) -> Iterator[Seen]:
    tasks = [(case, tuple(channels), files) for case, channels in asked]
    needs = Needs(folders_of(case for case, _ in asked))
    found = crew.results(tasks, _looked_into, _lost, fewest=_FEWEST_FOR_PROCESSES, needs=needs)
    yield from (seen for _, seen in in_order(found, tasks))


def _looked_into(task: tuple[Case, tuple[str, ...], FileKind]) -> Seen:
    return look_into(*task)


def _lost(task: tuple[Case, tuple[str, ...], FileKind]) -> Seen:
    case, channels, _ = task
    return Seen(bool(channels), problem=ended(case).found)


def look_into(case: Case, channels: Sequence[str], files: FileKind) -> Seen:
    """What the files of a case hold.

    Args:
        case: Which.
        channels: Those to read; none to read the label map alone.
        files: Their kind.
    """
    try:
        return _looked(case, channels, files)
    except DataError as error:
        return Seen(bool(channels), problem=found_and_remedy(error)[0])
    except Exception as error:  # noqa: BLE001  # an odd file must not hide what the others hold
        return Seen(bool(channels), problem=f"reading ended with {type(error).__name__}")


def _looked(case: Case, channels: Sequence[str], files: FileKind) -> Seen:
    truth, faults = read_truth(case, CaseGrid(files)) if case.has_truth else (None, [])
    read: dict[str, StoredImage] = {}
    for path, held in by_file(case, channels).items():
        read |= zip(held, files.read(path, held) if path else [], strict=False)
    grid, fitting = _shared(read, truth)
    images = {}
    for channel, stored in read.items():
        if (placed := on_grid(stored, grid or stored.geometry)) is not None:
            images[channel] = placed.data
    problem, mask, grey = "", None, False
    if truth is not None:
        grid = grid or truth.geometry
        placed = on_grid(truth, grid)
        problem = "" if placed is not None else "the label map lies on another grid than the image"
        mask = None if placed is None else placed.data
        grey = _grey(truth.data) if case.mask is not None else False
        if mask is not None and not files.flat and _counts(mask) is None:
            problem = f"the label map holds broken numbers, or more than {_MOST_VALUES} values"
    elif faults:
        problem, grey = faults[0].found, _tells_of_shades(faults[0].found)
    if grid is None:
        return Seen(bool(channels), problem=problem or "nothing could be read", grey=grey)
    shape, spacing = _in_ras(grid)
    return Seen(
        bool(channels),
        shape,
        spacing,
        grid.orientation,
        None if mask is None else _counts(mask),
        grey,
        _kept(images) if images else 1.0,
        None if mask is None else _window(grid.to_ras(mask != 0)),
        {name: _sample(data, mask) for name, data in images.items()},
        problem,
        fitting if len(images) < len(read) else (),
    )


def _shared(
    read: Mapping[str, StoredImage], truth: StoredImage | None
) -> tuple[Geometry | None, tuple[str, ...]]:
    """The grid of a case and the channels that lie on it: that of the label map where some do, else of the first."""
    grids = [each.geometry for each in read.values()]
    drawn = [each for each in grids if truth is not None and same_places(each, truth.geometry)]
    grid = next(iter((*drawn, *grids)), None)
    return grid, tuple(name for name, each in read.items() if grid and same_places(each.geometry, grid))


def _in_ras(grid: Geometry) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    turned = grid.to_ras(np.empty(grid.shape, dtype=bool))
    sizes = np.sqrt((grid.ras_affine[:3, :3] ** 2).sum(axis=0))
    i, j, k = turned.shape
    return (i, j, k), (float(sizes[0]), float(sizes[1]), float(sizes[2]))


def _window(marked: NDArray[Any]) -> tuple[int, int, int] | None:
    """Sides of the smallest box around the centre that holds all that is marked (I, J, K); None where nothing is."""
    sides = []
    for axis in range(marked.ndim):
        along = np.flatnonzero(marked.any(axis=tuple(each for each in range(marked.ndim) if each != axis)))
        if not along.size:
            return None
        middle = (marked.shape[axis] - 1) / 2
        sides.append(int(np.ceil(2 * max(middle - along[0], along[-1] - middle))) + 1)
    i, j, k = sides
    return i, j, k


def _counts(mask: NDArray[Any]) -> dict[int, int] | None:
    values, counts = np.unique(mask, return_counts=True)
    if len(values) > _MOST_VALUES or not np.array_equal(values, np.round(values)):
        return None
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def _grey(mask: NDArray[Any]) -> bool:
    if mask.dtype.kind == "f" and not np.array_equal(mask, np.round(mask)):
        return True
    values, counts = np.unique(mask[mask != 0], return_counts=True)
    if values.size > _SHADES and values[np.argmax(counts)] == _WHITE:
        return True
    try:
        _MADE_UP.refuse_made_up(mask)
    except DataError:
        return True
    return False


def _tells_of_shades(found: str) -> bool:
    return "JPEG" in found or "interpolated" in found


def _kept(images: Mapping[str, NDArray[Any]]) -> float:
    """Share of the box around what is not 0 in any channel."""
    filled = np.zeros(next(iter(images.values())).shape, dtype=bool)
    for data in images.values():
        filled |= data != 0
    share = 1.0
    for axis in range(filled.ndim):
        along = np.flatnonzero(filled.any(axis=tuple(each for each in range(filled.ndim) if each != axis)))
        share *= (along[-1] - along[0] + 1) / filled.shape[axis] if along.size else 1.0
    return share


def _sample(data: NDArray[Any], mask: NDArray[Any] | None) -> tuple[float, ...]:
    """Intensities where the label map is not 0; of all voxels where there is none."""
    values = data[mask != 0] if mask is not None and mask.any() else data.ravel()
    values = values[np.isfinite(values)]
    if not values.size:
        return ()
    drawn = np.random.default_rng(1234).integers(0, values.size, size=min(_SAMPLED, values.size))
    return tuple(float(each) for each in values[drawn])
