"""Files whose names miss the patterns of a layout: but for what, and which pattern is nearest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.datasets.finding.draft import Complaint, Draft, Found
from medseg.datasets.finding.walk import few, is_bare_image, kinds_listed
from medseg.datasets.manifest.patterns import MASK, Layout, Matcher, Place, Rule
from medseg.datasets.manifest.slips import (
    EXACT,
    FOLDER,
    LOOSEST,
    OF_UNFINISHED,
    Slip,
    behind,
    in_folder_of,
    is_plain,
    slips,
)
from medseg.images.itk.names import NAME as ITK
from medseg.text import composed

if TYPE_CHECKING:
    from medseg.datasets.manifest.manifest import Manifest

_COMPARED = 1000  # of many names that fit no pattern, with all patterns


@dataclass(frozen=True)
class Seen:
    """A file that a pattern fits, or nearly fits.

    Attributes:
        place: What the pattern says of it.
        relative: Its path below the folder above the data set's.
        path: The file.
        slip: But for what the pattern fits; empty if it does.
        other: Whether it may be a file of another kind.
    """

    place: Place
    relative: str
    path: Path
    slip: str = ""
    other: bool = False


@dataclass(frozen=True)
class Names:
    """What the patterns of a layout say about names."""

    manifest: Manifest
    layout: Layout

    def matcher(self, slip: Slip = EXACT) -> Matcher:
        """The compiled patterns, loosened."""
        layout = self.layout.loosened(slip)
        compiled = layout.compiled(self.manifest.channels, together=self.manifest.together)
        return replace(compiled, at=f"manifest '{self.manifest.name}', ")

    @property
    def open_ending(self) -> bool:
        """Whether patterns may leave the ending open: of pictures, and of headers with files beside."""
        return self.manifest.pictures is not None or self.manifest.format == ITK

    def near(self, strays: Sequence[tuple[str, Path]], *, folder: bool = False) -> Iterator[Seen]:
        """Files whose names miss a pattern narrowly.

        Args:
            strays: Files that no pattern fits, by their path below the folder above the data set's.
            folder: Whether they may lie in any folder.
        """
        endings = self.manifest.files().suffixes
        tries = [each for each in slips(endings, folder=folder) if strays]
        compiled = [(each, self._compiled(each)) for each in tries]
        loosest = self.matcher(replace(LOOSEST, folder=folder))
        for within, path in strays:
            ending = behind(path.suffix)
            name = within.removesuffix(path.suffix) if ending else within
            if is_plain(path.name) or _place(loosest, name) is None:
                continue
            # A pattern that leaves the ending open would fit what was passed over for its ending.
            whole = ending or not path.suffix or within.lower().endswith(endings) or not self.open_ending
            places = (
                (slip, _place(matcher, name))
                for slip, matcher in compiled
                if (is_bare_image(path) if slip.bare else whole or slip.other)
            )
            slip, place = next((each for each in places if each[1]), (EXACT, None))
            if place is not None and not (folder and place.part == MASK and _names_case_alone(place)):
                other = (slip.other or slip.bare) and not ending
                yield Seen(place, within, path, ending or slip.difference, other)

    def _compiled(self, slip: Slip) -> Matcher:
        """The patterns, loosened; of names alone where the folder does not matter."""
        matcher = self.matcher(slip)
        return matcher.of_names() if slip.folder else matcher

    def elsewhere(self, strays: Iterable[tuple[str, Path]], parts: Sequence[str]) -> Iterator[Seen]:
        """Files whose names fit the last part of a pattern, in whatever folder they lie.

        Of parts that are not asked for, those whose names tell it: any name fits `{case}.nii*`.
        """
        matcher, rules = self._compiled(FOLDER), self.matcher().rules
        for within, path in strays:
            place = matcher.place(within)
            if place is None or (_names_case_alone(place) and place.part not in parts):
                continue
            if not self._at_home(place, within, rules):
                yield Seen(place, within, path)

    def _at_home(self, place: Place, within: str, rules: Sequence[Rule]) -> bool:
        """Whether a file lies in a folder of the patterns, and fits one of another folder by any name at all."""
        at = f"manifest '{self.manifest.name}', 'layout'"
        return _names_case_alone(place) and any(
            in_folder_of(composed(rule.pattern), relative, at)
            for rule in rules
            for relative in (within, within.partition("/")[2])
        )

    def image_of(self, name: str) -> str | None:
        """The case whose label map a file of this name is in whatever folder, if the name alone tells it."""
        place = self._compiled(FOLDER).place(name)
        return place.case if place is not None and place.part == MASK else None

    def nearest(self, names: Sequence[str]) -> str:
        """Which patterns are most like some names, the most frequent first, in brackets."""
        matcher = self.matcher()
        counts = Counter(matcher.nearest(name.rpartition("/")[2]) for name in names[:_COMPARED])
        told = [
            f"'{pattern}'" + (f" ({count})" if len(counts) > 1 else "")
            for pattern, count in counts.most_common(3)
        ]
        return f" (the nearest: {', '.join(told)})"


def _place(matcher: Matcher, within: str) -> Place | None:
    """What a path below the folder above the data set's means, seen from either."""
    return matcher.place(within.partition("/")[2]) or matcher.place(within)


