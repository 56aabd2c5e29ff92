"""A data set whose pictures are sorted into folders by class, below folders of roles or not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.class_names import class_name, shown
from medseg.datasets.finding.class_faults import Wording, judge
from medseg.datasets.finding.draft import Draft, Found
from medseg.datasets.finding.strays.masks_beside import leave_masks
from medseg.datasets.finding.walk import Walk, kinds_listed, leave_passed, named_itself
from medseg.datasets.roles import MEANINGS, ROLE
from medseg.errors import Fault
from medseg.progress import Progress
from medseg.text import composed

if TYPE_CHECKING:
    from medseg.datasets.manifest.class_folders import ClassFolders
    from medseg.datasets.manifest.manifest import Manifest

WORDS = Wording(
    noun="folder",
    fewer=(
        "Name the folder that holds the folders of the classes with --data, at least two of them, or Train, Val and "
        "Test with those folders in each."
    ),
    absent="Add a folder of this name with pictures, or take the class from 'classes' of the manifest.",
    unknown=(
        "Rename the folder or take it out of the data, add the class to training, or name the folder that holds the "
        "folders of the classes with --data."
    ),
    misnamed="Rename the folders.",
    unlikely=(
        "If they are patients, move their folders one level down, into those of their classes: <class>/<patient>/. "
        "If these are classes indeed, name them all under 'classes' of the manifest."
    ),
)


@dataclass
class _Sorted:
    """Pictures of a data set by their folders.

    Attributes:
        folders: Pictures by role folder and class folder, empty ones included; names as stored, in NFC.
        loose: How many lie in no folder of a class, by the folder that they lie in.
        beside: Pictures by folder beside those of roles.
        below: Folders of classes that hold folders of roles.
    """

    folders: dict[tuple[str, str], list[Draft]] = field(default_factory=dict)
    loose: Counter[str] = field(default_factory=Counter)
    beside: Counter[str] = field(default_factory=Counter)
    below: set[str] = field(default_factory=set)

    def unused(self) -> Counter[str]:
        """Pictures that have no class, by the folder that might be one; none for folders that are empty."""
        return Counter({**{class_name(name): 0 for _, name in self.folders}, **self.beside})


@dataclass(frozen=True)
class ClassFolderFinder:
    """Finds pictures by the folders that they lie in."""

    manifest: Manifest
    layout: ClassFolders

    def find(
        self,
        root: Path,
        parts: Sequence[str],
        *,
        truth: bool,
        progress: Progress,  # noqa: ARG002 - names of files are listed quickly
    ) -> Found:
        """The pictures below a root with their class; without a wish for truth every picture, wherever it lies."""
        walk = Walk(root, self.manifest.files().suffixes, all=True)
        drafts = list(named_itself(walk, parts[0], pictures=True))
        for draft in drafts:
            draft.extra = {ROLE: ""}
        found = Found(drafts, walk.faults)
        if not drafts:
            found.faults.append(self._nothing(walk))
            return found
        named = self.manifest.ids == "pseudonyms"
        leave_passed(found, walk, named=named)
        masks = leave_masks(found, walk.suffixes, named=named, predicted=not truth)
        if not truth:
            found.faults += walk.unread_faults()
        elif root.is_file():
            problem = "a picture was given, and only its folder names its class"
            found.drafts, found.faults = [], [*found.faults, Fault("", 0, "", problem, WORDS.fewer, root)]
        else:
            self._label(walk, found)
            found.files |= {
                "that are masks beside their images": masks,
                "that are no pictures": len(walk.passed),
                "of kinds that are not read": len(walk.images),
                **walk.uses(),
            }
        return found

    def _label(self, walk: Walk, found: Found) -> None:
        """Give each picture the class of its folder, and tell what is wrong with the folders."""
        found.faults += walk.unread_faults()
        pictures = len(found.drafts)
        label(found, self.manifest, WORDS, walk.root)
        used = len(found.drafts)
        found.files = {"in folders of classes": used, "in no folder of a class": pictures - used}

    def _nothing(self, walk: Walk) -> Fault:
        seen = f"{walk.files} file{' was' if walk.files == 1 else 's were'} seen, none of them a picture"
        unread = f"; {walk.unread_note()}" if walk.unread else ""
        kinds = kinds_listed(walk.suffixes)
        problem = f"no picture was found: {seen} ({kinds}; any name if the content is such){unread}"
        remedy = f"Name the folder of the data set, unpacked. To get the data: {self.manifest.obtain}"
        return Fault("", 0, "", problem, remedy, walk.root)


def label(found: Found, manifest: Manifest, words: Wording, root: Path, below: str = "") -> None:
    """Give each picture the class of its folder, and tell what is wrong with the folders.

    Args:
        found: The pictures, each named by `<data set's folder>/<relative path>`.
        manifest: Of the data.
        words: What to do about what is wrong.
        root: The folder that holds the folders of the classes, or of roles.
        below: Its name, where it lies in the data set's folder; empty if it is that folder.
    """
    by_folder = _sorted(root, found.drafts, 2 if below else 1)
    found.drafts = [draft for each in by_folder.folders.values() for draft in each]
    found.faults += _loose(by_folder, root, below)
    naming = (*_misplaced(by_folder, root), *_empty(by_folder, root), *_misspelt(by_folder, root))
    judge(found, manifest, words, root, beside=by_folder.unused(), naming=naming)


def _sorted(root: Path, drafts: Sequence[Draft], depth: int) -> _Sorted:
    """Pictures by folder; each gets its class and role."""
    tops = folders_in(root)
    roles = [name for name in tops if _is_role(name)]
    made = _Sorted()
    for role in roles or [""]:
        for name in folders_in(root / tops[role]) if role else tops:
            made.folders[role, name] = []
    for draft in drafts:
        (relative, _), *_ = next(iter(draft.files.values()))
        below = relative.split("/")[depth:]
        role, *inner = below if roles else ("", *below)
        if roles and role not in roles:
            _strayed(made, role if inner else "")
        elif len(inner) < 2:
            made.loose[role] += 1
        else:
            name = inner[0]
            draft.labels, draft.extra = (class_name(name),), {ROLE: role}
            made.folders.setdefault((role, name), []).append(draft)
            if len(inner) > 2 and _is_role(inner[1]):
                made.below.add(name)
    return made


def _strayed(made: _Sorted, folder: str) -> None:
    """A picture that lies neither in the folder of a role nor below it."""
    if not folder:
        made.loose[""] += 1
    else:
        made.beside[folder] += 1


def _loose(by_folder: _Sorted, root: Path, below: str) -> Iterator[Fault]:
    for role, count in sorted(by_folder.loose.items()):
        verb = "lies" if count == 1 else "lie"
        folder = f"the folder {role or below!r}" if role or below else "the data set's folder"
        where = f"directly in {folder}"
        problem = f"{count} picture{'' if count == 1 else 's'} {verb} {where}, in no folder of a class"
        remedy = "Move each into the folder of its class, or out of the data set."
        yield Fault("", 0, "", problem, remedy, root / role)


def _misplaced(by_folder: _Sorted, root: Path) -> Iterator[Fault]:
    if by_folder.beside:
        noun, verb = ("folder", "lies") if len(by_folder.beside) == 1 else ("folders", "lie")
        roles = shown(({role for role, _ in by_folder.folders} | set(by_folder.loose)) - {""})
        problem = f"the {noun} {shown(by_folder.beside)} with pictures {verb} beside {roles}, read as roles"
        remedy = (
            "Move folders of classes into Train, Val or Test, or all out of these. A class that is called as a role "
            "needs one above it: Train/train."
        )
        yield Fault("", 0, "", problem, remedy, root)
    if by_folder.below:
        problem = f"folders of roles lie within {shown(by_folder.below)}"
        remedy = "Put the folders of roles above those of classes: Train/<class>, Val/<class>, Test/<class>."
        yield Fault("", 0, "", problem, remedy, root)


def _empty(by_folder: _Sorted, root: Path) -> Iterator[Fault]:
    for (role, name), pictures in sorted(by_folder.folders.items()):
        if not pictures:
            where = f" in {role!r}" if role else ""
            problem = f"the class folder {shown([name])}{where} holds no picture"
            remedy = "Put pictures of the class there, or take the folder out of the data set."
            yield Fault("", 0, "", problem, remedy, root / role / name)


def _misspelt(by_folder: _Sorted, root: Path) -> Iterator[Fault]:
    """Folders whose names have spaces around them: two would look like one class."""
    spelt: defaultdict[str, set[str]] = defaultdict(set)
    for (_, name), pictures in by_folder.folders.items():
        if pictures:
            spelt[class_name(name)].add(name)
    for name, spellings in sorted(spelt.items()):
        if spellings != {name}:
            problem = f"the folders {shown(spellings)} all name the class {name!r}"
            problem = (
                problem
                if len(spellings) > 1
                else f"the class folder {shown(spellings)} has spaces around its name"
            )
            yield Fault("", 0, "", problem, f"Rename to {name!r}.", root)


def folders_in(folder: Path) -> dict[str, str]:
    """Folders in a folder: names in NFC, and as stored."""
    walk = Walk(folder, (), all=False)  # the walk that found the pictures has listed its faults
    names = [each.name for each in walk.entries(folder) if walk.is_folder(each, folder / each.name)]
    return {composed(name): name for name in names}


def _is_role(name: str) -> bool:
    return name.lower() in MEANINGS
