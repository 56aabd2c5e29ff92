"""Finding the files of cases in folders: patterns, and which image belongs to which truth."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from medseg.cases.layout import MASK, Layout, Matcher, Place, composed
from medseg.cases.walk import Walk
from medseg.errors import Fault

if TYPE_CHECKING:
    from medseg.cases.manifest import Manifest


@dataclass(frozen=True)
class Complaint:
    """What is wrong with one case: a `Fault` before the case has its public name."""

    part: str
    met: str
    remedy: str
    path: Path | None


@dataclass
class Draft:
    """A case before it has its public name.

    Attributes:
        raw: Its id as the data set spells it. Private where ids are identifying.
        files: Its files by part: `<root's name>/<path relative to the root>`, in NFC, and path.
        complaints: What is wrong with it.
        broken: Whether it cannot be used for what a fault of the whole data set says.
        group: Its patient, where the finder is told; else empty.
        labels: Its classes, where the finder is told.
        extra: Further columns that the finder is told.
    """

    raw: str
    files: dict[str, list[tuple[str, Path]]] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)
    broken: bool = False
    group: str = ""
    labels: tuple[str, ...] | None = None
    extra: dict[str, str] = field(default_factory=dict)


@dataclass
class Found:
    """What a finder found.

    Attributes:
        drafts: The cases.
        faults: What is wrong, and belongs to no case.
        pairs: Names of what was paired by order.
        notes: What to know of it, though it is no fault: sentences without a full stop.
    """

    drafts: list[Draft] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Finder(Protocol):
    """What finds the files of cases."""

    def find(self, root: Path, parts: Sequence[str], *, truth: bool) -> Found:
        """The cases below a root that have any of these parts, with what is wrong; faults if there are none.

        Without a wish for truth nothing is wrong that concerns the truth alone.
        """


def named_itself(walk: Walk, part: str, *, pictures: bool) -> Iterator[Draft]:
    """A case for each file of the kind, with its path below the root for an id.

    The ending of the name is no part of the id, unless it is all that tells two files apart.

    Args:
        walk: Through all files.
        part: What each file is.
        pictures: Whether files of other endings, or of none, are of the kind if their content is: pictures and
            DICOM. Images of kinds that are not read are counted by the walk.
    """
    above = composed(walk.root.resolve().parent.name if walk.root.is_file() else walk.root.resolve().name)
    there: list[tuple[str, Path]] = []
    others: list[tuple[str, Path]] = []
    for relative, path in walk.paths():
        of_kind = relative.lower().endswith(walk.suffixes) or (pictures and walk.is_picture(path))
        (there if of_kind else others).append((relative, path))
    bare = {path.parent for _, path in there if not path.suffix}
    # An empty file among DICOM files without endings is one that was not copied: reading it will say so.
    there += [each for each in others if each[1].parent in bare and not each[1].suffix and _is_empty(each[1])]
    stems = [without_ending(relative, walk.suffixes) for relative, _ in there]
    counts = Counter(stems)
    for (relative, path), stem in zip(there, stems, strict=True):
        yield Draft(stem if counts[stem] == 1 else relative, {part: [(f"{above}/{relative}", path)]})


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def without_ending(name: str, endings: Sequence[str]) -> str:
    """A file's name without the ending of its kind, if it has one."""
    ending = max((each for each in endings if name.lower().endswith(each)), key=len, default="")
    return name[: len(name) - len(ending)]


def kinds_told(suffixes: Sequence[str]) -> str:
    """Endings of names as a list for people."""
    return " or ".join([", ".join(suffixes[:-1]), *suffixes[-1:]][-len(suffixes) :])


@dataclass(frozen=True)
class _Seen:
    """A file that a pattern fits."""

    place: Place
    told: str
    path: Path


