"""Looking at an unknown folder: its files, its layout, and what its images and label maps hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medseg.datasets.finding.scan import Listing, found_classes, scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.scanning.census import census
from medseg.datasets.scanning.folder import Folder, read_folder
from medseg.datasets.scanning.frames import with_frames
from medseg.datasets.scanning.labels import Labels, read_labels
from medseg.datasets.scanning.layout import Layout
from medseg.datasets.scanning.layouts import LAYOUTS
from medseg.datasets.scanning.layouts.table import unread_tables
from medseg.datasets.scanning.seen import Seen
from medseg.datasets.scanning.studies import read_headers
from medseg.errors import DataError, Fault
from medseg.files.many import files_of
from medseg.machine.crew.crew import Crew
from medseg.progress import Progress, Silent
from medseg.text import many

_TEXTS = {
    "name": "look",
    "about": "An unknown folder.",
    "source": "-",
    "licence": "-",
    "citation": "-",
    "obtain": "name the folder that holds them with --data.",
}

_SINGLY = 20  # files of one folder and ending that are listed by their names; more are counted
_LINES = 200
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Look:
    """What was seen in a folder. Private: it holds names of files.

    Attributes:
        folder: Its files.
        layout: How they belong together; None where no layout was recognised.
        listing: The cases that this layout finds, by the same finder that a run uses; None likewise.
        seen: What the files of some cases hold.
        labels: What their label maps hold together, and what it means; None where there are none.
        classes: Classes of whole images, where these are the truth.
        rest: Files that belong to no case: their names, by what is known of them.
    """

    folder: Folder
    layout: Layout | None = None
    listing: Listing | None = None
    seen: tuple[Seen, ...] = ()
    labels: Labels | None = None
    classes: tuple[str, ...] = ()
    rest: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def patients(self) -> int:
        """How many patients the cases seem to be of."""
        return len({case.group for case in self.listing.cases}) if self.listing else 0

    @property
    def problems(self) -> Counter[str]:
        """Why files could not be used, with the number of cases."""
        return Counter(seen.problem for seen in self.seen if seen.problem)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the folder or with cases, before any image is read."""
        return (*self.folder.faults, *(self.listing.faults if self.listing else ()))

    @property
    def fields(self) -> dict[str, Any]:
        """What a manifest says of the data: the layout, and the meaning of the labels.

        Raises:
            DataError: No layout was recognised, or what it holds cannot be read yet; says what to do.
        """
        if self.layout is None:
            raise DataError(_NO_LAYOUT, self.faults)
        if self.layout.cannot:
            raise DataError(f"{self.layout.name}: {self.layout.cannot}.")
        if self.listing is None or not self.listing.cases:
            raise DataError(
                f"{self.layout.name}: no case has all its files. Add what is missing, or name another folder.",
                self.faults,
            )
        found = dict(self.layout.fields)
        if self.labels is not None and self.labels.nothing:
            reasons = "; ".join(
                f"{reason} ({many(count, 'case')})" for reason, count in self.problems.most_common(3)
            )
            because = f": {reasons}" if reasons else ""
            raise DataError(
                f"{self.layout.name}: no label map that was read holds anything but 0{because}. Mend the label maps, "
                "or name another folder.",
                self.faults,
            )
        if self.labels is not None:
            found |= self.labels.fields(found.get("pictures"))
        return found


_NO_LAYOUT = (
    "no layout was recognised: neither folders of cases, nnU-Net, Decathlon, BraTS, BIDS, DICOM series, a table of "
    "paths, pairs of pictures nor folders of classes. Name the folder that holds images with their label maps or "
    "classes (files of a label map are called seg, label, mask or gt), or write a manifest: docs/your-data.md."
)


def look(
    root: Path, *, jobs: int | Crew = 1, progress: Progress | None = None, remember: Path | None = None
) -> Look:
    """Look at a folder; nothing is written but what is remembered.

    Args:
        root: The folder.
        jobs: Processes that read images, or who does.
        progress: Where to say how far it is.
        remember: Where to keep what was seen in files, and to find it again.

    Raises:
        DataError: It is no folder, or holds several data sets; says what to name instead.
    """
    folder = read_folder(root, progress)
    read_headers(folder, progress)
    with (progress or Silent()).bar("recognising the layout", len(LAYOUTS)) as bar:
        layout = None
        for recogniser in LAYOUTS:
            layout = layout or recogniser.recognise(folder)
            bar.advance()
    if layout is None:
        folder = replace(folder, faults=(*folder.faults, *unread_tables(folder)))
    if layout is None or layout.cannot:
        return Look(folder, layout, rest=_rest(folder, layout, ()))
    manifest = _provisional(layout)
    listing = scan(manifest, root, progress=progress)
    layout = with_frames(layout, listing.cases, manifest.files())
    manifest = _provisional(layout)
    cases = (*listing.cases, *listing.incomplete)
    rest = _rest(
        folder, layout, (each for case in cases for path in case.files.values() for each in files_of(path))
    )
    seen = census(listing.cases, manifest, jobs=jobs, progress=progress, remember=remember)
    if manifest.image_labels is not None:
        return Look(folder, layout, listing, seen, classes=_classes(manifest, root), rest=rest)
    labels = read_labels(seen, layout.meaning, manifest)
    return Look(folder, layout, listing, seen, labels, rest=rest)


def _provisional(layout: Layout) -> Manifest:
    """A manifest that finds the cases, whatever their label maps mean; its ids are shown nowhere."""
    labels = (
        {}
        if {"image_labels", "classes"} & layout.fields.keys()
        else {"classes": ["background"], "label_values": {0: "background"}}
    )
    return Manifest.model_validate({**_TEXTS, **layout.fields, **labels, "ids": "pseudonyms"})


def _classes(manifest: Manifest, root: Path) -> tuple[str, ...]:
    try:
        return found_classes(manifest, root)
    except DataError:
        return ()  # the faults of the listing say why


def _rest(folder: Folder, layout: Layout | None, used: Iterable[Path]) -> dict[str, tuple[str, ...]]:
    """Every file that is no part of a case, by what is known of it."""
    paths = set(used)
    beside = {} if layout is None else layout.beside
    described = () if layout is None else layout.described
    found: dict[str, list[str]] = {}
    for entry in folder.entries:
        if entry.path not in paths:
            words = next((words for start, words in beside.items() if entry.name.startswith(start)), "")
            words = "read for what it says of the data" if entry.name in described else words
            found.setdefault(words or f"{entry.kind} that belong to no case", []).append(entry.name)
    if folder.left_out:
        found["hidden, or left by programs: not looked at"] = list(folder.left_out)
    return {words: tuple(names) for words, names in found.items()}


def gathered(names: Sequence[str]) -> list[str]:
    """Names of files as lines to be read: many of one folder and ending as one line with their number.

    Where there are still many, those that differ in numbers alone are one line as well.
    """
    lines = _joined(names, lambda name: "/".join((*name.split("/")[:-1], f"*{_ending(name)}")))
    return lines if len(lines) <= _LINES else _joined(names, lambda name: _NUMBER.sub("*", name))


def _joined(names: Sequence[str], pattern: Callable[[str], str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(pattern(name), []).append(name)
    many = {each: len(found) for each, found in groups.items() if len(found) > _SINGLY}
    return [
        line
        for each, found in groups.items()
        for line in ([f"{each}: {many[each]} files"] if each in many else found)
    ]


def _ending(name: str) -> str:
    last = name.rpartition("/")[2]
    return "." + last.split(".", 1)[1] if "." in last else ""
