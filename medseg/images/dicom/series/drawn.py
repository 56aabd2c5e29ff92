"""Label maps that are DICOM objects, by their modality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medseg.geometry.grid import StoredImage
from medseg.images.dicom.attributes import COPY
from medseg.images.dicom.header import tag
from medseg.images.dicom.series.contours import read_contours
from medseg.images.dicom.series.read import series_of
from medseg.images.dicom.series.segmentation import read_segments
from medseg.images.dicom.series.structures import Structures
from medseg.images.refusal import RefusedError

_READERS = {"SEG": read_segments, "RTSTRUCT": read_contours}


def read_drawn(path: Path, slices: Sequence[Path], structures: Structures) -> StoredImage:
    """Read a DICOM SEG or RTSTRUCT as a label map on the grid of a series.

    Args:
        path: Of the object.
        slices: Files of the series.
        structures: Which of its structures are which value.

    Raises:
        DataError: It cannot be read, lies elsewhere, or has none of the structures.
    """
    reader = _READERS.get(tag(path, "Modality"))
    if reader is None:
        raise RefusedError(
            "the DICOM file is neither a segmentation (SEG) nor a structure set (RTSTRUCT)", COPY
        )
    return reader(path, series_of(slices), structures)
