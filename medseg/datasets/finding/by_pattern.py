"""Finding the files of cases in folders: patterns, and which image belongs to which truth."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.datasets.finding.draft import Complaint, Draft, Found
from medseg.datasets.finding.strays.masks_beside import leave_masks
from medseg.datasets.finding.strays.near_misses import Names, Seen, lacked, slipped
from medseg.datasets.finding.walk import Walk, few, kinds_listed, leave_passed, named_itself
from medseg.datasets.manifest.patterns import IMAGE, MASK, Layout
from medseg.datasets.manifest.slips import may_be_image
from medseg.errors import Fault
from medseg.progress import Progress
from medseg.text import composed

if TYPE_CHECKING:
    from medseg.datasets.manifest.manifest import Manifest


_OUTSIDE = "in other folders than the patterns say"


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
        seen, strays = self._sorted(walk)
        used = [each for each in seen if each.place.part in parts]
        themselves = not seen and self._may_be_themselves(walk, parts)
        others = [] if themselves else strays + _below(walk)
        missed, near = lacked(used, self._names.near(others), parts, self.layout.many)
        found = _PAIRINGS[self.layout.pair]([*used, *missed])
        found.faults[:0] = walk.faults
        named = self.manifest.ids == "pseudonyms"
        if seen:
            found.notes += filter(None, [walk.unread_note()])
        elif not near:  # what a pattern fits is of another part, such as a label map
            every = Walk(walk.root, walk.suffixes, all=True)
            pictures = self.manifest.pictures is not None
            found.drafts += named_itself(every, parts[0], pictures=pictures) if themselves else ()
            found.faults += every.unread_faults()
            leave_passed(found, every, named=named)
        elsewhere = list(self._names.elsewhere([each for each in strays if each[1] not in near], parts))
        by_name = elsewhere if not found.drafts and not truth else []
        if not found.drafts and not truth:
            rest = [each for each in others if each[1] not in {seen.path for seen in elsewhere}]
            missed, near = lacked(by_name, self._names.near(rest, folder=True), parts, self.layout.many)
            found.drafts += _by_name([*by_name, *missed]).drafts
        beside = 0 if truth else leave_masks(found, kind.suffixes, named=named, of=self._names.image_of)
        if not found.drafts:
            found.faults.append(self._nothing(walk, kind.noun, len(elsewhere)))
        for draft in found.drafts:
            if self.manifest.truth_within and IMAGE in draft.files:
                draft.files[MASK] = draft.files[IMAGE]
            draft.files = {part: draft.files[part] for part in parts if part in draft.files}
            draft.complaints += [
                *slipped(draft, near, kind.suffixes),
                *self._twice(draft, parts, near),
                *([] if draft.broken else self._lacking(draft, parts)),
            ]
        if not themselves:
            asked = sum(each.place.part in parts for each in near.values())
            known = {*near, *(each.path for each in elsewhere)}
            unfit, alike = self._unfit(walk, [each for each in others if each[1] not in known])
            self._leave_out(found, unfit, alike, [] if by_name else [each.relative for each in elsewhere])
            found.files = _uses(
                walk,
                len(unfit) + len(alike),
                {
                    "of cases": len(used) + len(by_name) - beside,
                    "that are masks beside their images": beside,
                    "of parts that are not asked for": len(seen) - len(used) + len(near) - asked,
                    "with names that nearly fit a pattern": asked,
                    _OUTSIDE: len(elsewhere) - len(by_name),
                },
            )
        return found

    @property
    def _names(self) -> Names:
        return Names(self.manifest, self.layout)

    def _sorted(self, walk: Walk) -> tuple[list[Seen], list[tuple[str, Path]]]:
        """Files that a pattern fits, and the others, by their path below the folder above."""
        matcher, seen, strays = self._names.matcher(), [], []
        above = walk.root.resolve()
        above = above.parent if walk.root.is_file() else above
        for relative, path in walk.paths():
            within = f"{composed(above.name)}/{relative}"
            place = matcher.place(relative) or matcher.place(within)
            if place is None:
                strays.append((within, path))
            else:
                seen.append(Seen(place, within, path))
        return seen, strays

    def _unfit(self, walk: Walk, others: Sequence[tuple[str, Path]]) -> tuple[list[str], list[str]]:
        """Names that fit nothing: of files of the kind, and of others that are images by their ending."""
        unfit = [name for name, path in others if name.lower().endswith(walk.suffixes)]
        alike = [
            name
            for name, path in others
            if not name.lower().endswith(walk.suffixes) and may_be_image(name) and not walk.counts(name)
        ]
        return unfit, alike

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
                listed = few(sorted(names), named=self.manifest.ids == "pseudonyms")
                near = "" if names is outside else self._names.nearest(names)
                found.notes.append(f"{len(names)} {what} {are}{near}{listed}")

    def _may_be_themselves(self, walk: Walk, parts: Sequence[str]) -> bool:
        """Whether cases are one file each, where no name fits the layout.

        A file that is given in place of a folder, whatever its name; and of pictures every one of a folder.
        """
        alone = len(parts) == 1 and parts[0] != MASK
        return alone and (walk.root.is_file() or self.manifest.pictures is not None)

    def _nothing(self, walk: Walk, noun: str, elsewhere: int) -> Fault:
        patterns = self._names.matcher().text()
        seen = f"{walk.files} files were seen, {walk.kind} of them {noun} ({kinds_listed(walk.suffixes)})"
        remedy = (
            "Name the folder of the data set, unpacked, or write a manifest with the layout of these files. "
            f"To get the data of '{self.manifest.name}': {self.manifest.obtain}"
        )
        problem = (
            f"no file of the data set '{self.manifest.name}' was found: {seen}, and none fits {patterns}"
        )
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


def _uses(walk: Walk, unfit: int, known: Mapping[str, int]) -> dict[str, int]:
    """How many files there are of each use, the rest among them: every file that the walk saw is counted once.

    Hidden entries are counted beside them: a folder as one.
    """
    others = walk.files - sum(known.values()) - unfit
    return {**known, "with names that fit no pattern": unfit, "of other kinds": others, **walk.uses()}


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
