"""Images and label maps that are told apart by a part of their names: an ending, a folder, or the name itself."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from medseg.datasets.scanning.colours import coloured
from medseg.datasets.scanning.folder import ITK, PICTURE, VOLUME, Entry, Folder
from medseg.datasets.scanning.layout import Layout
from medseg.datasets.scanning.layouts.likeness import LooksLikeLabels
from medseg.datasets.scanning.layouts.naming import ids_pattern, patient_rule, role_column
from medseg.datasets.scanning.meaning import identifiers
from medseg.images.itk.names import NAME

#: How label maps are called; the surest words first.
_WORDS = ("seg", "label", "gt", "truth", "mask", "annot", "manual")
_SURE = re.compile(
    r"[^A-Za-z]*(seg|segmentations?|labels?|gt|truth|masks?|labelsTr|segmaps?|annotations?)[^A-Za-z]*", re.I
)

_SPECIAL = re.compile(r"[{}*]")  # of patterns
_SEPARATOR = re.compile(r"[-_. ]")
_SHARE = 0.8  # of the label maps that must have an image for it to be a channel
_EXPLAINED = 0.3  # of the files of the kind


Judge = Callable[[str, Mapping[str, Entry]], bool]
"""Whether a part, with its files by case, is label maps."""


class Scheme(Protocol):
    """A place in names that says which part of a case a file is."""

    @property
    def where(self) -> str:
        """The place, in words."""

    def splits(self, entry: Entry) -> Iterator[tuple[str, str]]:
        """Ways to divide a file's name into what is the case's and what is the part's."""

    def pattern(self, part: str, names: Mapping[str, str], ending: str) -> str | None:
        """The pattern of a part; None where none can say it.

        Args:
            part: As `splits` gave it.
            names: The file of each case.
            ending: Of the files.
        """


@dataclass(frozen=True)
class BySuffix:
    """`x_t1.nii` and `x_seg.nii`, or `x.nii` and `x_seg.nii`."""

    where: str = "the ends of names"

    def splits(self, entry: Entry) -> Iterator[tuple[str, str]]:
        """The whole name and no end, and the name cut at each of its last separators."""
        home = "".join(f"{each}/" for each in entry.folders)
        yield home + entry.stem, ""
        for found in list(_SEPARATOR.finditer(entry.stem))[-4:]:
            if found.start():
                yield home + entry.stem[: found.start()], entry.stem[found.start() :]

    def pattern(self, part: str, names: Mapping[str, str], ending: str) -> str:
        """Anywhere; with the folders in the id where names repeat."""
        bare = Counter(case.rpartition("/")[2] for case in names)
        deep = any("/" in case for case in names)
        start = "" if not deep else "**/" if max(bare.values()) == 1 else "{within}"
        return f"{start}{{case}}{part}{ending}"


@dataclass(frozen=True)
class ByName:
    """`case/t1.nii` and `case/seg.nii`."""

    where: str = "names within the folders of cases"

    def splits(self, entry: Entry) -> Iterator[tuple[str, str]]:
        """The folder is the case."""
        if entry.folders:
            yield "/".join(entry.folders), entry.stem

    def pattern(self, part: str, names: Mapping[str, str], ending: str) -> str:
        """The last folder is the case; with those above in the id where its name repeats."""
        bare = Counter(case.rpartition("/")[2] for case in names)
        start = "{within}" if max(bare.values()) > 1 else "**/" if any("/" in case for case in names) else ""
        return f"{start}{{case}}/{part}{ending}"


