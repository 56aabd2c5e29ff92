"""A data set that a table of paths lists, in place of patterns: one row a case."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.datasets.finding.class_faults import Wording, judge
from medseg.datasets.finding.draft import Complaint, Draft, Found
from medseg.datasets.finding.row_paths import Bases, missing, named_below, spellings, there
from medseg.datasets.finding.strays.masks_beside import leave_masks
from medseg.datasets.finding.text_table import Rows, beside, lacking, open_table
from medseg.datasets.finding.walk import (
    Walk,
    few,
    leave_archives,
    looks_picture,
    named_itself,
    without_ending,
)
from medseg.datasets.manifest.csv_layout import CsvLayout
from medseg.datasets.manifest.label_columns import RowLabels
from medseg.datasets.manifest.patterns import MASK
from medseg.errors import Fault
from medseg.progress import Progress
from medseg.text import composed

if TYPE_CHECKING:
    from medseg.datasets.manifest.manifest import Manifest

_REMEDY = "Correct the row, add the file, or remove the row."

_OUTSIDE = "what lies outside of the folder of the data"

_BRING = (
    "Copy the file below the folder of the list, and name it so; or name with --data a folder that holds both, and "
    "give 'layout.csv' of the manifest as the way from there to the list."
)

_WHAT = "the list of paths"

_MOST_SEEN = 100_000
"""Files beside the list that are looked through for such as no row names."""

_WORDS = Wording(
    noun="row",
    fewer="Name the class of each picture in the list, or correct 'layout' of the manifest.",
    absent="Add rows of pictures that have it, or take it from 'classes' of the manifest, or from 'layout.labels'.",
    unknown="Correct the row, add pictures of the class to training, or name it in 'classes' of the manifest.",
    misnamed=(
        "Correct the rows, or take another column below 'layout' of the manifest; if a cell names several classes, "
        "say `image_labels: many`, and what stands between them under `labels`."
    ),
    unlikely=(
        "Name the column of the class below 'layout' of the manifest; if these are classes indeed, name them all "
        "under 'classes' of the manifest."
    ),
)


@dataclass(frozen=True)
class ListFinder:
    """Finds files by the rows of a list."""

    manifest: Manifest
    layout: CsvLayout

    def find(
        self,
        root: Path,
        parts: Sequence[str],
        *,
        truth: bool,
        progress: Progress,  # noqa: ARG002 - names of files are listed quickly
    ) -> Found:
        """The cases that the list names, each fault with its row; or the one image that is given."""
        if self._is_image(root, parts, truth=truth):
            name = without_ending(composed(root.name), self.manifest.files().suffixes)
            return Found(
                [Draft(name, {parts[0]: [(composed(root.name), root)]}, extra=self._without_columns())]
            )
        path = root if root.is_file() else beside(root, self.layout.csv)
        if self._wants_all(root, parts, truth=truth):
            walk = Walk(root, self.manifest.files().suffixes, all=True)
            each = list(named_itself(walk, parts[0], pictures=True))
            for draft in each:
                draft.extra = self._without_columns()
            if each:
                found = Found(each, [*walk.faults, *walk.unread_faults()])
                leave_masks(found, walk.suffixes, named=self.manifest.ids == "pseudonyms")
                return found
        if path is None:
            problem = f"{_WHAT}, '{self.layout.csv}', is not in the folder"
            remedy = f"Name the folder that holds it, or the file. To get the data: {self.manifest.obtain}"
            return Found(faults=[Fault("", 0, "", problem, remedy, root)])
        table = open_table(path, _WHAT)
        if isinstance(table, Fault):
            return Found(faults=[table])
        problem = self._unfit(table, parts, truth=truth)
        if problem:
            return Found(faults=[Fault("", 0, "", problem, "Correct it, or 'layout' of the manifest.", path)])
        bases = Bases.of(path.parent, root if root.is_dir() else path.parent)
        drafts, named = self._drafts(table, parts, bases, truth=truth)
        found = Found(drafts)
        if truth:
            self._beside(found, root, parts, named)
        if truth and self.layout.tells is not None:
            judge(found, self.manifest, _WORDS, path, named=self.layout.tells.names)
            found.notes += self._unlabelled_note(found.drafts)
        return found

    def _is_image(self, root: Path, parts: Sequence[str], *, truth: bool) -> bool:
        """Whether one image was given in place of a folder or a list."""
        wants_truth = truth and (self.layout.has_truth or self.layout.tells is not None)
        if not root.is_file() or len(parts) != 1 or wants_truth:
            return False
        of_kind = root.name.lower().endswith(self.manifest.files().suffixes)
        return of_kind or (self.manifest.pictures is not None and looks_picture(root))

    def _wants_all(self, root: Path, parts: Sequence[str], *, truth: bool) -> bool:
        """Whether every picture of a folder is a case, as in prediction, which needs no list.

        A list in the folder itself still says which they are; one above it is of other pictures.
        """
        predicting = not truth and (self.layout.has_truth or self.layout.tells is not None)
        pictures = len(parts) == 1 and self.manifest.pictures is not None
        return predicting and pictures and root.is_dir() and not (root / self.layout.csv).is_file()

    def _without_columns(self) -> dict[str, str]:
        """Further columns of an image that no list names."""
        return dict.fromkeys(self.layout.extra, "")

    def _unlabelled_note(self, drafts: Sequence[Draft]) -> Iterator[str]:
        if self.layout.unlabelled and not any(draft.unlabelled for draft in drafts):
            yield "no row is without a class, though the manifest says that some are images without a label"

    def _beside(self, found: Found, root: Path, parts: Sequence[str], named: Collection[Path]) -> None:
        """Note that the folder holds images that no row names, of its first `_MOST_SEEN` files."""
        columns = [self.layout.column(part) for part in parts]
        image = self.layout.image
        wanted = [image] if isinstance(image, str) else [*image.values()]
        if not root.is_dir() or not {*wanted, self.layout.mask or wanted[0]} <= {*columns}:
            return  # a part that was not asked for is no stranger
        endings = self.manifest.files().suffixes
        walk = Walk(root, endings, all=True)
        plain = {os.path.normpath(path) for path in named}
        every = list(islice(walk.paths(), _MOST_SEEN))
        leave_archives(found, [name for name, _ in every], named=self.manifest.ids == "pseudonyms")
        seen = (each for each in every if each[0].lower().endswith(endings))
        others = [each for each in seen if os.path.normpath(each[1]) not in plain]
        real = {os.path.realpath(path) for path in named} if others else set()
        names = sorted(name for name, path in others if os.path.realpath(path) not in real)
        if names:
            noun = "image" if self.manifest.pictures is None else "picture"
            count = f"{'at least ' * (walk.files >= _MOST_SEEN)}{len(names)} {noun}"
            count += " in the folder is" if len(names) == 1 else "s in the folder are"
            listed = few(names, named=self.manifest.ids == "pseudonyms")
            found.notes.append(
                f"{count} named by no row of the list, in {', '.join(dict.fromkeys(columns))}{listed}"
            )
            found.left += names

    def _unfit(self, table: Rows, parts: Sequence[str], *, truth: bool) -> str:
        """Why the table cannot be the list; empty if it can."""
        needed = self.layout.needed(parts, truth=truth)
        lost = [column for column in needed if column not in table.columns]
        if lost:
            return lacking(_WHAT, lost, table.columns, self.manifest)
        twice = [column for column in dict.fromkeys(needed) if table.columns.count(column) > 1]
        if twice:
            return f"{_WHAT} has more than one column {twice}"
        return "" if table.lines else f"{_WHAT} has no rows"

    def _drafts(
        self, table: Rows, parts: Sequence[str], bases: Bases, *, truth: bool
    ) -> tuple[list[Draft], set[Path]]:
        """The cases, and the files that any row names."""
        drafts: dict[str, Draft] = {}
        named: set[Path] = set()
        first_of: dict[Path, tuple[int, Draft]] = {}
        line_of: dict[str, int] = {}
        for (line, row), raw in zip(table.lines, self._ids(table, parts), strict=True):
            draft = self._draft(raw, line, row, parts, bases)
            named |= {place[0][1] for place in draft.files.values()}
            if truth:
                self._label(draft, line, row, bases.listed)
            images = [place[0][1].resolve() for part, place in draft.files.items() if part != MASK]
            shared = next((first_of[image] for image in images if image in first_of), None)
            if shared is not None:
                other, first = shared
                problem = f"rows {other} and {line} of the list name one image"
                first.complaints.append(Complaint("", problem, "Keep one of the rows.", bases.listed))
            elif raw in drafts:
                problem = f"rows {line_of[raw]} and {line} of the list are of one case"
                drafts[raw].complaints.append(
                    Complaint("", problem, "Keep one, or give each its id.", bases.listed)
                )
            else:
                drafts[raw], line_of[raw] = draft, line
                first_of |= dict.fromkeys(images, (line, draft))
        return list(drafts.values()), named

    def _draft(
        self, raw: str, line: int, row: Mapping[str, str], parts: Sequence[str], bases: Bases
    ) -> Draft:
        layout = self.layout
        draft = Draft(raw, extra={column: row.get(column, "") for column in layout.extra})
        draft.group = composed(row.get(layout.group, "").strip()) if layout.group else ""
        for part in parts:
            column = layout.column(part)
            text = row[column].strip()
            within = bases.ways(text)
            path = there(within) if text else None
            if path is not None:
                draft.files[part] = [(named_below(path, bases.root), path)]
            else:
                out = len({written for _, written in within}) < len(spellings(text))
                what = "no file" if not text else _OUTSIDE if out else missing(within)
                problem = f"row {line} of the list names in column '{column}' {what}"
                remedy = _BRING if out else _REMEDY
                draft.complaints.append(Complaint(part, problem, remedy, bases.listed / text))
        return draft

    def _label(self, draft: Draft, line: int, row: Mapping[str, str], near: Path) -> None:
        """Give an image the classes that its row tells."""
        if self.layout.tells is None:
            return
        draft.unlabelled = self.layout.unlabelled and self.layout.tells.silent(row, self.manifest.classes)
        if draft.unlabelled:
            return
        row_labels = self.layout.tells.read(row, self.manifest.classes)
        known = self.manifest.classes
        unknown = [name for name in row_labels.labels or () if known and name not in known]
        if unknown:
            # A column taken by mistake may hold names of people.
            value = str(unknown) if self.manifest.ids == "pseudonyms" else "something"
            wrong = f"says {value} in column '{self.layout.tells.columns[0]}', which is none of {list(known)}"
            row_labels = RowLabels(None, wrong, _WORDS.unknown)
        draft.labels = row_labels.labels
        if row_labels.wrong:
            draft.complaints.append(
                Complaint("", f"row {line} of the list {row_labels.wrong}", row_labels.remedy, near)
            )

    def _ids(self, table: Rows, parts: Sequence[str]) -> list[str]:
        """Id of each row."""
        column = self.layout.column(parts[0])
        endings = self.manifest.files().suffixes
        given = [row.get(self.layout.case or "", "").strip() for _, row in table.lines]
        images = [_names(row[column].strip(), endings) for _, row in table.lines]
        short = _shortest([image for image, each in zip(images, given, strict=True) if not each])
        named = [composed(each) or short[image] for image, each in zip(images, given, strict=True)]
        return [each or f"row {line}" for each, (line, _) in zip(named, table.lines, strict=True)]


def _names(text: str, endings: Sequence[str]) -> tuple[str, ...]:
    """Folders and name of an image without its ending, in NFC."""
    *folders, name = [
        each for each in composed(text).replace("\\", "/").split("/") if each not in {"", "."}
    ] or [""]
    return (*folders, without_ending(name, endings))


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
