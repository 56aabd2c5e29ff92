"""Walking through the files of a folder: which there are, and what was passed over."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.datasets.finding.doubtful import may_be_image, own_ending
from medseg.datasets.finding.draft import Draft, Found
from medseg.datasets.sample_mark import is_mark
from medseg.errors import Fault
from medseg.files.many import files_of
from medseg.files.of_systems import is_of_system
from medseg.files.regular import open_regular
from medseg.text import composed

if TYPE_CHECKING:
    from medseg.images.sniff import Look

_SHOWN = 5

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")

_GZIP = b"\x1f\x8b"


@dataclass
class Walk:
    """Files below a root, and what could not be looked into.

    Attributes:
        root: A folder, or one file, or several together.
        suffixes: Endings of names, in lower case, that `kind` counts.
        all: Whether files of other endings are given as well.
        unread: Images of kinds that are not read, by their ending. Where not all files are given, by their names
            alone.
        images: Those of the unread that are known by their content.
        passed: Files of other endings, where not all files are given; where all are, those of no use.
        left_out: Hidden files and folders, and those of programs, which are looked at no further.
    """

    root: Path
    suffixes: tuple[str, ...]
    all: bool
    files: int = 0
    kind: int = 0
    faults: list[Fault] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    images: list[Path] = field(default_factory=list)
    passed: list[tuple[str, Path]] = field(default_factory=list)
    left_out: list[Path] = field(default_factory=list)

    def paths(self) -> Iterator[tuple[str, Path]]:
        """Path relative to the root with `/` and in NFC, and full path, of every file that is not hidden."""
        if self.root.is_file():
            files = files_of(self.root)
            above = os.path.commonpath([each.parent for each in files])
            for each in files:
                yield from self._counted(each.relative_to(above).as_posix(), each)
            return
        waiting, linked = [("", self.root)], {os.path.realpath(self.root)}
        while waiting:
            prefix, folder = waiting.pop()
            for entry in self.entries(folder):
                path = folder / entry.name
                is_folder = self.is_folder(entry, path)
                if is_folder is None:
                    continue
                if is_folder:
                    # A link may lead back to a folder above: each linked folder is entered once.
                    real = os.path.realpath(path) if entry.is_symlink() else ""
                    if not real or real not in linked:
                        linked |= {real} - {""}
                        waiting.append((f"{prefix}{entry.name}/", path))
                else:
                    yield from self._counted(f"{prefix}{entry.name}", path)

    def is_folder(self, entry: os.DirEntry[str], path: Path) -> bool | None:
        """Whether an entry is a folder, or a link to one; None, and a fault, where nobody can tell.

        A pipe or a device is no folder: reading it as a file tells what is wrong with it.
        """
        try:
            return entry.is_dir()
        except OSError as error:
            circle = error.errno == errno.ELOOP
            problem = (
                "a link leads back to itself" if circle else f"an entry cannot be read: {error.strerror}"
            )
            self.faults.append(Fault("", 0, "", problem, "Mend or remove it.", path))
            return None

    def _counted(self, relative: str, path: Path) -> Iterator[tuple[str, Path]]:
        of_kind = relative.lower().endswith(self.suffixes)
        self.files += 1
        self.kind += of_kind
        if of_kind or self.all:
            yield composed(relative), path
            return
        self.passed.append((composed(relative), path))
        if ending := _unread_ending(relative):
            self.unread[ending] += 1

    def counts(self, name: str) -> bool:
        """Whether a file was counted as an image of a kind that is not read, by its name."""
        return not self.all and bool(_unread_ending(name))

    def is_picture(self, path: Path) -> bool:
        """Whether a file is a picture by its content, whatever its ending; counts an image that is not read."""
        seen = _look(path)
        if seen == "image":
            self.unread[unread_kind(path)] += 1
            self.images.append(path)
        return seen == "picture"

    def uses(self) -> dict[str, int]:
        """How many entries were looked at no further, in words; empty if there are none."""
        return {"hidden or left by programs": len(self.left_out)} if self.left_out else {}

    def unread_note(self) -> str:
        """That images of kinds that are not read were seen, without a full stop; empty if none were."""
        return unread_note(self.unread)

    def unread_faults(self) -> Iterator[Fault]:
        """The same as a fault, where every image was to be a case."""
        yield from unread_faults(self.unread, self.root)

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """Files and folders in a folder, sorted by name, without those that are hidden or of programs."""
        # Hidden names are left out: macOS puts a `._name.nii.gz` that is no image beside each copied file.
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda e: e.name)
            self.left_out += [folder / e.name for e in found if _is_left_out(e.name)]
            return [e for e in found if not _is_left_out(e.name)]
        except PermissionError:
            remedy = "Give this user the right to read and enter it, and all folders within."
            self.faults.append(Fault("", 0, "", "a folder may not be read by this user", remedy, folder))
        except OSError as error:
            problem = f"a folder cannot be read: {error.strerror}"
            self.faults.append(
                Fault("", 0, "", problem, "See to the disk or the link, and try again.", folder)
            )
        return []


def few(names: Sequence[str], *, named: bool) -> str:
    """The first of some names behind a colon, and how many more; empty where they must not be named."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f": {', '.join(names[:_SHOWN])}{more}" if named else ""


