"""What the structures of a DICOM SEG or RTSTRUCT are called."""

from __future__ import annotations

from pathlib import Path

from pydicom.datadict import tag_for_keyword

from medseg.images.dicom.attributes import COPY
from medseg.images.dicom.header import parsed
from medseg.images.dicom.quiet import quiet
from medseg.images.refusal import RefusedError

_LISTS = {"SegmentSequence": "SegmentLabel", "StructureSetROISequence": "ROIName"}
_TAGS = [tag for keyword in _LISTS if (tag := tag_for_keyword(keyword)) is not None]


def names_of(path: Path) -> tuple[str, ...]:
    """Names of the structures of a file, from its header alone. Private: people write them.

    Segment 0 of a LABELMAP is its background, and no structure.

    Raises:
        DataError: It cannot be read.
    """
    with quiet():
        data, _ = parsed(path, pixels=False, only=_TAGS)
        try:
            found = [
                str(item.get(name) or "")
                for keyword, name in _LISTS.items()
                for item in data.get(keyword) or ()
                if item.get("SegmentNumber") != 0
            ]
        except (
            Exception
        ) as error:  # pydicom converts a value as it is asked for, and raises whatever it meets
            raise RefusedError("its list of structures is damaged", COPY) from error
    return tuple(name for name in found if name)