@dataclass(frozen=True)
class PatternFinder:
    """Finds files by the patterns of a layout."""

    manifest: Manifest
    layout: Layout

    def find(self, root: Path, parts: Sequence[str], *, truth: bool) -> Found:  # noqa: ARG002 - parts say it
        """The cases below a root that have any of these parts, with what they lack or have twice."""
        kind = self.manifest.files()
        # Patterns of volumes name their ending; those of pictures may leave it open.
        walk = Walk(root, kind.suffixes, all=self.manifest.pictures is None)
        seen = list(self._seen(walk))
        found = _PAIRINGS[self.layout.pair]([each for each in seen if each.place.part in parts])
        found.faults[:0] = walk.faults
        if seen:
            found.notes += filter(None, [walk.unread_told()])
        else:  # what a pattern fits is of another part, such as a label map
            every = Walk(walk.root, walk.suffixes, all=True)
            found.drafts += self._themselves(every, parts)
            found.faults += every.unread_faults()
        if not found.drafts:
            found.faults.append(self._nothing(walk, kind.noun))
        for draft in found.drafts:
            draft.files = {part: draft.files[part] for part in parts if part in draft.files}
            draft.complaints += [
                *self._twice(draft, parts),
                *([] if draft.broken else self._lacking(draft, parts)),
            ]
        return found

    def _matcher(self) -> Matcher:
        compiled = self.layout.compiled(self.manifest.channels, together=self.manifest.together)
        return replace(compiled, at=f"manifest '{self.manifest.name}', ")

    def _seen(self, walk: Walk) -> Iterator[_Seen]:
        matcher = self._matcher()
        above = walk.root.resolve()
        above = above.parent if walk.root.is_file() else above
        for relative, path in walk.paths():
            within = f"{composed(above.name)}/{relative}"
            place = matcher.place(relative) or matcher.place(within)
            if place is not None:
                yield _Seen(place, within, path)

    def _themselves(self, walk: Walk, parts: Sequence[str]) -> Iterator[Draft]:
        """Cases that are one file each, where no name fits the layout.

        A file that is given in place of a folder, whatever its name; and of pictures every one of a folder.
        """
        alone = len(parts) == 1 and parts[0] != MASK
        if alone and (walk.root.is_file() or self.manifest.pictures is not None):
            yield from named_itself(walk, parts[0], pictures=self.manifest.pictures is not None)

    def _nothing(self, walk: Walk, noun: str) -> Fault:
        patterns = self._matcher().told()
        seen = f"{walk.files} files were seen, {walk.kind} of them {noun} ({kinds_told(walk.suffixes)})"
        remedy = (
            "Name the folder of the data set, unpacked, or write a manifest with the layout of these files. "
            f"To get the data of '{self.manifest.name}': {self.manifest.obtain}"
        )
        met = f"no file of the data set '{self.manifest.name}' was found: {seen}, and none fits {patterns}"
        return Fault("", 0, "", met, remedy, walk.root)

    def _twice(self, draft: Draft, parts: Sequence[str]) -> Iterator[Complaint]:
        for part in parts:
            places = draft.files.get(part, [])
            if len(places) > 1 and part not in self.layout.many:
                met = f"{len(places)} files claim to be this part of the case"
                remedy = "Keep one of them, or name a folder that holds but one copy of the data."
                for _, path in places:
                    yield Complaint(part, met, remedy, path)

    def _lacking(self, draft: Draft, parts: Sequence[str]) -> Iterator[Complaint]:
        near = next(draft.files[part][0][1] for part in parts if part in draft.files).parent
        for part in parts:
            if part not in draft.files:
                met = f"the file is missing: none fits {self._matcher().told(part)}"
                remedy = (
                    "Add or rename it, use the manifest of this edition of the data, or leave the case out."
                )
                yield Complaint(part, met, remedy, near)


def _by_name(files: Iterable[_Seen]) -> Found:
    """Files of one id are one case's."""
    drafts: dict[str, Draft] = {}
    for seen in files:
        draft = drafts.setdefault(seen.place.raw, Draft(seen.place.raw))
        draft.files.setdefault(seen.place.part, []).append((seen.told, seen.path))
    for draft in drafts.values():
        for places in draft.files.values():
            places.sort()
    return Found(list(drafts.values()))


def _by_order(files: Iterable[_Seen]) -> Found:
    """The first image of a folder goes with the first label map, and so on."""
    everything = sorted(files, key=lambda seen: _natural(seen.told))
    masks = [seen for seen in everything if seen.place.part == MASK]
    images = [seen for seen in everything if seen.place.part != MASK]
    found = _by_name(images)
    if not masks:
        return found  # none is wanted, or each case lacks its own
    drafts = {draft.raw: draft for draft in found.drafts}
    for within in dict.fromkeys(seen.place.within for seen in everything):
        mine = [seen for seen in images if seen.place.within == within]
        theirs = [seen for seen in masks if seen.place.within == within]
        if len(mine) != len(theirs):
            met = f"'pair: order' found {len(mine)} images and {len(theirs)} label maps that belong together"
            remedy = "Add or remove files until there are as many of each, or pair them by name."
            found.faults.append(Fault("", 0, MASK, met, remedy, (mine or theirs)[0].path.parent.parent))
            for seen in mine:
                drafts[seen.place.raw].broken = True
            continue
        for image, mask in zip(mine, theirs, strict=True):
            drafts[image.place.raw].files.setdefault(MASK, []).append((mask.told, mask.path))
            found.pairs.append((composed(image.path.name), composed(mask.path.name)))
    return found


_PAIRINGS: dict[str, Callable[[Iterable[_Seen]], Found]] = {"name": _by_name, "order": _by_order}


def _natural(text: str) -> tuple[tuple[str, int], ...]:
    """A key that sorts numbers as numbers: `a2` before `a10`."""
    return tuple((words, int(digits or 0)) for words, digits in re.findall(r"([^0-9]*)([0-9]*)", text))
