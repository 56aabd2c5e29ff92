"""Looking at what lies in an archive: at all studies by what it says of them, or at one as at a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.api.dicomweb.source import is_archive, warn_open
from medseg.api.dicomweb.ways import refuse_strange
from medseg.errors import RunError
from medseg.places import passing_folder
from medseg.progress import Progress, Silent

if TYPE_CHECKING:
    from medseg.datasets.scanning.look import Look
    from medseg.images.dicom.web.archive import Archive
    from medseg.images.dicom.web.rows import Row


@dataclass(frozen=True)
class Announced:
    """What an archive says of its studies, in numbers alone.

    Attributes:
        studies: How many there are, as far as was asked.
        more: Whether there are more.
        modalities: In how many studies each is.
        images: Of all studies that say how many they have.
    """

    studies: int
    more: bool
    modalities: Counter[str]
    images: int


def scan_archive(address: str, *, progress: Progress | None = None) -> Announced:
    """Count the studies of an archive; no image is fetched, and nobody is named.

    Args:
        address: `dicomweb:URL`.
        progress: Where it is shown.

    Raises:
        DataError: It cannot be asked.
    """
    from medseg.images.dicom.web.archive import MOST_STUDIES  # noqa: PLC0415 - imports pydicom and requests
    from medseg.images.dicom.web.rows import number_in  # noqa: PLC0415

    shown = progress or Silent()
    with _opened(address, shown) as archive, shown.bar("asking the archive", 1) as bar:
        rows = archive.studies()
        bar.advance()
    named = ({*row.get("ModalitiesInStudy", "").split("\\")} for row in rows)
    modalities = Counter(each for names in named for each in sorted(names) if _is_modality(each))
    images = sum(number_in(row, "NumberOfStudyRelatedInstances") or 0 for row in rows)
    return Announced(len(rows), len(rows) >= MOST_STUDIES, modalities, images)


def scan_studies(
    address: str, studies: Sequence[str], *, progress: Progress | None = None, jobs: int | None = None
) -> Look:
    """Fetch studies, and look at them as at a folder that no manifest describes; it is removed then.

    Args:
        address: `dicomweb:URL`.
        studies: StudyInstanceUID of each.
        progress: Where it is shown.
        jobs: Cases that are read at a time.

    Raises:
        DataError: They cannot be had, or looked at.
        RunError: A UID is none.
    """
    from medseg.datasets.scanning.look import look  # noqa: PLC0415 - imports nibabel and SciPy
    from medseg.images.dicom.web.archive import FOLDER  # noqa: PLC0415 - imports pydicom and requests
    from medseg.images.dicom.web.fetching import fetch_study  # noqa: PLC0415
    from medseg.pipeline.options import RunOptions  # noqa: PLC0415

    refuse_strange(studies)
    shown = progress or Silent()
    with _opened(address, shown) as archive, passing_folder(FOLDER) as place:
        root = place / "archive"
        root.mkdir()
        for number, study in enumerate(dict.fromkeys(studies), 1):
            folder = root / f"study-{number}"
            fetch_study(archive, study, folder, wanted=_is_drawn, keywords=(), progress=shown)
        return look(root, jobs=RunOptions.of(jobs=jobs).at_once, progress=shown)


@contextmanager
def _opened(address: str, progress: Progress) -> Iterator[Archive]:
    from medseg.images.dicom.web.open import archives  # noqa: PLC0415 - imports pydicom and requests

    with archives(address) as opened:
        warn_open(opened[address], progress)
        yield opened[address]


def _is_drawn(row: Row) -> bool:
    from medseg.images.dicom.series.index import holds_pictures  # noqa: PLC0415

    return holds_pictures(row.get("Modality", ""))


def _is_modality(text: str) -> bool:
    return text.isascii() and text.isalnum() and len(text) < 17


def scan(
    place: str | Path,
    *,
    studies: Sequence[str] = (),
    progress: Progress | None = None,
    jobs: int | None = None,
    on: str = "",
) -> Look | Announced:
    """Look at a folder, at studies of an archive, or at what an archive says of all its studies.

    Args:
        place: A folder, or `dicomweb:URL`.
        studies: StudyInstanceUID of each study of an archive that is looked at; none for all, by their numbers.
        progress: Where it is shown.
        jobs: Cases that are read at a time.
        on: Where the cases of a folder are read, such as `slurm:20` (docs/scale.md); by default on this machine.

    Raises:
        DataError: It cannot be looked at.
        RunError: Studies of a folder are named, a UID is none, or `on` is said of an archive.
    """
    if not is_archive(place):
        if studies:
            raise RunError("--study names a study of an archive, and a folder is given. Leave --study out.")
        from medseg.api.drafting.unknown_folder import scan as of_folder  # noqa: PLC0415 - imports nibabel

        return of_folder(place, progress=progress, jobs=jobs, on=on)
    if on:
        raise RunError("--on is for folders: an archive is asked by this process alone. Leave --on out.")
    if studies:
        return scan_studies(str(place), studies, progress=progress, jobs=jobs)
    return scan_archive(str(place), progress=progress)
