"""Finding the files of cases in folders: patterns, and which image belongs to which truth."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.datasets.finding.draft import Complaint, Draft, Found
from medseg.datasets.finding.strays.masks_beside import leave_masks
from medseg.datasets.finding.strays.near_misses import Names, Seen, lacked, leave_near, slipped
from medseg.datasets.finding.strays.unfitting import unfitting
from medseg.datasets.finding.walk import (
    Walk,
    few,
    kinds_listed,
    leave_archives,
    leave_out,
    leave_passed,
    named_itself,
)
from medseg.datasets.manifest.patterns import IMAGE, MASK, Layout
from medseg.errors import Fault
from medseg.progress import Progress
from medseg.text import composed, many

if TYPE_CHECKING:
    from medseg.datasets.manifest.manifest import Manifest


_OUTSIDE = "in other folders than the patterns say"


@dataclass
class _Files:
    """The files of a folder by what the patterns say of them.

    Attributes:
        parts: Those that are asked for.
        seen: Files that a pattern fits.
        strays: Others whose ending is that of the kind, or all others, by their path below the folder above.
        others: The strays, and what was passed over.
        near: Files that a pattern nearly fits.
        elsewhere: Files whose names fit, in other folders than the patterns say.
        by_name: Those of them that are cases all the same.
        masks: How many were left out, being masks beside their images.
    """

    parts: Sequence[str]
    seen: list[Seen] = field(default_factory=list)
    strays: list[tuple[str, Path]] = field(default_factory=list)
    others: list[tuple[str, Path]] = field(default_factory=list)
    near: dict[Path, Seen] = field(default_factory=dict)
    elsewhere: list[Seen] = field(default_factory=list)
    by_name: list[Seen] = field(default_factory=list)
    masks: int = 0

    @property
    def used(self) -> list[Seen]:
        """Those that a pattern fits, of the parts that are asked for."""
        return [each for each in self.seen if each.place.part in self.parts]


@dataclass(frozen=True)
class PatternFinder:
    """Finds files by the patterns of a layout."""

    manifest: Manifest
    layout: Layout

    def find(
        self,
        root: Path,
        parts: Sequence[str],
        *,
        truth: bool,
        progress: Progress,  # noqa: ARG002 - names of files are listed quickly
    ) -> Found:
        """The cases below a root that have any of these parts, with what they lack or have twice.

        Where no truth is needed, and no pattern fits, files are found by the last part of the patterns, wherever
        they lie. What misses a pattern narrowly is a fault of its case, which would vanish else.
        """
        kind = self.manifest.files()
        walk = Walk(root, kind.suffixes, all=not self._names.open_ending)
        files = self._sorted(walk, parts)
        # A file that is given by itself is what was meant, whatever its name.
        seen = files.used if walk.root.is_file() else files.seen
        themselves = not seen and self._may_be_themselves(walk, parts)
        missed = [] if themselves else self._look_for_misses(files)
        found = _PAIRINGS[self.layout.pair]([*files.used, *missed])
        found.faults[:0] = walk.faults
        if seen:
            self._note_unread(found, walk)
        elif not missed:  # what a pattern fits is of another part, such as a label map
            every = Walk(walk.root, walk.suffixes, all=True)
            pictures = self.manifest.pictures is not None
            found.drafts += named_itself(every, parts[0], pictures=pictures) if themselves else ()
            found.faults += every.unread_faults()
            leave_passed(found, every, named=self._named)
        self._look_elsewhere(files, found, truth=truth)
        if not truth:
            of = self._names.image_of
            files.masks = leave_masks(found, kind.suffixes, named=self._named, folders=True, of=of)
            there = {each.place.case for each in files.used}
            maps = [] if themselves else [each for each in files.seen if each.place.part == MASK]
            alone = [each.relative for each in maps if each.place.case not in there]
            leave_out(
                found, alone, "a label map without image", "label maps without image", named=self._named
            )
        if not found.drafts:
            outside = sum(each.place.part in parts for each in files.elsewhere)
            found.faults.append(self._nothing(walk, kind.noun, outside, len(files.seen)))
        for draft in found.drafts:
            self._complain(draft, parts, files.near)
        if not themselves:
            self._account(found, walk, files)
        return found

    def _look_for_misses(self, files: _Files) -> list[Seen]:
        """Files that nearly fit and that their case has no other of, where the patterns say that they lie."""
        missed, files.near = lacked(files.used, self._names.near(files.others), files.parts, self.layout.many)
        return missed

    def _look_elsewhere(self, files: _Files, found: Found, *, truth: bool) -> None:
        """Files whose names fit in whatever folder they lie: cases, where there are no others and no truth is wanted.

        What nearly fits is looked for as well then.
        """
        strays = [each for each in files.strays if each[1] not in files.near]
        files.elsewhere = list(self._names.elsewhere(strays, files.parts))
        if truth or found.drafts:
            return
        files.by_name = [each for each in files.elsewhere if each.place.part in files.parts]
        there = {each.path for each in files.elsewhere}
        rest = [each for each in files.others if each[1] not in there]
        near = self._names.near(rest, folder=True)
        missed, files.near = lacked(files.by_name, near, files.parts, self.layout.many)
        found.drafts += _by_name([*files.by_name, *missed]).drafts

    def _complain(self, draft: Draft, parts: Sequence[str], near: Mapping[Path, Seen]) -> None:
        """Say what is wrong with the files of a case, and keep those parts that are asked for."""
        if self.manifest.truth_within and IMAGE in draft.files:
            draft.files[MASK] = draft.files[IMAGE]
        draft.files = {part: draft.files[part] for part in parts if part in draft.files}
        draft.complaints += [
            *slipped(draft, near, self.manifest.files().suffixes),
            *self._twice(draft, parts, near),
            *([] if draft.broken else self._lacking(draft, parts)),
        ]

    def _account(self, found: Found, walk: Walk, files: _Files) -> None:
        """Say what became of every file that the walk saw, each counted once.

        Hidden entries are counted beside them: a folder as one.
        """
        outside = [] if files.by_name else files.elsewhere
        known = {*files.near, *(each.path for each in files.elsewhere)}
        rest = [each for each in files.others if each[1] not in known]
        unfit, alike = unfitting(walk, rest, [*files.seen, *files.elsewhere])
        self._leave_out(found, unfit, alike, [each.relative for each in outside])
        leave_near(found, files.near, files.parts, named=self._named)
        named = {*unfit, *alike}
        others = [name for name, _ in rest if name not in named]
        archives = len(others) - len(leave_archives(found, others, named=self._named))
        fitting = [*files.seen, *files.near.values(), *(files.elsewhere if files.by_name else ())]
        uses = {
            "of cases": len(files.used) + len(files.by_name) - files.masks,
            "that are masks beside their images": files.masks,
            "of parts that are not asked for": sum(each.place.part not in files.parts for each in fitting),
            "with names that nearly fit a pattern": sum(
                each.place.part in files.parts for each in files.near.values()
            ),
            _OUTSIDE: len(outside),
            "with names that fit no pattern": len(unfit) + len(alike),
            "that are archives": archives,
        }
        found.files = {**uses, "of other kinds": walk.files - sum(uses.values()), **walk.uses()}

    def _note_unread(self, found: Found, walk: Walk) -> None:
        """Note images of kinds that are not read, by name where names may be shown."""
        note = walk.unread_note()
        names = sorted(name for name, _ in _below(walk) if walk.counts(name))
        if note:
            found.notes.append(f"{note}; they are left out{few(names, named=self._named)}")
            found.left += names

    @property
    def _named(self) -> bool:
        return self.manifest.ids == "pseudonyms"

    @property
    def _names(self) -> Names:
        return Names(self.manifest, self.layout)

    def _sorted(self, walk: Walk, parts: Sequence[str]) -> _Files:
        """Files that a pattern fits, and the others."""
        matcher, files = self._names.matcher(), _Files(parts)
        above = walk.root.resolve()
        above = above.parent if walk.root.is_file() else above
        for relative, path in walk.paths():
            within = f"{composed(above.name)}/{relative}"
            place = matcher.place(relative) or matcher.place(within)
            if place is None:
                files.strays.append((within, path))
            else:
                files.seen.append(Seen(place, within, path))
        files.others = files.strays + _below(walk)
        return files

    def _leave_out(
        self, found: Found, unfit: Sequence[str], alike: Sequence[str], outside: Sequence[str]
    ) -> None:
        """Note which files belong to no case, by name where names may be shown."""
        found.left += [*unfit, *alike, *outside]
        of_kind = f"of the {self.manifest.files().noun} files"
        of_others = "of the images of other kinds"
        for names, what, since, since_one in (
            (unfit, of_kind, "their names fit no pattern", "its name fits no pattern"),
            (alike, of_others, "their names fit no pattern", "its name fits no pattern"),
            (outside, of_kind, f"they lie {_OUTSIDE}", f"it lies {_OUTSIDE}"),
        ):
            if names:
                are = f"is left out, since {since_one}" if len(names) == 1 else f"are left out, since {since}"
                listed = few(sorted(names), named=self._named)
                near = "" if names is outside else self._names.nearest(names)
                found.notes.append(f"{len(names)} {what} {are}{near}{listed}")

    def _may_be_themselves(self, walk: Walk, parts: Sequence[str]) -> bool:
        """Whether cases are one file each, where no name fits the layout.

        A file that is given in place of a folder, whatever its name; and of pictures every one of a folder.
        """
        alone = len(parts) == 1 and parts[0] != MASK
        return alone and (walk.root.is_file() or self.manifest.pictures is not None)

    def _nothing(self, walk: Walk, noun: str, elsewhere: int, others: int) -> Fault:
        patterns = self._names.matcher().text()
        seen = f"{many(walk.files, 'file', 'were')} seen, {walk.kind} of them {noun} ({kinds_listed(walk.suffixes)})"
        remedy = (
            "Name the folder of the data set, unpacked, or write a manifest with the layout of these files. "
            f"To get the data of '{self.manifest.name}': {self.manifest.obtain}"
        )
        fits = f"{many(others, 'file', 'are')} of a part that is not asked for, by" if others else "none fits"
        problem = f"no file of the data set '{self.manifest.name}' was found: {seen}, and {fits} {patterns}"
        problem += f"; {elsewhere} would but for the folder" if elsewhere else ""
        return Fault("", 0, "", problem, remedy, walk.root)

    def _twice(self, draft: Draft, parts: Sequence[str], near: Mapping[Path, Seen]) -> Iterator[Complaint]:
        for part in parts:
            places = draft.files.get(part, [])
            if (
                len(places) > 1
                and part not in self.layout.many
                and not near.keys() & {each for _, each in places}
            ):
                problem = f"{len(places)} files claim to be this part of the case"
                remedy = "Keep one of them, or name a folder that holds but one copy of the data."
                for _, path in places:
                    yield Complaint(part, problem, remedy, path)

    def _lacking(self, draft: Draft, parts: Sequence[str]) -> Iterator[Complaint]:
        near = next(draft.files[part][0][1] for part in parts if part in draft.files).parent
        for part in parts:
            if part not in draft.files:
                problem = f"the file is missing: none fits {self._names.matcher().text(part)}"
                remedy = (
                    "Add or rename it, use the manifest of this edition of the data, or leave the case out."
                )
                yield Complaint(part, problem, remedy, near)


def _below(walk: Walk) -> list[tuple[str, Path]]:
    """Files that were passed over, below the folder above."""
    above = composed(walk.root.resolve().name)
    return [(f"{above}/{name}", path) for name, path in walk.passed]


def _by_name(files: Iterable[Seen]) -> Found:
    """Files of one id are one case's."""
    drafts: dict[str, Draft] = {}
    for seen in files:
        draft = drafts.setdefault(seen.place.raw, Draft(seen.place.raw))
        draft.files.setdefault(seen.place.part, []).append((seen.relative, seen.path))
    for draft in drafts.values():
        for places in draft.files.values():
            places.sort()
    return Found(list(drafts.values()))


