"""UIDs of an object, made from all that it says: the same content has the same UIDs, and other content has others."""

from __future__ import annotations

import hashlib

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import generate_uid

NEW_EACH_TIME = frozenset(
    {
        *("InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime"),
        *("SeriesDate", "SeriesTime", "TimezoneOffsetFromUTC"),
        *("DimensionOrganizationSequence", "DimensionIndexSequence"),  # with a UID drawn at each making
        "ContributingEquipmentSequence",  # with the time of making
    }
)
"""Attributes that are new at each making of the same object."""

_OWN = {"SOPInstanceUID", "SeriesInstanceUID"}
_PIXELS = "PixelData"


def identify(made: Dataset) -> None:
    """Give an object, and the series that it alone is in, UIDs made from its content.

    Args:
        made: With its meta information; whatever UIDs it has of its own are replaced.
    """
    digest = _digest(made)
    made.SeriesInstanceUID = generate_uid(entropy_srcs=["series", digest])
    made.SOPInstanceUID = generate_uid(entropy_srcs=["instance", digest])
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID


def _digest(made: Dataset) -> str:
    said = Dataset()
    for element in made:
        if element.keyword not in NEW_EACH_TIME | _OWN | {_PIXELS}:
            said.add(element)
    written = DicomBytesIO()
    written.is_little_endian, written.is_implicit_VR = True, False
    write_dataset(written, said)
    found = hashlib.sha256(written.getvalue())
    found.update(made.PixelData)  # not copied with the rest: it may be large
    return found.hexdigest()
