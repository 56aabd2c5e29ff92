"""The truth of a case as stored: one label map, or a file for each object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from medseg.datasets.case import Case
from medseg.datasets.reading.placed import CaseGrid
from medseg.errors import DataError, Fault
from medseg.geometry.grid import StoredImage
from medseg.geometry.placing import UNTURNED, on_grid, other_grid_message, turned_apart_message
from medseg.images.brighter import half_way
from medseg.images.formats import FileKind
from medseg.images.refusal import RefusedError, SeveralVolumesError, found_and_remedy
from medseg.images.whole import whole


def read_truth(case: Case, grid: CaseGrid) -> tuple[StoredImage | None, list[Fault]]:
    """Read the truth of a case that has one.

    Where each object has a file, they are numbered in the order of their names, from 1; where two overlap the
    later wins, and pixels of none are 0.

    Args:
        case: Which.
        grid: Of the case, whose channels need not be placed.

    Returns:
        The label map, None if there is none that can be used; and what is wrong with its files.
    """
    if (drawn := grid.drawn(case)) is not None:
        try:
            return _whole(_read(drawn, grid.files)), []
        except DataError as error:
            return None, [Fault(case.id, case.position, "mask", *found_and_remedy(error), case.mask)]
    faults: list[Fault] = []
    found: StoredImage | None = None
    notes: list[str] = []
    for number, (path, stored) in enumerate(_pieces(case, grid.files, faults), start=1):
        if found is None:
            found = StoredImage(np.zeros(stored.data.shape, np.int32), stored.geometry, (), stored.turned)
        notes += stored.notes
        turned = on_grid(stored, found.geometry)
        if turned is None:
            problem = other_grid_message(stored.geometry, found.geometry, "the first object")
            remedy = "Draw the objects of a picture on one grid, or leave the case out."
            faults.append(Fault(case.id, case.position, _part(case, path), problem, remedy, path))
            continue
        apart = turned_apart_message(found, stored, "the first object")
        if apart is not None:
            faults.append(Fault(case.id, case.position, _part(case, path), apart, UNTURNED, path))
            continue
        notes += turned.notes
        found.data[turned.data != 0] = number
    return (None if found is None else replace(found, notes=tuple(dict.fromkeys(notes)))), faults


def _pieces(case: Case, files: FileKind, faults: list[Fault]) -> Iterator[tuple[Path, StoredImage]]:
    for path in case.objects:
        try:
            stored = _whole(_read(path, files))
            _refuse_shades(stored)
            yield path, stored
        except DataError as error:
            faults.append(Fault(case.id, case.position, _part(case, path), *found_and_remedy(error), path))


def _read(path: Path, files: FileKind) -> StoredImage:
    try:
        return files.read_mask(path)
    except SeveralVolumesError as error:
        raise RefusedError(
            error.found,
            "Save its label map as one volume, a number for each voxel: of a map for each structure, number them "
            "from 1 in one; of a series, keep the map of the image that is used. Or leave the case out.",
        ) from error


def _whole(stored: StoredImage) -> StoredImage:
    return replace(stored, data=whole(stored.data))


def _refuse_shades(stored: StoredImage) -> None:
    """Refuse the file of one object that holds more than the object and its background."""
    shades = np.unique(stored.data)
    if shades.size > 2 or (shades.size == 2 and shades[0] != 0):
        raise RefusedError(
            f"the mask of one object holds {shades.size} distinct values, expected 0 and one other: it was "
            "interpolated, or saved as JPEG at some time",
            f"Save it anew with two values; or, if what is brighter is the object, set {half_way(shades[-1])} in the "
            "manifest. Else leave the case out.",
        )


def _part(case: Case, path: Path) -> str:
    return f"mask {case.objects.index(path) + 1}"
