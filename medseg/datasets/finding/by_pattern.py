"""Finding the files of cases in folders: patterns, and which image belongs to which truth."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.datasets.finding.draft import Complaint, Draft, Found
from medseg.datasets.finding.walk import Walk, few, kinds_listed, leave_passed, named_itself
from medseg.datasets.manifest.patterns import IMAGE, MASK, Layout, Matcher, Place
from medseg.datasets.manifest.slips import EXACT, FOLDER, OF_UNFINISHED, Slip, behind, slips
from medseg.errors import Fault
from medseg.images.itk.names import NAME as ITK
from medseg.progress import Progress
from medseg.text import composed

if TYPE_CHECKING:
    from medseg.datasets.manifest.manifest import Manifest


_OUTSIDE = "in other folders than the patterns say"
_COMPARED = 1000  # of many names that fit no pattern, with all patterns


@dataclass(frozen=True)
class _Seen:
    """A file that a pattern fits, or nearly fits: `slip` says but for what."""

    place: Place
    relative: str
    path: Path
    slip: str = ""


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
        # Patterns of NIfTI name their ending; those of pictures, and of headers with files beside, may leave it open.
        open_ending = self.manifest.pictures is not None or self.manifest.format == ITK
        walk = Walk(root, kind.suffixes, all=not open_ending)
        seen, strays = self._sorted(walk)
        used = [each for each in seen if each.place.part in parts]
        themselves = not seen and self._may_be_themselves(walk, parts)
        near = {} if themselves else {each.path: each for each in self._near(strays + _unnamed(walk), parts)}
        missed = self._missed(used, near.values())
        found = _PAIRINGS[self.layout.pair]([*used, *missed])
        found.faults[:0] = walk.faults
        if seen:
            found.notes += filter(None, [walk.unread_note()])
        elif not near:  # what a pattern fits is of another part, such as a label map
            every = Walk(walk.root, walk.suffixes, all=True)
            pictures = self.manifest.pictures is not None
            found.drafts += named_itself(every, parts[0], pictures=pictures) if themselves else ()
            found.faults += every.unread_faults()
            leave_passed(found, every, named=self.manifest.ids == "pseudonyms")
        elsewhere = list(self._elsewhere([each for each in strays if each[1] not in near], parts))
        by_name = elsewhere if not found.drafts and not truth else []
        found.drafts += _by_name(by_name).drafts
        if not found.drafts:
            found.faults.append(self._nothing(walk, kind.noun, len(elsewhere)))
        for draft in found.drafts:
            if self.manifest.truth_within and IMAGE in draft.files:
                draft.files[MASK] = draft.files[IMAGE]
            draft.files = {part: draft.files[part] for part in parts if part in draft.files}
            draft.complaints += [
                *_slipped(draft, near),
                *self._twice(draft, parts),
                *([] if draft.broken else self._lacking(draft, parts)),
            ]
        if not themselves:
            known = {*near, *(each.path for each in elsewhere)}
            unfit = [
                name for name, path in strays if path not in known and name.lower().endswith(walk.suffixes)
            ]
            self._leave_out(found, unfit, [] if by_name else [each.relative for each in elsewhere])
            found.files = _uses(
                walk,
                len(unfit),
                {
                    "of cases": len(used) + len(by_name),
                    "of parts that are not asked for": len(seen) - len(used),
                    "with names that nearly fit a pattern": len(near),
                    _OUTSIDE: len(elsewhere) - len(by_name),
                },
            )
        return found

    def _matcher(self, slip: Slip = EXACT) -> Matcher:
        layout = self.layout.loosened(slip)
        compiled = layout.compiled(self.manifest.channels, together=self.manifest.together)
        return replace(compiled, at=f"manifest '{self.manifest.name}', ")

    def _sorted(self, walk: Walk) -> tuple[list[_Seen], list[tuple[str, Path]]]:
        """Files that a pattern fits, and the others, by their path below the folder above."""
        matcher, seen, strays = self._matcher(), [], []
        above = walk.root.resolve()
        above = above.parent if walk.root.is_file() else above
        for relative, path in walk.paths():
            within = f"{composed(above.name)}/{relative}"
            place = matcher.place(relative) or matcher.place(within)
            if place is None:
                strays.append((within, path))
            else:
                seen.append(_Seen(place, within, path))
        return seen, strays

    def _near(self, strays: Iterable[tuple[str, Path]], parts: Sequence[str]) -> Iterator[_Seen]:
        """Files whose names miss a pattern of these parts narrowly."""
        tries = (
            [(slip, self._matcher(slip)) for slip in slips(self.manifest.files().suffixes)] if strays else []
        )
        for within, path in strays:
            ending = behind(path.suffix)
            name = within.removesuffix(path.suffix) if ending else within
            for slip, matcher in tries:
                place = matcher.place(name.partition("/")[2]) or matcher.place(name)
                if place is not None:
                    if place.part in parts:
                        yield _Seen(place, within, path, ending or slip.difference)
                    break

    def _elsewhere(self, strays: Iterable[tuple[str, Path]], parts: Sequence[str]) -> Iterator[_Seen]:
        """Files whose names fit the last part of an image's pattern, in whatever folder they lie."""
        matcher = self._matcher(FOLDER).of_names()
        for within, path in strays:
            place = matcher.place(within)
            if place is not None and place.part in parts:
                yield _Seen(place, within, path)

    def _leave_out(self, found: Found, unfit: Sequence[str], outside: Sequence[str]) -> None:
        """Note which files belong to no case, by name where names may be shown."""
        found.left += [*unfit, *outside]
        for names, since, since_one in (
            (unfit, "their names fit no pattern", "its name fits no pattern"),
            (outside, f"they lie {_OUTSIDE}", f"it lies {_OUTSIDE}"),
        ):
            if names:
                are = f"is left out, since {since_one}" if len(names) == 1 else f"are left out, since {since}"
                listed = few(sorted(names), named=self.manifest.ids == "pseudonyms")
                near = self._nearest(names) if names is unfit else ""
                found.notes.append(
                    f"{len(names)} of the {self.manifest.files().noun} files {are}{near}{listed}"
                )

    def _nearest(self, names: Sequence[str]) -> str:
        """Which patterns are most like some names, the most frequent first, in brackets."""
        matcher = self._matcher()
        counts = Counter(matcher.nearest(name.rpartition("/")[2]) for name in names[:_COMPARED])
        told = [
            f"'{pattern}'" + (f" ({count})" if len(counts) > 1 else "")
            for pattern, count in counts.most_common(3)
        ]
        return f" (the nearest: {', '.join(told)})"

    def _missed(self, used: Iterable[_Seen], near: Iterable[_Seen]) -> Iterator[_Seen]:
        """Files that miss a pattern narrowly, where their case has no other for this part."""
        there = {(each.place.raw, each.place.part) for each in used}
        for each in near:
            if (each.place.raw, each.place.part) not in there or each.place.part in self.layout.many:
                yield each

    def _may_be_themselves(self, walk: Walk, parts: Sequence[str]) -> bool:
        """Whether cases are one file each, where no name fits the layout.

        A file that is given in place of a folder, whatever its name; and of pictures every one of a folder.
        """
        alone = len(parts) == 1 and parts[0] != MASK
        return alone and (walk.root.is_file() or self.manifest.pictures is not None)

    def _nothing(self, walk: Walk, noun: str, elsewhere: int) -> Fault:
        patterns = self._matcher().text()
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

    def _twice(self, draft: Draft, parts: Sequence[str]) -> Iterator[Complaint]:
        for part in parts:
            places = draft.files.get(part, [])
            if len(places) > 1 and part not in self.layout.many:
                problem = f"{len(places)} files claim to be this part of the case"
                remedy = "Keep one of them, or name a folder that holds but one copy of the data."
                for _, path in places:
                    yield Complaint(part, problem, remedy, path)

    def _lacking(self, draft: Draft, parts: Sequence[str]) -> Iterator[Complaint]:
        near = next(draft.files[part][0][1] for part in parts if part in draft.files).parent
        for part in parts:
            if part not in draft.files:
                problem = f"the file is missing: none fits {self._matcher().text(part)}"
                remedy = (
                    "Add or rename it, use the manifest of this edition of the data, or leave the case out."
                )
                yield Complaint(part, problem, remedy, near)


