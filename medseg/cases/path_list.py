"""A data set that a CSV of paths lists, in place of patterns: one row a case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from medseg.cases.finding import Complaint, Draft, Found, Walk, named_itself
from medseg.cases.layout import MASK, composed
from medseg.cases.table import UNREADABLE, Rows, beside, lacking, read_rows
from medseg.errors import Fault

if TYPE_CHECKING:
    from medseg.cases.manifest import Manifest

_REMEDY = "Correct the row, add the file, or remove the row."


class CsvLayout(BaseModel):
    """How a table lists a data set's files: comma, semicolon or tab between columns, UTF-8.

    Paths are relative to the table's folder or to the data set's, or absolute.

    Attributes:
        csv: Name of the file, in the data set's folder. Another is read if it is given in place of a folder.
        image: Column of the image's path; with several channels that are files of their own, a column for each.
        mask: Column of the label map's path; None where there is none.
        case: Column of the case's id; None, or an empty value, takes the image's name without its ending, with
            as many folders before it as tell it from others.
        group: Column of the patient; where it is empty, or None, the case is its own.
        label: Column of the whole case's class.
        extra: Further columns of the cases.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    csv: str = Field(min_length=1)
    image: str | dict[str, str]
    mask: str | None = None
    case: str | None = None
    group: str | None = None
    label: str | None = None
    extra: tuple[str, ...] = ()

    @property
    def has_truth(self) -> bool:
        """Whether a case may have a label map."""
        return self.mask is not None

    @property
    def row_columns(self) -> tuple[str, ...]:
        """Further columns of a case that the list itself tells."""
        return self.extra

    @property
    def many(self) -> frozenset[str]:
        """The parts of a case that may have several files: none."""
        return frozenset()

    def verify(self, channels: Sequence[str], *, together: bool) -> None:
        """Whether it can find these channels.

        Raises:
            ValueError: The columns of images do not fit the channels.
        """
        if isinstance(self.image, str) and len(channels) > 1 and not together:
            raise ValueError(f"'image' wanted a column for each of {list(channels)}")
        if isinstance(self.image, dict) and together:
            raise ValueError(
                "one file holds all channels: 'image' wanted its column, not one for each channel"
            )
        if isinstance(self.image, dict) and set(self.image) != set(channels):
            raise ValueError(
                f"'image' names {sorted(self.image)}, wanted a column for each of {list(channels)}"
            )

    def column(self, part: str) -> str:
        """The column that holds the path of a channel, of `image` or of `mask`."""
        if part == MASK:
            return self.mask or ""
        return self.image if isinstance(self.image, str) else self.image[part]

    def needed(self, parts: Sequence[str]) -> tuple[str, ...]:
        """The columns that must be there."""
        told = (self.case, self.group, self.label, *self.extra)
        return (*map(self.column, parts), *(column for column in told if column is not None))