def _by_order(files: Iterable[Seen]) -> Found:
    """The first image of a folder goes with the first label map, and so on."""
    everything = sorted(files, key=lambda seen: _natural(seen.relative))
    masks = [seen for seen in everything if seen.place.part == MASK]
    images = [seen for seen in everything if seen.place.part != MASK]
    found = _by_name(images)
    if not masks:
        return found  # none is expected, or each case lacks its own
    drafts = {draft.raw: draft for draft in found.drafts}
    for within in dict.fromkeys(seen.place.within for seen in everything):
        mine = [seen for seen in images if seen.place.within == within]
        theirs = [seen for seen in masks if seen.place.within == within]
        if len(mine) != len(theirs):
            problem = (
                f"'pair: order' found {len(mine)} images and {len(theirs)} label maps that belong together"
            )
            remedy = "Add or remove files until there are as many of each, or pair them by name."
            found.faults.append(Fault("", 0, MASK, problem, remedy, (mine or theirs)[0].path.parent.parent))
            for seen in mine:
                drafts[seen.place.raw].broken = True
            continue
        for image, mask in zip(mine, theirs, strict=True):
            drafts[image.place.raw].files.setdefault(MASK, []).append((mask.relative, mask.path))
            found.pairs.append((composed(image.path.name), composed(mask.path.name)))
    return found


_PAIRINGS: dict[str, Callable[[Iterable[Seen]], Found]] = {"name": _by_name, "order": _by_order}


def _natural(text: str) -> tuple[tuple[str, int], ...]:
    """A key that sorts numbers as numbers: `a2` before `a10`."""
    return tuple((words, int(digits or 0)) for words, digits in re.findall(r"([^0-9]*)([0-9]*)", text))