def _unnamed(walk: Walk) -> list[tuple[str, Path]]:
    """Files that were passed over, without an ending or with one of unfinished copies, below the folder above."""
    above = composed(walk.root.resolve().name)
    return [(f"{above}/{name}", path) for name, path in walk.passed if not path.suffix or behind(path.suffix)]


def _slipped(draft: Draft, near: Mapping[Path, _Seen]) -> Iterator[Complaint]:
    for part, places in draft.files.items():
        for _, path in places:
            if path in near:
                seen = near[path]
                problem = f"the file fits the pattern '{seen.place.pattern}' but for {seen.slip}"
                remedy = "Rename it, write the pattern of these files in the manifest, or leave the case out."
                again = "Fetch it again, or leave the case out."
                yield Complaint(part, problem, again if seen.slip == OF_UNFINISHED else remedy, path)


def _uses(walk: Walk, unfit: int, known: Mapping[str, int]) -> dict[str, int]:
    """How many files there are of each use, the rest among them: every file that the walk saw is counted once.

    Hidden entries are counted beside them: a folder as one.
    """
    others = walk.files - sum(known.values()) - unfit
    return {**known, "with names that fit no pattern": unfit, "of other kinds": others, **walk.uses()}


def _by_name(files: Iterable[_Seen]) -> Found:
    """Files of one id are one case's."""
    drafts: dict[str, Draft] = {}
    for seen in files:
        draft = drafts.setdefault(seen.place.raw, Draft(seen.place.raw))
        draft.files.setdefault(seen.place.part, []).append((seen.relative, seen.path))
    for draft in drafts.values():
        for places in draft.files.values():
            places.sort()
    return Found(list(drafts.values()))


def _by_order(files: Iterable[_Seen]) -> Found:
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


_PAIRINGS: dict[str, Callable[[Iterable[_Seen]], Found]] = {"name": _by_name, "order": _by_order}


def _natural(text: str) -> tuple[tuple[str, int], ...]:
    """A key that sorts numbers as numbers: `a2` before `a10`."""
    return tuple((words, int(digits or 0)) for words, digits in re.findall(r"([^0-9]*)([0-9]*)", text))