def _names_case_alone(place: Place) -> bool:
    """Whether the name in the pattern that fits is that of the case, and no more but for the ending."""
    return re.fullmatch(r"\{case\}[.*A-Za-z0-9]*", place.pattern.rpartition("/")[2]) is not None


def lacked(
    used: Iterable[Seen], near: Iterable[Seen], parts: Sequence[str], many: Collection[str]
) -> tuple[list[Seen], dict[Path, Seen]]:
    """Files that miss a pattern narrowly, where their case has no other for this part; and all by their paths.

    Args:
        used: Files that a pattern fits.
        near: Those that one nearly fits.
        parts: Those that are asked for; others are among all alone.
        many: Parts of which a case may have several files.

    Where it has one, a file of another kind is not among all: it may well be a note on that image.
    """
    there = {(each.place.raw, each.place.part) for each in used}
    missed, every = list[Seen](), dict[Path, Seen]()
    for each in near:
        lacks = (each.place.raw, each.place.part) not in there
        asked = each.place.part in parts
        if asked and (lacks or (each.place.part in many and not each.other)):
            missed.append(each)
        if lacks or not each.other:
            every[each.path] = each
    return missed, every


def slipped(draft: Draft, near: Mapping[Path, Seen], suffixes: Sequence[str]) -> Iterator[Complaint]:
    """What is wrong with the names of those files of a case that a pattern nearly fits, and what to do."""
    for part, places in draft.files.items():
        for _, path in places:
            if path in near:
                seen = near[path]
                problem = f"the file fits the pattern '{seen.place.pattern}' but for {seen.slip}"
                remedy = "Rename it, write the pattern of these files in the manifest, or leave the case out."
                if seen.slip == OF_UNFINISHED:
                    remedy = "Fetch it again, or leave the case out."
                elif seen.other:
                    kinds = kinds_listed(suffixes)
                    rename = f"Rename it if its content is that of {kinds}, save it as such if not"
                    remedy = f"{rename}, or leave the case out."
                yield Complaint(part, problem, remedy, path)


def leave_near(found: Found, near: Mapping[Path, Seen], parts: Sequence[str], *, named: bool) -> None:
    """Note which files a pattern nearly fits whose case has another file that it fits, each with that pattern.

    Args:
        found: Takes the note, and the names; its cases have those files that they lack.
        near: Files that a pattern nearly fits.
        parts: Those that are asked for: of others nothing is said.
        named: Whether the note may show names.
    """
    used = {path for draft in found.drafts for places in draft.files.values() for _, path in places}
    beside = sorted(
        (each for each in near.values() if each.place.part in parts and each.path not in used),
        key=lambda each: each.relative,
    )
    told = [f"{each.relative} ('{each.place.pattern}' but for {each.slip})" for each in beside]
    found.left += told
    if beside:
        only = (
            "1 file nearly fits a pattern, and is left out, since its case has another that fits: move out the "
            "wrong one"
        )
        several = (
            f"{len(beside)} files nearly fit a pattern, and are left out, since their cases have others that fit: "
            "move out the wrong ones"
        )
        found.notes.append(f"{only if len(beside) == 1 else several}{few(told, named=named)}")
