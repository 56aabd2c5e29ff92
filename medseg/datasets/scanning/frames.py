"""Pictures of which a file holds several: frames of DICOM, pages of TIFF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medseg.datasets.case import Case
from medseg.datasets.scanning.colours import spread
from medseg.datasets.scanning.layout import Layout
from medseg.errors import DataError
from medseg.images.formats import FileKind, PictureFiles

_LOOKED_AT = 12  # cases, spread over the data set: a header each


def with_frames(layout: Layout, cases: Sequence[Case], files: FileKind) -> Layout:
    """A layout of pictures that says that a file's pictures are slices, where a file holds several.

    Args:
        layout: As names tell it.
        cases: That it finds.
        files: As it reads them.
    """
    rule = layout.fields.get("pictures")
    if rule is None or not isinstance(files, PictureFiles) or not files.flat:
        return layout
    several = replace(files, flat=False)
    paths = [path for case in spread(list(cases), _LOOKED_AT) for path in case.images.values()]
    if not any(_count(several, path) > 1 for path in paths):
        return layout
    return replace(
        layout,
        fields={**layout.fields, "pictures": {**rule, "frames": "slices"}},
        reasons=(*layout.reasons, "files hold several pictures of one size, which are the slices of a case"),
    )


def _count(files: PictureFiles, path: Path) -> int:
    try:
        return files.geometry(path).shape[2]
    except DataError:
        return 0