def leave_out(found: Found, names: Sequence[str], one: str, many: str, *, named: bool) -> None:
    """Note that files belong to no case, since they are not what cases are of.

    Args:
        found: Takes the note, and the names.
        names: Of the files.
        one: What a file is, as in `no picture`.
        many: What several are.
        named: Whether the note may show names.
    """
    found.left += names
    if names:
        of = f"1 file is left out, since it is {one}"
        of = of if len(names) == 1 else f"{len(names)} files are left out, since they are {many}"
        found.notes.append(f"{of}{few(names, named=named)}")


def leave_passed(found: Found, walk: Walk, *, named: bool) -> None:
    """As `leave_out`, of what a walk passed over since it is no picture."""
    rest = leave_archives(found, [name for name, _ in walk.passed], named=named)
    leave_out(found, rest, "no picture", "no pictures", named=named)


def leave_archives(found: Found, names: Sequence[str], *, named: bool) -> list[str]:
    """As `leave_out`, of those that are archives by their names, whatever they hold; gives the other names."""
    packed = [name for name in names if name.lower().endswith(_ARCHIVES)]
    found.left += packed
    if packed:
        are = "1 archive lies among the data, and is not looked into: unpack it, or move it out"
        several = f"{len(packed)} archives lie among the data, and are not looked into: unpack them, or move them out"
        listed = few(sorted(packed), named=named)
        found.notes.append(f"{are if len(packed) == 1 else several}{f' ({listed[2:]})' if listed else ''}")
    return [name for name in names if not name.lower().endswith(_ARCHIVES)]


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or is_of_system(name) or is_mark(name)


def looks_picture(path: Path) -> bool:
    """Whether a file is a picture or DICOM by its content, other than a directory of DICOM files."""
    return _look(path) == "picture"


def is_bare_image(path: Path) -> bool:
    """Whether a file without an ending is an image by its content, read or not, packed ones among them."""
    if own_ending(path):
        return False
    try:
        with open_regular(path) as handle:
            packed = handle.read(2) == _GZIP
    except OSError:
        return False
    return packed or _look(path) != "neither"


def _look(path: Path) -> Look:
    from medseg.images.sniff import look  # noqa: PLC0415 - Pillow takes 0.1 s to import

    return look(path)


def _unread_ending(name: str) -> str:
    from medseg.images.sniff import unread_ending  # noqa: PLC0415 - as above

    return unread_ending(name)


def unread_kind(path: Path) -> str:
    """What an image of a kind that is not read is counted as."""
    return _unread_ending(path.name) or "of other endings"


def unread_note(kinds: Counter[str]) -> str:
    """How many images are of kinds that are not read, without a full stop; empty if none are."""
    total = kinds.total()
    listed = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    of_kinds = "1 image is of a kind" if total == 1 else f"{total} images are of kinds"
    seen = ", ".join(f"{count} {ending}" for ending, count in listed)
    return f"{of_kinds} that {'is' if total == 1 else 'are'} not read: {seen}" if total else ""


def unread_faults(kinds: Counter[str], root: Path) -> Iterator[Fault]:
    """The same as a fault, where every image was to be a case."""
    if kinds:
        remedy = "Save each as PNG, TIFF, JPEG or DICOM, or move it out of the data set."
        yield Fault("", 0, "", unread_note(kinds), remedy, root)


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
    bare = {path.parent for _, path in there if not own_ending(path)}
    unread = {*walk.images}
    for each in (each for each in others if each[1] not in unread):
        # Among those without endings, what may be a picture was not copied whole: reading it will say so.
        lost = each[1].parent in bare and not own_ending(each[1]) and may_be_image(each[1], {""})
        (there if lost else walk.passed).append(each)
    walk.passed.sort()
    stems = [without_ending(relative, walk.suffixes) for relative, _ in there]
    counts = Counter(stems)
    for (relative, path), stem in zip(there, stems, strict=True):
        yield Draft(stem if counts[stem] == 1 else relative, {part: [(f"{above}/{relative}", path)]})


def without_ending(name: str, endings: Sequence[str]) -> str:
    """A file's name without the ending of its kind, if it has one."""
    ending = max((each for each in endings if name.lower().endswith(each)), key=len, default="")
    return name[: len(name) - len(ending)]


def kinds_listed(suffixes: Sequence[str]) -> str:
    """Endings of names as a list for people."""
    return " or ".join([", ".join(suffixes[:-1]), *suffixes[-1:]][-len(suffixes) :])
