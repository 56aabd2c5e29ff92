"""Whether DICOM files are slices of series, and no pictures of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from medseg.datasets.scanning.folder import Entry
from medseg.errors import DataError

_LOOKED_AT = 30
_LEAST = 3  # files of a series


def of_series(entries: Sequence[Entry]) -> bool:
    """Whether the fullest folder holds one series alone: a folder of a class holds pictures of several."""
    from medseg.images.dicom.reader import dicom_tag  # noqa: PLC0415 - pydicom takes a while

    folders = Counter(entry.folders for entry in entries)
    ((fullest, count),) = folders.most_common(1) or [((), 0)]
    if count < _LEAST:
        return False
    found: Counter[str] = Counter()
    for entry in [each for each in entries if each.folders == fullest][:_LOOKED_AT]:
        try:
            found[dicom_tag(entry.path, "SeriesInstanceUID")] += 1
        except DataError:
            continue
    return len(found) == 1 and "" not in found and found.total() >= _LEAST
