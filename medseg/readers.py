"""Readers for MONAI's `LoadImage` and `LoadImaged`: what medseg reads, with its geometry and its refusals.

    LoadImaged(keys=["image", "label"], reader=medseg.readers.NiftiReader())

| reader          | the array that it gives                        | its affine leads to                           |
|-----------------|------------------------------------------------|-----------------------------------------------|
| `NiftiReader`   | (I, J, K), the axes as stored in the file      | mm, RAS+, as nibabel's                        |
| `PictureReader` | (C, H, W), row-major: row 0 is on top          | left and posterior, a pixel standing for 1 mm |
| `DicomReader`   | (C, H, W), row-major: row 0 is the first one   | the same                                      |

MONAI's own reader of pictures gives (W, H). Several files are joined as channels, if they lie on one grid.

`LoadImage` asks a reader twice, for an object by `read` and for its array by `get_data`. What `read` refuses is tried
again with every reader that MONAI has; so these refuse in `get_data`: a damaged file ends in a `RefusedError` that
says why, never in what another reader makes of it. Inside a `Compose` that error is the `__cause__` of MONAI's.

The text fields of a file, which may name a patient, are left in it. (MONAI itself notes the path in the metadata.)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import PathLike as AnyPath
from monai.data.image_reader import ImageReader
from monai.utils.enums import MetaKeys, SpaceKeys
from numpy.typing import NDArray

from medseg.errors import DataError
from medseg.geometry.grid import Geometry, PixelGrid
from medseg.images.dicom.reader import read_dicom
from medseg.images.dicom.sniff import SUFFIXES as DICOM_SUFFIXES
from medseg.images.dicom.sniff import is_dicom
from medseg.images.dicom.window import Window
from medseg.images.nifti.read import read_nifti
from medseg.images.pictures.read import SUFFIXES, ChannelRule, Picture, read_picture
from medseg.images.refusal import RefusedError, found_and_remedy

__all__ = ["DicomReader", "NiftiReader", "PictureReader", "RefusedError"]


class _Reader(ImageReader):
    """What the three have in common: when they read, and what they say of a file."""

    suffixes: tuple[str, ...]

    def verify_suffix(self, filename: Sequence[AnyPath] | AnyPath) -> bool:
        """Whether all files are named as this reader's are; what they hold, reading tells."""
        return all(path.name.lower().endswith(self.suffixes) for path in _paths(filename))

    def read(self, data: Sequence[AnyPath] | AnyPath, **_: Any) -> tuple[Path, ...]:
        """Take note of the files, which `get_data` opens: see above."""
        return _paths(data)

    def get_data(self, img: Sequence[AnyPath] | AnyPath) -> tuple[NDArray[Any], dict[str, Any]]:
        """Read the array and what is known of it.

        Args:
            img: What `read` gave.

        Returns:
            The array; and under MONAI's names `affine` and `original_affine` (4x4 float64), `spatial_shape`,
            `pixdim` (as in NIfTI: voxel sizes in mm from place 1), `space` and `original_channel_dim`, and under
            `notes` what is odd about the files.

        Raises:
            RefusedError: A file cannot be used, or the files lie on several grids.
        """
        found = [self._refusing(path) for path in _paths(img)]
        arrays, (first, *others) = [array for array, _, _ in found], [grid for _, grid, _ in found]
        for other in others:
            if not first.same_grid(other):
                raise RefusedError(
                    f"the files lie on several grids: {other.text()}, where the first has {first.text()}",
                    "Bring them to one grid, or load them under keys of their own.",
                )
        notes = dict.fromkeys(note for _, _, of_file in found for note in of_file)
        return self._joined(arrays, first, "; ".join(notes))

    def _refusing(self, path: Path) -> tuple[NDArray[Any], Geometry, tuple[str, ...]]:
        try:
            return self._one(path)
        except DataError as error:
            raise RefusedError(*found_and_remedy(error)) from error

    @abstractmethod
    def _one(self, path: Path) -> tuple[NDArray[Any], Geometry, tuple[str, ...]]:
        """Array, grid and notes of one file."""

    @abstractmethod
    def _joined(
        self, arrays: list[NDArray[Any]], grid: Geometry, notes: str
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """One array of all files."""


class NiftiReader(_Reader):
    """NIfTI volumes, `.nii` and `.nii.gz`: (I, J, K) with the axes as stored; two-dimensional ones have K = 1.

    Integers stay integers unless the header scales them (LoadImage then makes its own `dtype` of them).
    """

    suffixes = (".nii", ".nii.gz")

    def _one(self, path: Path) -> tuple[NDArray[Any], Geometry, tuple[str, ...]]:
        stored = read_nifti(path)
        return stored.data, stored.geometry, stored.notes

    def _joined(
        self, arrays: list[NDArray[Any]], grid: Geometry, notes: str
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        if len(arrays) == 1:
            return arrays[0], _known(grid.affine, grid.shape, float("nan"), notes)
        return np.stack(arrays), _known(grid.affine, grid.shape, 0, notes)


class _PixelReader(_Reader):
    def _joined(
        self, arrays: list[NDArray[Any]], grid: Geometry, notes: str
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        by_row = grid.affine[:, [1, 0, 2, 3]]  # the axes of a PixelGrid are column, row, slice
        return np.concatenate(arrays), _known(by_row, arrays[0].shape[1:], 0, notes)


class PictureReader(_PixelReader):
    """PNG, JPEG, TIFF, BMP and `.npy`: (C, H, W), row 0 on top, by the rules of `medseg.images.pictures.read`.

    Args:
        channels: `grey` for one channel, `rgb` for three.
    """

    suffixes = SUFFIXES

    def __init__(self, channels: ChannelRule = "grey") -> None:
        super().__init__()
        self.channels = _known_rule(channels)

    def _one(self, path: Path) -> tuple[NDArray[Any], Geometry, tuple[str, ...]]:
        if is_dicom(path):
            raise RefusedError(
                "a DICOM image where a picture was expected", "Read it with medseg.readers.DicomReader."
            )
        return _pixels(read_picture(path, self.channels))


class DicomReader(_PixelReader):
    """DICOM images of one frame: (C, H, W), row 0 the first stored, by the rules of `medseg.images.dicom.reader`.

    Args:
        channels: `grey` for one channel, `rgb` for three.
        window: What greys mean: `file` shows them through the window of the file (0 to 255), `none` gives modality
            values such as Hounsfield units, and (centre, width) a window of its own.
    """

    suffixes = DICOM_SUFFIXES

    def __init__(self, channels: ChannelRule = "grey", window: Window = "file") -> None:
        super().__init__()
        self.channels, self.window = _known_rule(channels), window

    def _one(self, path: Path) -> tuple[NDArray[Any], Geometry, tuple[str, ...]]:
        return _pixels(read_dicom(path, self.channels, self.window))


def _pixels(picture: Picture) -> tuple[NDArray[Any], Geometry, tuple[str, ...]]:
    height, width = picture.pixels.shape[1:]
    return picture.pixels, PixelGrid.of(height, width), picture.notes


def _known_rule(channels: ChannelRule) -> ChannelRule:
    if channels not in ("grey", "rgb"):
        raise ValueError(f"channels is {channels!r}, expected grey or rgb")
    return channels


def _known(affine: NDArray[np.float64], shape: Sequence[int], channel: float, notes: str) -> dict[str, Any]:
    sizes = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return {
        MetaKeys.AFFINE: affine.copy(),
        MetaKeys.ORIGINAL_AFFINE: affine.copy(),
        MetaKeys.SPATIAL_SHAPE: np.array(shape),
        MetaKeys.PIXDIM: np.array([1.0, *sizes, 0.0, 0.0, 0.0, 0.0]),
        MetaKeys.SPACE: SpaceKeys.RAS,
        MetaKeys.ORIGINAL_CHANNEL_DIM: channel,
        "notes": notes,
    }


def _paths(named: Sequence[AnyPath] | AnyPath) -> tuple[Path, ...]:
    return (Path(named),) if isinstance(named, str | PathLike) else tuple(Path(each) for each in named)