@dataclass(frozen=True)
class ListFinder:
    """Finds files by the rows of a list."""

    manifest: Manifest
    layout: CsvLayout

    def find(self, root: Path, parts: Sequence[str]) -> Found:
        """The cases that the list names, with what is missing told by its row; or the one image that is given."""
        endings = self.manifest.files().suffixes
        if root.is_file() and root.name.lower().endswith(endings) and len(parts) == 1:
            return Found([Draft(_names(root.name, endings)[-1], {parts[0]: [(composed(root.name), root)]})])
        path = root if root.is_file() else beside(root, self.layout.csv)
        if self._wants_all(root, parts):
            walk = Walk(root, endings, all=False)
            each = list(named_itself(walk, parts[0]))
            if each:
                return Found(each, walk.faults)
        if path is None:
            met = f"the list of paths, '{self.layout.csv}', is not in the folder"
            remedy = f"Name the folder that holds it, or the file. To get the data: {self.manifest.obtain}"
            return Found(faults=[Fault("", 0, "", met, remedy, root)])
        try:
            table = read_rows(path)
        except UNREADABLE as error:
            met = f"the list of paths cannot be read: {type(error).__name__}"
            return Found(faults=[Fault("", 0, "", met, "Save it as CSV in UTF-8.", path)])
        lost = [column for column in self.layout.needed(parts) if column not in table.columns]
        if lost or not table.lines:
            what = "the list of paths"
            met = lacking(what, lost, table.columns, self.manifest) if lost else f"{what} has no rows"
            return Found(faults=[Fault("", 0, "", met, "Correct it, or 'layout' of the manifest.", path)])
        return Found(self._drafts(table, parts, (path.parent, root if root.is_dir() else path.parent)))

    def _wants_all(self, root: Path, parts: Sequence[str]) -> bool:
        """Whether every picture of a folder is a case, as in prediction, which needs no list.

        A list in the folder itself still says which they are; one above it is of other pictures.
        """
        predicting = self.layout.has_truth and MASK not in parts
        pictures = len(parts) == 1 and self.manifest.pictures is not None
        return predicting and pictures and root.is_dir() and not (root / self.layout.csv).is_file()

    def _drafts(self, table: Rows, parts: Sequence[str], bases: tuple[Path, Path]) -> list[Draft]:
        drafts: dict[str, Draft] = {}
        first_of: dict[Path, tuple[int, Draft]] = {}
        line_of: dict[str, int] = {}
        for (line, row), raw in zip(table.lines, self._ids(table, parts), strict=True):
            draft = self._draft(raw, line, row, parts, bases)
            images = [place[0][1].resolve() for part, place in draft.files.items() if part != MASK]
            shared = next((first_of[image] for image in images if image in first_of), None)
            if shared is not None:
                other, first = shared
                met = f"rows {other} and {line} of the list name one image"
                first.complaints.append(Complaint("", met, "Keep one of the rows.", bases[0]))
            elif raw in drafts:
                met = f"rows {line_of[raw]} and {line} of the list are of one case"
                drafts[raw].complaints.append(Complaint("", met, "Keep one, or give each its id.", bases[0]))
            else:
                drafts[raw], line_of[raw] = draft, line
                first_of |= dict.fromkeys(images, (line, draft))
        return list(drafts.values())

    def _draft(
        self, raw: str, line: int, row: Mapping[str, str], parts: Sequence[str], bases: tuple[Path, Path]
    ) -> Draft:
        layout = self.layout
        draft = Draft(raw, extra={column: row[column] for column in layout.extra})
        draft.group = composed(row[layout.group].strip()) if layout.group else ""
        draft.label = (row[layout.label].strip() or None) if layout.label else None
        for part in parts:
            column = layout.column(part)
            text = row[column].strip()
            path = _there(text, bases) if text else None
            if path is not None:
                draft.files[part] = [(_told(path, bases[1]), path)]
            else:
                what = "names a file that is missing" if text else "names no file"
                met = f"row {line} of the list {what} in column '{column}'"
                draft.complaints.append(Complaint(part, met, _REMEDY, bases[0] / text))
        return draft

    def _ids(self, table: Rows, parts: Sequence[str]) -> list[str]:
        """Id of each row."""
        column = self.layout.column(parts[0])
        endings = self.manifest.files().suffixes
        given = [row[self.layout.case].strip() if self.layout.case else "" for _, row in table.lines]
        images = [_names(row[column].strip(), endings) for _, row in table.lines]
        short = _shortest([image for image, each in zip(images, given, strict=True) if not each])
        named = [composed(each) or short[image] for image, each in zip(images, given, strict=True)]
        return [each or f"row {line}" for each, (line, _) in zip(named, table.lines, strict=True)]


def _names(text: str, endings: Sequence[str]) -> tuple[str, ...]:
    """Folders and name of an image without its ending, in NFC."""
    *folders, name = [
        each for each in composed(text).replace("\\", "/").split("/") if each not in {"", "."}
    ] or [""]
    ending = max((each for each in endings if name.lower().endswith(each)), key=len, default="")
    return (*folders, name[: len(name) - len(ending)])


def _shortest(images: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """The name of each image, with as many folders before it as tell it from the others."""
    short: dict[tuple[str, ...], str] = {}
    left, depth = set(images), 0
    while left:
        depth += 1
        counts = Counter(image[-depth:] for image in left)
        done = {image for image in left if counts[image[-depth:]] == 1 or depth >= len(image)}
        short |= {image: "/".join(image[-depth:]) for image in done}
        left -= done
    return short


def _there(text: str, bases: Sequence[Path]) -> Path | None:
    """The file that a row names, if it is there; a backslash may stand for a slash."""
    for spelling in dict.fromkeys((text, text.replace("\\", "/"))):
        for base in dict.fromkeys(bases):
            path = _spelt(base, Path(spelling))
            if path is not None:
                return path
    return None


def _spelt(base: Path, written: Path) -> Path | None:
    """The file, with names spelt as they are stored: with composed accents, or with decomposed ones."""
    path = base / written
    try:
        if path.is_file():
            return path
        if written.is_absolute():
            return None
        path = base
        for name in written.parts:
            step = path / name
            if not step.exists():
                step = next((each for each in path.iterdir() if composed(each.name) == composed(name)), step)
            path = step
        return path if path.is_file() else None
    except (OSError, ValueError):  # no folder, no right to enter it, or no name of a file at all
        return None


def _told(path: Path, root: Path) -> str:
    """`<root's name>/<relative path>`, in which further columns are searched; the name alone if not below."""
    try:
        return composed(f"{root.resolve().name}/{path.relative_to(root).as_posix()}")
    except ValueError:
        return composed(path.name)
