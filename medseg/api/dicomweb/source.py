"""Where cases come from: folders and files of this machine, or studies of an archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from medseg.datasets.manifest.series.announced import asked, may_be_asked_for
from medseg.datasets.manifest.series.layout import SeriesLayout
from medseg.errors import DataError, DefinitionError, Fault
from medseg.files.many import together
from medseg.images.dicom.series.directory import is_directory
from medseg.images.refusal import RefusedError, found_and_remedy
from medseg.places import passing_folder
from medseg.progress import Progress

if TYPE_CHECKING:
    from medseg.datasets.manifest.manifest import Manifest
    from medseg.images.dicom.web.archive import Archive
    from medseg.images.dicom.web.rows import Row


@dataclass(frozen=True)
class Inputs:
    """What is predicted.

    Attributes:
        paths: Cases, or folders of them.
        faults: What is wrong with what could not be had.
        origins: Where the paths came from, of those that are removed in the end. Private.
    """

    paths: tuple[Path, ...]
    faults: tuple[Fault, ...] = ()
    origins: Mapping[Path, str] = field(default_factory=dict, repr=False)


class Source(Protocol):
    """Gives cases as files, for as long as they are needed."""

    def refuse(self, manifest: Manifest) -> None:
        """Refuse what such cases can never be read from.

        Raises:
            DefinitionError: The model reads something else.
        """

    def opened(self, manifest: Manifest, progress: Progress) -> AbstractContextManager[Inputs]:
        """The files, in a `with` block.

        Raises:
            DataError: None of them can be had.
        """


@dataclass(frozen=True)
class Files:
    """Files that lie on this machine."""

    paths: tuple[Path, ...]

    def refuse(self, manifest: Manifest) -> None:
        """Any model reads files."""

    @contextmanager
    def opened(self, manifest: Manifest, progress: Progress) -> Iterator[Inputs]:  # noqa: ARG002 - as the other
        """As they are; slices that are named one by one, as a shell does for `*`, together."""
        named = (path for path in self.paths if path.is_file() and not is_directory(path.name))
        files = dict.fromkeys(path.absolute() for path in named)
        if len(files) < 2 or not manifest.layout.by_content:
            yield Inputs(self.paths)
            return
        others = [path for path in self.paths if path.absolute() not in files]
        yield Inputs((*others, together(list(files))))


@dataclass(frozen=True)
class Studies:
    """Studies of an archive, each fetched into a folder that this user alone may enter and that is removed.

    Attributes:
        archive: Where they lie.
        studies: StudyInstanceUID of each.
        warns: Whether it is said that others can read what comes; not where it was said of the same archive.
    """

    archive: Archive
    studies: tuple[str, ...]
    warns: bool = True

    def refuse(self, manifest: Manifest) -> None:
        """Only DICOM series are in an archive."""
        _layout(manifest)

    @contextmanager
    def opened(self, manifest: Manifest, progress: Progress) -> Iterator[Inputs]:
        """The series that may be of a channel; that others are left out is said, without names."""
        from medseg.images.dicom.web.archive import FOLDER  # noqa: PLC0415 - imports pydicom and requests

        if self.warns:
            warn_open(self.archive, progress)
        with passing_folder(FOLDER) as place:
            paths: dict[Path, str] = {}
            faults: list[Fault] = []
            for number, study in enumerate(self.studies, 1):
                folder = place / f"study-{number}"
                try:
                    self._fetch(study, folder, manifest, progress)
                    paths[folder] = f"dicomweb:{self.archive.address.url} study {study}"
                except DataError as error:
                    if len(self.studies) == 1:
                        raise
                    found, remedy = found_and_remedy(error)
                    faults.append(Fault("", 0, "", f"no. {number} of the studies: {found}", remedy))
            if not paths:
                raise DataError("no study could be fetched.", faults)
            yield Inputs(tuple(paths), tuple(faults), paths)

    def _fetch(self, study: str, folder: Path, manifest: Manifest, progress: Progress) -> None:
        from medseg.images.dicom.series.index import holds_images  # noqa: PLC0415
        from medseg.images.dicom.web.fetching import fetch_study  # noqa: PLC0415 - imports pydicom

        layout = _layout(manifest)

        def wanted(row: Row) -> bool:
            modality = row.get("Modality", "")
            return holds_images(modality) and may_be_asked_for(layout, row, manifest.name)

        left = fetch_study(
            self.archive, study, folder, wanted=wanted, keywords=asked(layout), progress=progress
        )
        if left:
            progress.say(f"Left out, as no channel asks for them: {_named(left)}.")
        if not any(folder.iterdir()):
            raise RefusedError(
                f"no series of the study is one that the model asks for; it has {_named(left)}",
                "See 'layout.series' of the manifest in the folder of the model, and whether it is the right study.",
            )


def is_archive(place: str | Path) -> bool:
    """Whether a place is an archive, and no folder."""
    return str(place).startswith("dicomweb:")


def warn_open(archive: Archive, progress: Progress) -> None:
    """Say loudly that others can read what goes to and from an archive, where they can."""
    if archive.address.is_open:
        progress.say(
            f"{archive.address.url} is asked without encryption: images, and a password if there is one, can be read "
            "on their way. Use https",
            loud=True,
        )


def _layout(manifest: Manifest) -> SeriesLayout:
    if isinstance(manifest.layout, SeriesLayout):
        return manifest.layout
    raise DefinitionError(
        f"an archive holds DICOM series, and the model reads {manifest.files().noun}. Name files of this machine in "
        "place of --from, or learn from DICOM series (`layout.series` in the manifest; see docs/dicom.md)."
    )


def _named(rows: Sequence[Row]) -> str:
    """Series by their numbers and modalities: descriptions may hold names."""
    from medseg.images.dicom.web.rows import number_in  # noqa: PLC0415 - imports pydicom

    if not rows:
        return "none"
    shown = []
    for row in sorted(rows, key=lambda row: number_in(row, "SeriesNumber") or 0)[:12]:
        modality, number = row.get("Modality", ""), number_in(row, "SeriesNumber")
        kind = modality if modality.isalnum() and modality.isascii() and len(modality) < 17 else "unknown"
        shown.append(f"{kind} (SeriesNumber {number})" if number is not None else kind)
    more = f" and {len(rows) - 12} more" if len(rows) > 12 else ""
    return f"{len(rows)} series: {', '.join(shown)}{more}"
