"""Whether DICOM files are slices of series, and no pictures of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from medseg.datasets.scanning.folder import Entry
from medseg.errors import DataError

_LOOKED_AT = 30


def of_series(entries: Sequence[Entry]) -> bool:
    """Whether most files of the fullest folder share their series with another one."""
    from medseg.images.dicom.reader import dicom_tag  # noqa: PLC0415 - pydicom takes a while

    folders = Counter(entry.folders for entry in entries)
    if not folders:
        return False
    ((fullest, count),) = folders.most_common(1)
    if count < 2:
        return False
    found: Counter[str] = Counter()
    for entry in [each for each in entries if each.folders == fullest][:_LOOKED_AT]:
        try:
            found[dicom_tag(entry.path, "SeriesInstanceUID")] += 1
        except DataError:
            continue
    shared = sum(number for series, number in found.items() if series and number > 1)
    return shared > 0.5 * found.total()