@dataclass(frozen=True)
class ByFolder:
    """`images/x.png` and `masks/x.png`, or `masks/x_mask.png`.

    Attributes:
        at: Which of the folders tells the part: from outside 0, 1, or from inside -1, -2.
    """

    at: int
    where: str = "folders"

    def splits(self, entry: Entry) -> Iterator[tuple[str, str]]:
        """The case is the name without the folder that tells the part, and without an end that does."""
        folders = entry.folders
        place = self.at if self.at >= 0 else len(folders) + self.at
        if not 0 <= place < len(folders):
            return
        home = "".join(f"{each}/" for number, each in enumerate(folders) if number != place)
        yield home + entry.stem, folders[place]
        found = list(_SEPARATOR.finditer(entry.stem))
        if found and found[-1].start():
            end = entry.stem[found[-1].start() :]
            if is_mask(end) or end[1:].lower() in {"image", "img", "0000"}:
                yield home + entry.stem[: found[-1].start()], f"{folders[place]}/{end}"

    def pattern(self, part: str, names: Mapping[str, str], ending: str) -> str | None:
        """Folders that differ, on one side of it, become part of the id."""
        name, _, end = part.partition("/")
        before, after = set(), set()
        for file in names.values():
            folders = file.split("/")[:-1]
            place = self.at if self.at >= 0 else len(folders) + self.at
            before.add("/".join(folders[:place]))
            after.add("/".join(folders[place + 1 :]))
        start = "{within}" if len(before) > 1 else "" if before == {""} else "**/"
        # A folder that lies in many others is named; one alone may be called as a patient.
        (one,) = after if len(after) == 1 and len(before) > 1 else ("",)
        below = f"{one}/" if one else "" if after == {""} else "{within}"
        if _SPECIAL.search(one) or ("{within}" in start and "{within}" in below):
            return None
        return f"{start}{name}/{below}{{case}}{end}{ending}"


SCHEMES: tuple[Scheme, ...] = (BySuffix(), ByFolder(-1), ByFolder(0), ByFolder(-2), ByFolder(1), ByName())


@dataclass(frozen=True)
class Parted:
    """Files as parts of cases.

    Attributes:
        scheme: What tells the parts.
        mask: The part that is the label map.
        images: The parts that are channels.
        files: The file of each case, by part.
        rivals: Further parts that are called as label maps.
    """

    scheme: Scheme
    mask: str
    images: tuple[str, ...]
    files: Mapping[str, Mapping[str, Entry]]
    rivals: tuple[str, ...]

    @property
    def explained(self) -> int:
        """How many files are parts of cases that have a label map."""
        masks = self.files[self.mask].keys()
        return len(masks) + sum(len(self.files[part].keys() & masks) for part in self.images)

    @property
    def rank(self) -> tuple[int, bool, int, int]:
        """What makes it better than another: more files, a surer word, a shorter one."""
        return self.explained, bool(_SURE.fullmatch(self.mask)), -_word(self.mask), -len(self.mask)


class NamedParts:
    """A label map and one image or several of each case, told apart by their names."""

    def recognise(self, folder: Folder) -> Layout | None:
        """The layout that explains most files, of volumes before pictures."""
        for judge in (by_name, LooksLikeLabels()):
            for kind in (VOLUME, ITK, PICTURE):
                entries = folder.of(kind)
                found = [each for scheme in SCHEMES for each in _parted(scheme, entries, judge)]
                best = max(found, key=lambda each: each.rank, default=None)
                if best is not None and best.explained >= _EXPLAINED * len(entries):
                    made = _layout(best, kind, entries)
                    if made is not None:
                        return made
        return None


def by_name(part: str, files: Mapping[str, Entry]) -> bool:  # noqa: ARG001 - as `LooksLikeLabels`
    """Whether a part is called as label maps are."""
    return is_mask(part)


def is_mask(part: str) -> bool:
    """Whether a part of a name is how label maps are called."""
    return _word(part) < len(_WORDS)


def _word(part: str) -> int:
    lower = part.lower()
    tokens = re.split(r"[^a-z]+", lower)
    return next(
        (n for n, word in enumerate(_WORDS) if (word in tokens if word == "gt" else word in lower)),
        len(_WORDS),
    )


