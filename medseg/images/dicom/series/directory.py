"""The directory of a disc: a DICOMDIR lists the files beside and below it, by patient, study and series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from medseg.errors import DataError

_NAME = "DICOMDIR"


def is_directory(name: str) -> bool:
    """Whether a file is the directory of a disc, by its name. Source: DICOM PS3.10, section 8.6."""
    return name.rpartition("/")[2].upper() == _NAME


def of_disc(path: Path) -> Path:
    """The folder that is meant by a path: that of a DICOMDIR which is given in its place, else the path itself."""
    return path.parent if is_directory(path.name) and path.is_file() else path


def missing(path: Path, name: str, there: Collection[str]) -> dict[str, tuple[int, int]]:
    """Series of which some files are there and others are not, as the directory lists them.

    A series of which no listed file is there is not among them: it was left out as a whole, or its files have
    other names.

    Args:
        path: The DICOMDIR.
        name: Its name below the folder of the data, with `/`.
        there: Names of all files below that folder, with `/`.

    Returns:
        How many files are missing and how many are listed, by the UID of the series.

    Raises:
        DataError: It cannot be read.
    """
    known = {_plain(each) for each in there}
    above = name.rpartition("/")[0]
    counts: defaultdict[str, list[bool]] = defaultdict(list)
    for series, listed in _listed(path):
        counts[series].append(_plain(f"{above}/{listed}" if above else listed) in known)
    return {
        series: (found.count(False), len(found))
        for series, found in counts.items()
        if any(found) and not all(found)
    }


def _plain(name: str) -> str:
    """A name as discs, and the systems that copy them, agree on: without capitals, version and ending."""
    return name.casefold().removesuffix(";1").removesuffix(".").removesuffix(".dcm")


def _listed(path: Path) -> Iterator[tuple[str, str]]:
    """Series and name of each file that is listed: records lead to the next of their level and to the first below.

    Source: DICOM PS3.3, F.3.2.2; offsets count from the beginning of the file.
    """
    from medseg.images.dicom.header import parsed  # noqa: PLC0415 - imports pydicom
    from medseg.images.dicom.quiet import quiet  # noqa: PLC0415

    with quiet():
        data = parsed(path, pixels=False)[0]
        try:
            records = {record.seq_item_tell: record for record in data.DirectoryRecordSequence}
            waiting = [(int(data.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity), "")]
            while waiting:
                at, series = waiting.pop()
                record = records.pop(at, None)  # each once: offsets may lead back
                if record is None:
                    continue
                below = str(record.get("SeriesInstanceUID") or series)
                waiting.append((int(record.get("OffsetOfTheNextDirectoryRecord") or 0), series))
                waiting.append((int(record.get("OffsetOfReferencedLowerLevelDirectoryEntity") or 0), below))
                parts = record.get("ReferencedFileID")
                if parts and below:
                    yield below, "/".join([parts] if isinstance(parts, str) else map(str, parts))
        except Exception as error:  # pydicom converts a value as it is asked for, and raises whatever
            raise DataError("the DICOMDIR is damaged") from error
