"""One case in memory: all channels and the truth on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.cases.case import Case
from medseg.cases.labels import LabelRule
from medseg.cases.reading.nifti import Geometry, read_nifti
from medseg.errors import DataError, Fault


@dataclass(frozen=True)
class Volume:
    """All channels and the truth of one case, RAS+.

    Attributes:
        image: (C, I, J, K) float32, raw intensities; I runs to the patient's right, J to anterior, K up.
        label: (I, J, K) uint8 class indices, None without a truth.
        geometry: The grid of the first channel's file, which leads back to its own order of axes.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8] | None
    geometry: Geometry


def read_volume(case: Case, channels: Sequence[str], labels: LabelRule | None) -> Volume:
    """Read one case.

    Args:
        case: Whose files to read.
        channels: Which channels, in this order.
        labels: How to read the truth; None to leave it unread.

    Raises:
        DataError: A file cannot be used; `faults` holds one fault with the part and the path.
    """
    stored = [_read(case, channel) for channel in channels]
    geometry = stored[0][1]
    for channel, (_, other) in zip(channels, stored, strict=True):
        _same_grid(case, channel, geometry, other)
    image = np.stack([geometry.to_ras(data) for data, _ in stored]).astype(np.float32)
    if not np.isfinite(image).all():
        bad = channels[int(np.argmin(np.isfinite(image).all(axis=(1, 2, 3))))]
        raise _failed(case, bad, "the image holds NaN or infinite values", "Export the series again.")
    if labels is None or case.mask is None:
        return Volume(image, None, geometry)
    data, other = _read(case, "mask")
    _same_grid(case, "mask", geometry, other)
    try:
        return Volume(image, labels.encode(geometry.to_ras(data), image), geometry)
    except DataError as error:
        remedy = "Name the value under 'label_values' of the manifest, or leave the case out."
        raise _failed(case, "mask", str(error), remedy) from error


def _read(case: Case, part: str) -> tuple[NDArray[Any], Geometry]:
    try:
        image = read_nifti(case.files[part])
    except KeyError:
        raise _failed(case, part, "the file is missing", "Add it, or leave the case out.") from None
    except DataError as error:
        raise _failed(
            case, part, str(error), "Unpack or copy the file again, or leave the case out."
        ) from error
    return image.data, image.geometry


def _same_grid(case: Case, part: str, wanted: Geometry, met: Geometry) -> None:
    if not wanted.same_grid(met):
        raise _failed(
            case,
            part,
            f"it lies on another grid: {met.shape} voxels of {_mm(met)} mm, {met.orientation}, "
            f"where the first channel has {wanted.shape} of {_mm(wanted)} mm, {wanted.orientation}"
            f" (affines differ by up to {np.abs(wanted.affine - met.affine).max():.4g})",
            "Register the files to one grid.",
        )


def _mm(geometry: Geometry) -> str:
    return " x ".join(f"{size:.3g}" for size in geometry.spacing)


def _failed(case: Case, part: str, met: str, remedy: str) -> DataError:
    fault = Fault(case.id, case.position, part, met, remedy, case.files.get(part))
    return DataError(fault.text(), [fault])