def _parted(scheme: Scheme, entries: Sequence[Entry], judge: Judge) -> Iterator[Parted]:
    """Every way to see the files as parts of cases by one scheme."""
    files: defaultdict[str, dict[str, Entry]] = defaultdict(dict)
    for entry in entries:
        for case, part in scheme.splits(entry):
            if not _SPECIAL.search(part):
                files[part].setdefault(case, entry)
    # What one file alone has beside a word for label maps may be the name of a patient.
    called = {part for part in files if judge(part, files[part])}
    masks = {part for part in called if len(files[part]) > 1 or _SURE.fullmatch(part)}
    others = [part for part in files if part not in called and len(files[part]) > 1]
    for mask in masks:
        cases = files[mask].keys()
        least = _SHARE * len(cases)
        images = tuple(part for part in others if len(files[part].keys() & cases) >= least)
        if images:
            near = (part for part in called - {mask} if len(files[part].keys() & cases) >= least)
            yield Parted(scheme, mask, images, files, tuple(sorted(near)))


def _layout(found: Parted, kind: str, entries: Sequence[Entry]) -> Layout | None:
    whole = [
        case for case in found.files[found.mask] if all(case in found.files[part] for part in found.images)
    ]
    if not whole:
        return None
    masks = {case: found.files[found.mask][case] for case in whole}
    images = {part: {case: found.files[part][case] for case in whole} for part in found.images}
    channels = identifiers([_channel(part) for part in images], "image")
    patterns = [_pattern(found.scheme, part, files, kind) for part, files in images.items()]
    mask = _pattern(found.scheme, found.mask, masks, kind)
    if mask is None or None in patterns or len({"{within}" in str(each) for each in (mask, *patterns)}) > 1:
        return None
    layout: dict[str, Any] = {
        "images": patterns[0] if len(patterns) == 1 else dict(zip(channels, patterns, strict=True)),
        "mask": mask,
    }
    ids = [case.rpartition("/")[2] for case in masks]
    if "" in images and (narrow := ids_pattern(ids)):
        layout["case"] = narrow
    fields: dict[str, Any] = {"channels": channels}
    first = next(iter(images.values()))
    if kind == PICTURE:
        fields |= _as_pictures(channels, list(first.values()))
    if kind == ITK:
        fields["format"] = NAME
    names = [entry.name for entry in first.values()]
    patient, columns = patient_rule(ids, names), role_column(names)
    told = ", ".join(repr(part) if part else "those without" for part in images)
    guesses = [
        *(
            []
            if is_mask(found.mask)
            else ["nothing is called as a label map: those with few whole values are taken"]
        ),
        f"{found.scheme.where} tell what a file is: {found.mask.strip('/')!r} are label maps, {told} images",
        *([patient.why] if patient else []),
        *([f"the folders of roles ({', '.join(columns.names)}) share out the cases"] if columns else []),
    ]
    if found.rivals:
        guesses.append(f"{list(found.rivals)} are called as label maps too, and are left out")
    fields |= {"layout": layout}
    fields |= {"columns": {**(patient.columns if patient else {}), **(columns.columns if columns else {})}}
    fields |= {"group": patient.group} if patient else {}
    return Layout(
        "images and label maps by name",
        "guess",
        (f"{found.explained} of {len(entries)} {kind} are a label map or have one",),
        {key: value for key, value in fields.items() if value},
        guesses=tuple(guesses),
    )


def _as_pictures(channels: Sequence[str], entries: Sequence[Entry]) -> dict[str, Any]:
    if len(channels) == 1 and coloured(entries):
        return {"channels": ["red", "green", "blue"], "pictures": {"channels": "rgb"}}
    return {
        "channels": ["picture"] if len(channels) == 1 else list(channels),
        "pictures": {"channels": "grey"},
    }


def _channel(part: str) -> str:
    """A name for a channel; folders and ends that say `image` alone say nothing."""
    word = part.strip("-_. /")
    return "scan" if word.lower() in {"", "image", "images", "img", "imgs"} else word


def _pattern(scheme: Scheme, part: str, files: Mapping[str, Entry], kind: str) -> str | list[str] | None:
    """The pattern of a part; one for each ending where headers of several have files beside them."""
    endings = sorted({entry.path.suffix for entry in files.values()})
    if kind != ITK and len(endings) > 1:
        endings = [".*"]
    names = {case: entry.name for case, entry in files.items()}
    made = [scheme.pattern(part, names, ".nii*" if kind == VOLUME else ending) for ending in endings]
    found = [each for each in made if each is not None]
    return None if not found else found[0] if len(found) == 1 else found
