"""The DICOM studies of a folder: which series each has, and what is drawn on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from medseg.datasets.scanning.folder import DICOM, Folder
from medseg.errors import DataError
from medseg.images.dicom.series.index import Instance, instance_of
from medseg.progress import Progress, Silent


@dataclass(frozen=True)
class Study:
    """The DICOM files of one study. Private.

    Attributes:
        patient: PatientID.
        series: Files of images by the UID of their series.
        drawn: Segmentations and structure sets.
        predicted: How many segmentations of our models there are, which are not among these.
    """

    patient: str
    series: Mapping[str, Sequence[Instance]] = field(default_factory=dict)
    drawn: tuple[Instance, ...] = ()
    predicted: int = 0

    @property
    def volumes(self) -> dict[str, Instance]:
        """One file of each series that is a volume: its files lie at several places, or one holds several frames."""
        return {
            uid: files[0]
            for uid, files in self.series.items()
            if len({each.place for each in files} - {""}) > 1
            or files[0].tags["NumberOfFrames"] == files[0].place != ""
        }


def read_headers(folder: Folder, progress: Progress | None = None) -> None:
    """Read the headers of all DICOM files of a folder, which are then remembered, and show how far it is."""
    entries = folder.of(DICOM)
    if entries:
        with (progress or Silent()).bar("reading headers", len(entries), "files") as bar:
            for entry in entries:
                with suppress(DataError):  # whoever needs the file is told
                    instance_of(entry.path)
                bar.advance()


def studies_of(folder: Folder) -> list[Study]:
    """The studies of a folder; files whose header cannot be read are of none."""
    series: dict[tuple[str, str], dict[str, list[Instance]]] = {}
    drawn: dict[tuple[str, str], list[Instance]] = {}
    predicted = Counter[tuple[str, str]]()
    for entry in folder.of(DICOM):
        try:
            found = instance_of(entry.path)
        except DataError:
            continue
        if found is None:
            continue
        if found.is_predicted:
            predicted[found.study] += 1
        elif found.is_labels:
            drawn.setdefault(found.study, []).append(found)
        elif found.is_image:
            series.setdefault(found.study, {}).setdefault(found.series, []).append(found)
    keys = dict.fromkeys((*series, *drawn))
    return [Study(key[0], series.get(key, {}), tuple(drawn.get(key, ())), predicted[key]) for key in keys]
