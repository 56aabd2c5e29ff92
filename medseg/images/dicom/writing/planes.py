"""Where the frames of source images lie, and which voxels of a volume they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medseg.images.refusal import RefusedError

_ANEW = "Give the images of the series that the mask was made of, all of them and no others."

#: DICOM counts x to the left and y to the back, as ITK does; we to the right and to the front.
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

#: By how much of a voxel the grids may differ.
_NEAR = 0.05


@dataclass(frozen=True)
class Plane:
    """A frame of an image.

    Attributes:
        affine: 4x4, from (row, column, 0, 1) to millimetres, LPS+. Source: DICOM PS3.3, C.7.6.2.1.1.
        shape: Rows, columns.
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int]


def planes_of(sources: Sequence[Dataset]) -> list[Plane]:
    """The planes of images of one frame each, or of all frames of one image, in their order.

    Raises:
        RefusedError: One has no place in space.
    """
    try:
        return [plane for source in sources for plane in _planes(source)]
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise RefusedError(
            "a source image does not say where it lies (position, orientation, spacing)", _ANEW
        ) from error


def _planes(source: Dataset) -> Iterator[Plane]:
    shape = int(source.Rows), int(source.Columns)
    if "PerFrameFunctionalGroupsSequence" not in source:
        yield _plane(source.ImagePositionPatient, source.ImageOrientationPatient, source.PixelSpacing, shape)
        return
    shared = source.SharedFunctionalGroupsSequence[0]
    for own in source.PerFrameFunctionalGroupsSequence:
        position, orientation, measures = (
            (own if name in own else shared)[name][0]
            for name in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
        )
        yield _plane(
            position.ImagePositionPatient, orientation.ImageOrientationPatient, measures.PixelSpacing, shape
        )


def _plane(
    position: Sequence[float], orientation: Sequence[float], spacing: Sequence[float], shape: tuple[int, int]
) -> Plane:
    along_row, along_column = np.reshape(np.asarray(orientation, dtype=np.float64), (2, 3))
    affine = np.eye(4)
    affine[:3, 0] = along_column * float(spacing[0])  # from one row to the next
    affine[:3, 1] = along_row * float(spacing[1])
    affine[:3, 2] = np.cross(along_row, along_column)
    affine[:3, 3] = np.asarray(position, dtype=np.float64)
    return Plane(affine, shape)


def on_planes(
    volume: NDArray[np.integer], affine: NDArray[np.float64], planes: Sequence[Plane]
) -> NDArray[np.integer]:
    """The values of a volume on the pixels of planes that are its slices, whatever the order of its axes.

    Args:
        volume: (I, J, K).
        affine: 4x4, from voxel indices to millimetres, RAS+.
        planes: Of equal shape.

    Returns:
        (planes, rows, columns).

    Raises:
        RefusedError: They are not the slices of the volume, or lie off its grid.
    """
    if sum(plane.shape[0] * plane.shape[1] for plane in planes) != volume.size:
        raise RefusedError(
            f"the mask has {volume.size} voxels, its source images have "
            f"{sum(plane.shape[0] * plane.shape[1] for plane in planes)} pixels in {len(planes)} frames",
            _ANEW,
        )
    if len({plane.shape for plane in planes}) > 1:
        raise RefusedError("the source images differ in rows or columns", _ANEW)
    seen = np.zeros(volume.shape, dtype=bool)
    inverse = np.linalg.inv(affine).astype(np.float64)
    found = np.stack([_gathered(volume, inverse, plane, seen) for plane in planes])
    if not seen.all():
        raise RefusedError("two source images lie at the same place", _ANEW)
    return found


def _gathered(
    volume: NDArray[np.integer], inverse: NDArray[np.float64], plane: Plane, seen: NDArray[np.bool_]
) -> NDArray[np.integer]:
    rows, columns = np.indices(plane.shape)
    pixels = np.stack([rows, columns, np.zeros_like(rows), np.ones_like(rows)]).reshape(4, -1)
    exact = (inverse @ _TO_RAS @ plane.affine @ pixels)[:3]
    index = np.rint(exact).astype(np.int64)
    within = (index >= 0).all() and (index < np.reshape(volume.shape, (3, 1))).all()
    if not within or np.abs(exact - index).max() > _NEAR:
        raise RefusedError("the mask does not lie on the grid of its source images", _ANEW)
    at = tuple(index)
    seen[at] = True
    values: NDArray[np.integer] = volume[at].reshape(plane.shape)
    return values
