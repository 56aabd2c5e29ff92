"""Every file of a folder with its kind, by its name or, where that says nothing, by its first bytes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from medseg.datasets.finding.walk import Walk, without_ending
from medseg.errors import DataError, Fault
from medseg.images.dicom.series.directory import of_disc
from medseg.images.itk.names import METAIMAGE, MGH, NRRD, PAIR
from medseg.progress import Progress, Silent

VOLUME, ITK, PICTURE, DICOM, TABLE, UNREAD, OTHER = (
    "NIfTI volumes",
    "MetaImage, NRRD, Analyze or MGH volumes",
    "pictures",
    "DICOM files",
    "tables",
    "images of kinds that are not read yet",
    "other files",
)
"""Kinds of files, in words."""

_VOLUMES = (".nii", ".nii.gz")
_TABLES = (".csv", ".tsv", ".xlsx")
_TEXTS = (
    ".json",
    ".txt",
    ".md",
    ".pdf",
    ".xml",
    ".yaml",
    ".yml",
    ".html",
    ".cfg",
    ".py",
    ".zip",
    ".gz",
    ".tar",
)


@dataclass(frozen=True)
class Entry:
    """A file.

    Attributes:
        name: Path relative to the folder, with `/` and in NFC. Private: it may name a patient.
        path: The file.
        kind: One of the kinds above.
    """

    name: str
    path: Path
    kind: str

    @property
    def folders(self) -> tuple[str, ...]:
        """Names of the folders that it lies in, outermost first."""
        return tuple(self.name.split("/")[:-1])

    @property
    def stem(self) -> str:
        """Its own name without the ending."""
        return without_ending(self.name.rpartition("/")[2], (self.ending,) if self.ending else ())

    @property
    def ending(self) -> str:
        """The ending of its name, in lower case; `.nii.gz` is one."""
        lower = self.name.lower()
        return next((each for each in (".nii.gz", ".nii") if lower.endswith(each)), self.path.suffix.lower())


@dataclass(frozen=True)
class Folder:
    """What lies in a folder.

    Attributes:
        root: The folder.
        entries: Its files, at any depth, sorted by their names.
        left_out: Files and folders that are hidden or of programs, such as `__MACOSX` and `Thumbs.db`.
        faults: What could not be looked into.
    """

    root: Path
    entries: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    def of(self, *kinds: str) -> tuple[Entry, ...]:
        """The files of some kinds."""
        return tuple(entry for entry in self.entries if entry.kind in kinds)

    @property
    def kinds(self) -> Counter[str]:
        """How many files there are of each kind."""
        return Counter(entry.kind for entry in self.entries)

    @cached_property
    def by_name(self) -> dict[str, Entry]:
        """Files by their names."""
        return {entry.name: entry for entry in self.entries}


def read_folder(root: Path, progress: Progress | None = None) -> Folder:
    """List a folder; no image is opened, but for the first bytes of files whose names say nothing.

    Raises:
        DataError: It is not there, no folder, or may not be read.
    """
    root = of_disc(root)
    _refuse(root)
    walk = Walk(root, (), all=True)
    entries = []
    with (progress or Silent()).bar("listing files", None, "files") as bar:
        for name, path in walk.paths():
            bar.advance()
            entries.append(Entry(name, path, _kind(path)))
    left_out = [path.relative_to(root).as_posix() for path in walk.left_out]
    entries.sort(key=lambda entry: entry.name)
    return Folder(root, tuple(entries), tuple(sorted(left_out)), tuple(walk.faults))


def _refuse(root: Path) -> None:
    try:
        folder = root.is_dir()
        there = folder or root.exists()
    except OSError:
        folder, there = False, True
    if not there:
        raise DataError(
            "there is no such folder. Check the path: it is that of the folder that holds the data."
        )
    if not folder:
        raise DataError("the path is no folder that can be entered. Name the folder that holds the data.")


def _kind(path: Path) -> str:
    from medseg.images.dicom.sniff import SUFFIXES as DICOM_SUFFIXES  # noqa: PLC0415 - Pillow takes a while
    from medseg.images.pictures.read import SUFFIXES  # noqa: PLC0415
    from medseg.images.sniff import look, unread_ending  # noqa: PLC0415

    name = path.name.lower()
    if name.endswith(PAIR):  # some pictures are called so, too
        return ITK if path.with_suffix(".IMG" if path.suffix.isupper() else ".img").is_file() else UNREAD
    for kind, endings in (
        (VOLUME, _VOLUMES),
        (ITK, (*METAIMAGE, *NRRD, *MGH, ".gipl")),
        (PICTURE, SUFFIXES),
        (DICOM, DICOM_SUFFIXES),
        (TABLE, _TABLES),
    ):
        if name.endswith(tuple(endings)):
            return kind
    if name.endswith(_TEXTS):
        return OTHER
    seen = look(path)
    if seen == "picture":
        return DICOM if _is_dicom(path) else PICTURE
    return UNREAD if seen == "image" or unread_ending(name) else OTHER


def _is_dicom(path: Path) -> bool:
    from medseg.images.dicom.sniff import is_dicom  # noqa: PLC0415

    return is_dicom(path)
