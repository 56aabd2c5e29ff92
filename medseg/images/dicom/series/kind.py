"""DICOM series as a kind of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.files.many import files_of
from medseg.geometry.grid import Geometry, StoredImage
from medseg.images.dicom.reader import decoders, dicom_tag
from medseg.images.nifti.read import read_nifti

#: Raised whenever reading gives other values for the same files.
_VERSION = 1


@dataclass(frozen=True)
class SeriesFiles:
    """Series of DICOM images, one a channel: all slices of a series are given as one path (`files_of`).

    Attributes:
        structures: Which structures of a DICOM SEG or RTSTRUCT are which value of the label map: the stored value of
            each class and the names of its structures; later classes win over earlier ones.
    """

    structures: tuple[tuple[int, tuple[str, ...]], ...] = ()
    noun: str = "DICOM series"
    measured: bool = True
    flat: bool = False
    suffixes: tuple[str, ...] = ()

    def read(self, path: Path, channels: Sequence[str]) -> list[StoredImage]:
        """The one channel of the series."""
        from medseg.images.dicom.series.read import read_series  # noqa: PLC0415 - imports pydicom

        stored = read_series(files_of(path))
        return [stored for _ in channels]

    def read_mask(self, path: Path) -> StoredImage:
        """The label map: NIfTI, or what is drawn in DICOM, on the slices whose files are given behind it."""
        drawn, *slices = files_of(path)
        if not slices:
            return read_nifti(drawn)
        from medseg.images.dicom.series.drawn import read_drawn  # noqa: PLC0415 - imports pydicom

        return read_drawn(drawn, slices, self.structures)

    def geometry(self, path: Path) -> Geometry:
        """The grid, from the headers of all slices."""
        from medseg.images.dicom.series.read import series_of  # noqa: PLC0415 - imports pydicom

        return series_of(files_of(path)).geometry

    def tag(self, path: Path, keyword: str) -> str:
        """The text of an attribute of the first file."""
        return dicom_tag(files_of(path)[0], keyword)

    def meaning(self) -> Mapping[str, Any]:
        """Its kind, the libraries that decode, and what structures stand for."""
        return {
            "kind": "dicom series",
            "version": _VERSION,
            "dicom": decoders(),
            "structures": [[value, list(texts)] for value, texts in self.structures],
        }
