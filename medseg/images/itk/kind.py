"""MetaImage, NRRD, Analyze, MGH, GIPL and VTK as a format: `format: itk` of a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from medseg.geometry.grid import Geometry, StoredImage
from medseg.images.beside import beside
from medseg.images.itk.names import METAIMAGE, MGH, NAME, NRRD, OLDER, PAIR
from medseg.images.itk.read import header_of, itk_geometry, read_itk, read_several, stored_channels
from medseg.images.nifti import mgh, pair
from medseg.images.own_format import VolumeFormat


class ItkFiles(VolumeFormat):
    """`.mha`, `.mhd`, `.nrrd`, `.nhdr`, `.hdr` with `.img`, `.mgh`, `.mgz`, `.gipl`, `.vtk`: one channel a file."""

    suffixes: ClassVar[tuple[str, ...]] = (*METAIMAGE, *NRRD, *PAIR, *MGH, *OLDER)
    noun: ClassVar[str] = "volumes in formats such as MetaImage and NRRD"

    def read_image(self, path: Path) -> StoredImage:
        """The one channel of the file."""
        if _is_mgh(path):
            (stored,) = mgh.read_mgh(path)
            return stored
        return pair.read_pair(path) if _is_pair(path) else read_itk(path)

    def geometry(self, path: Path) -> Geometry:
        """Shape and affine, from the header alone."""
        if _is_mgh(path):
            return mgh.mgh_geometry(path)
        return pair.pair_geometry(path) if _is_pair(path) else itk_geometry(path)

    def meaning(self) -> Mapping[str, Any]:
        """Its kind, and the library that reads headers."""
        try:
            itk = version("SimpleITK")
        except PackageNotFoundError:  # Analyze is read without
            itk = ""
        return {"kind": NAME, "version": self.version, "simpleitk": itk}


@dataclass(frozen=True)
class StackedItkFiles(ItkFiles):
    """Such files with all channels of a case in one: several values in each voxel, or along a fourth axis.

    Label maps have one value.

    Attributes:
        planes: Names of a file's channels, in their order.
    """

    planes: tuple[str, ...] = ()

    def read(self, path: Path, channels: Sequence[str]) -> list[StoredImage]:
        """The channels that were asked for."""
        if _is_pair(path):
            stored = pair.read_stacked_pair(path, len(self.planes))
        elif _is_mgh(path):
            stored = mgh.read_mgh(path, len(self.planes))
        else:
            stored = read_several(path, len(self.planes))
        return [stored[self.planes.index(channel)] for channel in channels]

    def geometry(self, path: Path) -> Geometry:
        """Shape and affine, of a file of all channels or of a label map."""
        if _is_pair(path) or _is_mgh(path):
            return super().geometry(path)
        several = stored_channels(path) > 1
        return itk_geometry(path, len(self.planes) if several else 1)

    def meaning(self) -> Mapping[str, Any]:
        """Its kind, and which channel is where."""
        return {**super().meaning(), "planes": list(self.planes)}


def voxels_beside(header: Path) -> Path | None:
    """The file that a header names for its voxels; None where they are in the file itself.

    Raises:
        DataError: The header cannot be read, or leads elsewhere.
    """
    if _is_pair(header):
        return pair.voxels_of(header)
    named = header_of(header).data
    return beside(header, named) if named else None


def _is_mgh(path: Path) -> bool:
    return path.name.lower().endswith(MGH)


def _is_pair(path: Path) -> bool:
    return path.name.lower().endswith(PAIR)
