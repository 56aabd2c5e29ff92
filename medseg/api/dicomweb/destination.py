"""Where label maps go beside the folder that they are written to: nowhere, or into an archive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from medseg.api.dicomweb.source import warn_open
from medseg.errors import DefinitionError
from medseg.places import passing_folder
from medseg.progress import Progress

if TYPE_CHECKING:
    from medseg.images.dicom.web.archive import Archive
    from medseg.learning.inference.label_files import LabelFile


class Destination(Protocol):
    """Takes the label maps of each case once they are written."""

    def formats(self, asked: str | Sequence[str]) -> str | Sequence[str]:
        """The formats that label maps are written in, where these are asked for."""

    def reach(self, files: Sequence[LabelFile], progress: Progress) -> None:
        """See before anything is predicted whether it will take them.

        Raises:
            DataError: It will not.
            DefinitionError: None of these files goes there.
        """

    def store(self, files: Sequence[LabelFile], paths: Sequence[Path], progress: Progress) -> bool:
        """Take the files of a case; gives whether there was something to take.

        Raises:
            DataError: They could not be stored, or are not there as they were given.
            KeyboardInterrupt: The command was ended meanwhile; says what may be there.
        """

    @property
    def name(self) -> str:
        """What it is called; empty where label maps go nowhere else."""


class Nowhere:
    """The folder is all."""

    name = ""

    def formats(self, asked: str | Sequence[str]) -> str | Sequence[str]:
        """As they are asked for."""
        return asked

    def reach(self, files: Sequence[LabelFile], progress: Progress) -> None:
        """There is nothing to reach."""

    def store(self, files: Sequence[LabelFile], paths: Sequence[Path], progress: Progress) -> bool:  # noqa: ARG002
        """Nothing is stored."""
        return False


@dataclass(frozen=True)
class IntoArchive:
    """DICOM segmentations go into an archive, which is asked for them again before they count as stored."""

    archive: Archive

    @property
    def name(self) -> str:
        """Its address, which holds no password."""
        return self.archive.address.url

    def formats(self, asked: str | Sequence[str]) -> str | Sequence[str]:
        """A segmentation that every archive takes, if nobody asks for more."""
        return asked or "seg"

    def reach(self, files: Sequence[LabelFile], progress: Progress) -> None:
        """Whether it answers this user, and anything is for it."""
        if not any(file.for_archives for file in files):
            raise DefinitionError(
                "an archive keeps DICOM segmentations, and --format asks for none. Leave it out, or add seg, as in "
                "--format nifti,seg."
            )
        warn_open(self.archive, progress)
        self.archive.reach()

    def store(self, files: Sequence[LabelFile], paths: Sequence[Path], progress: Progress) -> bool:
        """The segmentations among the files of a case."""
        from medseg.images.dicom.web.standing import MAY_BE_THERE  # noqa: PLC0415 - imports pydicom and requests

        sent = [path for file, path in zip(files, paths, strict=True) if file.for_archives]
        with progress.bar("storing in the archive", len(sent), "segmentations") as bar:
            for path in sent:
                try:
                    self.archive.store(path)
                except KeyboardInterrupt:
                    raise KeyboardInterrupt(f"A segmentation was being stored. {MAY_BE_THERE}") from None
                bar.advance()
        return bool(sent)


@contextmanager
def outputs(out: str | Path | None) -> Iterator[Path]:
    """The folder that is written to; where none is named, one that this user alone may enter, removed in the end."""
    if out is not None:
        yield Path(out)
        return
    from medseg.images.dicom.web.archive import FOLDER  # noqa: PLC0415 - imports pydicom and requests

    with passing_folder(FOLDER) as place:
        yield place / "out"
