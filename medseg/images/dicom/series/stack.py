"""From slices in any order to a volume on one grid, or the reason why they are none.

Slices are ordered by their positions along the normal of their orientation, and their distance is that of their
positions: neither the names of files, InstanceNumber nor SliceThickness tell either. Source: DICOM PS3.3 C.7.6.2.1.1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg.geometry.grid import TOLERANCE_VOXELS, Geometry, unlike_any
from medseg.images.dicom.series.plane import TELLING, Plane, telling
from medseg.images.refusal import RefusedError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From the patient's axes of DICOM to those of medseg: applied once, to the affine."""

_TILTED = 0.1  # degrees between the normal of the slices and the way from the first to the last
_SAME_PLACE = 0.01  # of a pixel: slices that are nearer to each other lie at one place
_NUMBERS = re.compile(r"[-+.0-9]{1,10}(, [-+.0-9]{1,10})*")
_NAMED = 5  # positions in a message
_LONGEST = 200  # letters of values in a message

_ONE_GRID = "Leave out the slices that do not belong to it, export the series anew, or leave the case out."
_RESAMPLE = (
    "Export the series anew with slices at right angles to their stack (without tilt), or leave the case out."
)


@dataclass(frozen=True)
class Series:
    """Slices of one series that make a volume.

    Attributes:
        planes: The slices, in the order of the third axis of the volume.
        shape: (I, J, K): columns, rows, slices.
        affine: 4x4, from voxel indices to world coordinates, mm, RAS+.
    """

    planes: tuple[Plane, ...]
    shape: tuple[int, int, int]
    affine: NDArray[np.float64] = field(compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file of each slice; of a multi-frame image the same for all. Private."""
        return tuple(plane.path for plane in self.planes)

    @property
    def geometry(self) -> Geometry:
        """Where the voxels lie."""
        frames = {plane.reference for plane in self.planes}
        return Geometry(self.shape, self.affine, frame=frames.pop() if len(frames) == 1 else "")


def stacked(planes: Sequence[Plane]) -> Series:
    """Order slices, and check that they make a volume.

    Raises:
        RefusedError: They make none; says why, and at which positions (mm along the normal of the slices).
    """
    _refuse_several_series(planes)
    if len(planes) < 2:
        raise RefusedError(
            "the series has a single slice: how far it reaches is not known, and it makes no volume",
            "Read it as a picture (`pictures` in the manifest), or leave the case out.",
        )
    first = planes[0]
    placed = sorted(planes, key=lambda plane: float(plane.corner @ first.normal))
    _refuse_mixed(placed, lambda plane: plane.size, "sizes (rows x columns)", lambda plane: _by(plane.size))
    _refuse_turned(placed)
    _refuse_mixed(placed, _pixel, "distances of pixels (mm)", lambda plane: _by(plane.spacing))
    at = np.array([float(plane.corner @ first.normal) for plane in placed])
    _refuse_repeated(placed, at)
    _refuse_one_name(placed, at)
    _refuse_gaps(at)
    return _on_grid(placed, at)


def _on_grid(placed: Sequence[Plane], at: NDArray[np.float64]) -> Series:
    first, count = placed[0], len(placed)
    corners = np.stack([plane.corner for plane in placed])
    step = (corners[-1] - corners[0]) / (count - 1)
    apart = float(np.linalg.norm(step))
    tilt = float(np.degrees(np.arccos(min(1.0, float(first.normal @ step) / apart))))
    if tilt > _TILTED:
        raise RefusedError(
            f"the slices are tilted: from {at[0]:.2f} to {at[-1]:.2f} mm each is shifted against the one before (by "
            f"{tilt:.1f} degrees), as with a tilted CT gantry; voxels would be no boxes",
            _RESAMPLE,
        )
    off = np.abs(corners - (corners[0] + np.arange(count)[:, None] * step)).max(axis=1)
    if (off > max(TOLERANCE_VOXELS * min(*first.spacing, apart), 1e-3)).any():
        where = _listed(at[off > TOLERANCE_VOXELS * min(*first.spacing, apart)])
        raise RefusedError(f"slices do not lie in one line: those at {where} mm are beside it", _ONE_GRID)
    affine = first.affine
    affine[:3, 2] = step
    if problem := unlike_any(affine):
        raise RefusedError(f"its place {problem}: the header is damaged", _ONE_GRID)
    rows, columns = first.size
    return Series(tuple(placed), (columns, rows, count), LPS_TO_RAS @ affine)


def _refuse_several_series(planes: Sequence[Plane]) -> None:
    series = len({plane.series for plane in planes})
    if series > 1:
        raise RefusedError(
            f"its files are of {series} series, and a channel is of one", "Tell them apart in the layout."
        )


def _refuse_mixed(
    placed: Sequence[Plane], kind: Callable[[Plane], Hashable], what: str, text: Callable[[Plane], str]
) -> None:
    """Refuse slices of several kinds, and name where the rarer ones lie."""
    counts = Counter(kind(plane) for plane in placed)
    if len(counts) == 1:
        return
    usual = counts.most_common(1)[0][0]
    odd = [plane for plane in placed if kind(plane) != usual]
    normal = placed[0].normal
    where = _listed(np.array([float(plane.corner @ normal) for plane in odd]))
    kinds = ", ".join(dict.fromkeys(text(plane) for plane in placed))
    raise RefusedError(
        f"its {len(placed)} slices have {len(counts)} {what}: {kinds}; others than most have those at {where} mm",
        _ONE_GRID,
    )


def _refuse_turned(placed: Sequence[Plane]) -> None:
    """Refuse slices whose farthest pixel would lie elsewhere by the orientation of the first."""
    first = placed[0]
    farthest = TOLERANCE_VOXELS / max(first.size)

    def turned(plane: Plane) -> bool:
        along = np.abs(plane.along_row - first.along_row), np.abs(plane.along_column - first.along_column)
        return float(np.max(along)) > farthest

    odd = [plane for plane in placed if turned(plane)]
    if odd:
        where = _listed(np.array([float(plane.corner @ plane.normal) for plane in odd]))
        raise RefusedError(
            f"its slices have several orientations: {len(odd)} of {len(placed)} lie otherwise than the first, at "
            f"{where} mm along their own normals, as in a localizer",
            _ONE_GRID,
        )


def _refuse_repeated(placed: Sequence[Plane], at: NDArray[np.float64]) -> None:
    near = np.diff(at) < _SAME_PLACE * min(placed[0].spacing)
    if not near.any():
        return
    places = 1 + int((~near).sum())
    where = _listed(np.unique(np.round(at[1:][near], 3)))
    copies = len({(plane.instance, plane.frame) for plane in placed}) < len(placed)
    if copies:
        raise RefusedError(
            f"the same image is there more than once, at {where} mm",
            "Keep one file of each image, or name a folder that holds but one copy of the data.",
        )
    told = _telling(placed)
    how = f", told apart by {' and '.join(told)}" if told else ""
    keyword, values = next(iter(told.items())) if told else ("AcquisitionNumber", "1")
    raise RefusedError(
        f"{len(placed)} slices lie at {places} position{'s' if places > 1 else ''}{how}; several are at {where} mm",
        f"Name the one that is meant in the layout, beside the other tags of the channel, such as `{keyword}: "
        f"'^{values.split(', ')[0]}$'`; or keep one image of each position."
        if told
        else "Keep one image of each position, or leave the case out.",
    )


def _refuse_one_name(placed: Sequence[Plane], at: NDArray[np.float64]) -> None:
    """Refuse slices at several places that say the same SOPInstanceUID: what refers to one may mean another."""
    counts = Counter((plane.instance, plane.frame) for plane in placed if plane.instance)
    shared = np.array([counts[plane.instance, plane.frame] > 1 for plane in placed])
    if shared.any():
        raise RefusedError(
            f"the slices at {_listed(at[shared])} mm share a SOPInstanceUID with another of them, and each image has "
            "one of its own",
            "Export the series anew, or leave the case out.",
        )


def _telling(placed: Sequence[Plane]) -> dict[str, str]:
    """Attributes by whose values each position is there once for each: keyword, and the values in words."""
    told = [telling(plane) for plane in placed]
    found = {}
    for keyword in TELLING:
        values = Counter(each.get(keyword, "") for each in told)
        if 1 < len(values) <= len(placed) // 2 and len(set(values.values())) == 1:
            listed = sorted(values, key=lambda text: (len(text), text))[:_NAMED]
            found[keyword] = ", ".join(each or "none" for each in listed)
    # Texts, as of a stack's name, may name a patient; those of ImageType are codes.
    return {
        key: text
        for key, text in found.items()
        if len(text) <= _LONGEST and (key == "ImageType" or _NUMBERS.fullmatch(text))
    }


def _refuse_gaps(at: NDArray[np.float64]) -> None:
    steps = np.diff(at)
    usual = float(
        np.sort(steps)[(len(steps) - 1) // 2]
    )  # the lower of two in the middle: a gap is no usual step
    even = np.abs(at - np.linspace(at[0], at[-1], len(at))) <= TOLERANCE_VOXELS * usual
    if even.all():
        return
    wide = steps > 1.5 * usual
    odd = wide if wide.any() else np.abs(steps - usual) > TOLERANCE_VOXELS * usual
    pairs = [f"{at[n]:.2f} and {at[n + 1]:.2f}" for n in np.flatnonzero(odd)[:_NAMED]]
    more = f" and {int(odd.sum()) - _NAMED} more" if odd.sum() > _NAMED else ""
    what = "slices are missing" if wide.any() else "the distances of slices differ"
    raise RefusedError(
        f"{what}: most are {usual:.4g} mm apart, but not those at {', '.join(pairs)} mm{more}",
        "Add the missing files or export the series anew with even distances, or leave the case out.",
    )


def _pixel(plane: Plane) -> tuple[float, float]:
    return round(plane.spacing[0], 4), round(plane.spacing[1], 4)


def _by(pair: tuple[float, float]) -> str:
    return f"{pair[0]:g} x {pair[1]:g}"


def _listed(at: NDArray[np.float64]) -> str:
    more = f" and {at.size - _NAMED} more" if at.size > _NAMED else ""
    return ", ".join(f"{each:.2f}" for each in at[:_NAMED]) + more
