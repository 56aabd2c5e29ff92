"""The kinds of files that images and truths are stored in: each reads its own into volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from medseg.geometry.grid import Geometry, PixelGrid, StoredImage
from medseg.images.dicom.reader import (
    decoders,
    dicom_frames_size,
    dicom_size,
    dicom_tag,
    read_dicom,
    read_dicom_frames,
)
from medseg.images.dicom.sniff import SUFFIXES as DICOM_SUFFIXES
from medseg.images.dicom.sniff import is_dicom
from medseg.images.dicom.window import Window
from medseg.images.nifti.read import nifti_geometry, read_nifti, read_stacked
from medseg.images.pictures.read import (
    SUFFIXES,
    ChannelRule,
    Picture,
    picture_size,
    pictures_size,
    read_mask,
    read_masks,
    read_picture,
    read_pictures,
)
from medseg.images.refusal import RefusedError


class FileKind(Protocol):
    """How files of one kind are read; without state, so that it may be sent to another process."""

    @property
    def noun(self) -> str:
        """What such files are called, in the plural."""

    @property
    def measured(self) -> bool:
        """Whether such files say how large a voxel is."""

    @property
    def flat(self) -> bool:
        """Whether each is one slice, so that a case is."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of their names, in lower case; empty where any name may be one."""

    def read(self, path: Path, channels: Sequence[str]) -> list[StoredImage]:
        """Read some channels, all of which the file holds, in the order given.

        Raises:
            DataError: The file cannot be used; the message holds no path.
        """

    def read_mask(self, path: Path) -> StoredImage:
        """Read a label map, with its values as stored.

        Raises:
            DataError: As `read`.
        """

    def geometry(self, path: Path) -> Geometry:
        """The grid of a file, from its header alone.

        Raises:
            DataError: It has no header that can be read.
        """

    def tag(self, path: Path, keyword: str) -> str:
        """What a file says of itself under a name, such as DICOM's `PatientID`; empty where it says nothing.

        Raises:
            DataError: Files of this kind can never have it.
        """

    def meaning(self) -> Mapping[str, Any]:
        """All that decides what `read` gives for a file, as plain data."""


@dataclass(frozen=True)
class NiftiFiles:
    """`.nii` and `.nii.gz`: one channel a file."""

    noun: str = "NIfTI"
    measured: bool = True
    flat: bool = False
    suffixes: tuple[str, ...] = (".nii", ".nii.gz")

    def read(self, path: Path, channels: Sequence[str]) -> list[StoredImage]:
        """The one channel of the file."""
        stored = read_nifti(path)
        return [stored for _ in channels]

    def read_mask(self, path: Path) -> StoredImage:
        """The label map."""
        return read_nifti(path)

    def geometry(self, path: Path) -> Geometry:
        """Shape and affine."""
        return nifti_geometry(path)

    def tag(self, path: Path, keyword: str) -> str:  # noqa: ARG002 - as the other kinds
        """Nothing."""
        return ""

    def meaning(self) -> Mapping[str, Any]:
        """Nothing but its kind."""
        return {"kind": "nifti"}


@dataclass(frozen=True)
class StackedNiftiFiles(NiftiFiles):
    """`.nii` and `.nii.gz` with all channels of a case in one file, along its fourth axis; label maps have three.

    Attributes:
        planes: Names of a file's channels, in their order.
    """

    planes: tuple[str, ...] = ()

    def read(self, path: Path, channels: Sequence[str]) -> list[StoredImage]:
        """The channels that were asked for."""
        stored = read_stacked(path, len(self.planes))
        return [stored[self.planes.index(channel)] for channel in channels]

    def meaning(self) -> Mapping[str, Any]:
        """Its kind, and which channel is where."""
        return {"kind": "nifti", "planes": list(self.planes)}


@dataclass(frozen=True)
class PictureFiles:
    """Pictures as volumes of one slice: rows stay rows. DICOM images of one frame are among them.

    Where they are not `flat`, a file may hold several pictures, which are the slices of its volume: frames of DICOM,
    pages of TIFF.

    Attributes:
        rule: `grey`: one channel a file; `rgb`: three.
        planes: Names of a file's channels, where it holds three.
        mask_above: A mask is what is brighter than this; None takes its values as they are.
        window: How values of DICOM are shown: by the window of the `file`, as they are (`none`), or by a
            centre and width in modality units; see `medseg.images.dicom.reader`.
    """

    rule: ChannelRule
    planes: tuple[str, ...]
    mask_above: int | None = None
    noun: str = "pictures"
    measured: bool = False
    flat: bool = True
    suffixes: tuple[str, ...] = (*SUFFIXES, *DICOM_SUFFIXES)
    window: Window = "file"

    def read(self, path: Path, channels: Sequence[str]) -> list[StoredImage]:
        """The planes of the picture that were asked for."""
        pictures = self._pictures(path)
        if self.rule == "grey":
            return [self._stored(pictures, 0) for _ in channels]
        return [self._stored(pictures, self.planes.index(channel)) for channel in channels]

    def _pictures(self, path: Path) -> list[Picture]:
        dicom = is_dicom(path)
        if self.flat:
            return [read_dicom(path, self.rule, self.window) if dicom else read_picture(path, self.rule)]
        return read_dicom_frames(path, self.rule, self.window) if dicom else read_pictures(path, self.rule)

    def read_mask(self, path: Path) -> StoredImage:
        """The label or instance map."""
        if is_dicom(path):
            raise RefusedError(
                "a mask in DICOM, whose values are for showing, where a label or instance map was expected",
                "Save it as a PNG, TIFF or .npy of one number a pixel, or leave the case out.",
            )
        if self.flat:
            return self._stored([read_mask(path, above=self.mask_above)], 0)
        return self._stored(read_masks(path, above=self.mask_above), 0)

    def _stored(self, pictures: Sequence[Picture], plane: int) -> StoredImage:
        first = pictures[0]
        height, width = first.pixels.shape[1:]
        pixels = first.pixels[plane].T[..., None]
        if len(pictures) > 1:
            pixels = np.stack([each.pixels[plane] for each in pictures]).T
        grid = PixelGrid.of(height, width, None if self.flat else len(pictures))
        notes = tuple(dict.fromkeys(note for each in pictures for note in (*each.notes, *grid.assumed)))
        return StoredImage(pixels, grid, notes, first.turned, all(each.made_up for each in pictures))

    def geometry(self, path: Path) -> Geometry:
        """Height and width, and how many slices."""
        if self.flat:
            return PixelGrid.of(*(dicom_size(path) if is_dicom(path) else picture_size(path)))
        count, height, width = dicom_frames_size(path) if is_dicom(path) else pictures_size(path)
        return PixelGrid.of(height, width, count)

    def tag(self, path: Path, keyword: str) -> str:
        """The text of an attribute of DICOM; empty in pictures of other kinds."""
        return dicom_tag(path, keyword) if is_dicom(path) else ""

    def meaning(self) -> Mapping[str, Any]:
        """The rules, and the library that decodes."""
        return {
            "kind": "pictures",
            "rule": self.rule,
            "planes": list(self.planes),
            "mask_above": self.mask_above,
            "window": self.window if isinstance(self.window, str) else [float(each) for each in self.window],
            "pillow": version("pillow"),
            "tifffile": version("tifffile"),
            "dicom": decoders(),
            **({} if self.flat else {"frames": "slices"}),
        }


NIFTI = NiftiFiles()
"""What volumes are stored in where no other format is named."""
