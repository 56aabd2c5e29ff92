"""Finding the cases of a data set: names only, no image is opened."""

from __future__ import annotations

import csv
import difflib
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from medseg.cases.case import Case
from medseg.cases.layout import MASK, Matcher
from medseg.cases.manifest import Manifest
from medseg.cases.pseudonym import pseudonym, secret_key
from medseg.errors import DefinitionError, Fault


@dataclass(frozen=True)
class Listing:
    """What was found in a data set.

    Attributes:
        cases: Those that have every file that was asked for, sorted by public id.
        faults: What is wrong, in the order of the listing.
        incomplete: Cases that lack a file or have one twice; faults say so. Never to be learned from, but
            the files that are there can be checked.
    """

    cases: tuple[Case, ...]
    faults: tuple[Fault, ...] = ()
    incomplete: tuple[Case, ...] = ()


@dataclass
class _Walk:
    """Files below a root, and what could not be looked into."""

    root: Path
    files: int = 0
    images: int = 0
    faults: list[Fault] = field(default_factory=list)

    def paths(self) -> Iterator[tuple[str, Path]]:
        """Path relative to the root with `/`, and full path, of every file that is not hidden."""
        if self.root.is_file():
            yield from self._counted(self.root.name, self.root)
            return
        waiting, linked = [("", self.root)], {os.path.realpath(self.root)}
        while waiting:
            prefix, folder = waiting.pop()
            for entry in self._entries(folder):
                path = folder / entry.name
                if entry.is_dir():
                    # A link may lead back to a folder above: each linked folder is entered once.
                    real = os.path.realpath(path) if entry.is_symlink() else ""
                    if not real or real not in linked:
                        linked |= {real} - {""}
                        waiting.append((f"{prefix}{entry.name}/", path))
                else:
                    yield from self._counted(f"{prefix}{entry.name}", path)

    def _counted(self, relative: str, path: Path) -> Iterator[tuple[str, Path]]:
        self.files += 1
        self.images += relative.endswith((".nii", ".nii.gz"))
        yield relative, path

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        # Hidden names are left out: macOS puts a `._name.nii.gz` that is no image beside each copied file.
        try:
            with os.scandir(folder) as entries:
                return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
        except PermissionError:
            remedy = "Give this user the right to read and enter it, and all folders within."
            self.faults.append(Fault("", 0, "", "a folder may not be read by this user", remedy, folder))
        except OSError as error:
            met = f"a folder cannot be read: {error.strerror}"
            self.faults.append(Fault("", 0, "", met, "See to the disk or the link, and try again.", folder))
        return []


def scan(manifest: Manifest, root: Path, *, truth: bool = True, only: Sequence[str] | None = None) -> Listing:
    """List the cases below a folder.

    Args:
        manifest: Says how files are named.
        root: The data set's folder, a folder within it, one case's folder, or a single image file.
        truth: Whether a case must have a label map; else label maps are not looked for.
        only: The channels that a case must have, in this order; by default all of the manifest's.

    Raises:
        DefinitionError: `only` names a channel that the manifest does not have.
        DataError: Ids are identifying, and the key of their pseudonyms cannot be used.
    """
    channels = _wanted(manifest, only)
    root = Path(root)
    fault = _unusable(root, manifest)
    if fault is not None:
        return Listing((), (fault,))
    walk = _Walk(root)
    found = _found(manifest.matcher(), walk)
    parts = (*channels, *([MASK] if truth and manifest.layout.mask is not None else ()))
    found = {
        raw: kept for raw, files in found.items() if (kept := {p: files[p] for p in parts if p in files})
    }
    if not found:
        return Listing((), (*walk.faults, _nothing(manifest, walk)))
    return _listed(manifest, root, found, parts, walk.faults)


def _wanted(manifest: Manifest, only: Sequence[str] | None) -> tuple[str, ...]:
    for channel in only or ():
        if channel not in manifest.channels:
            near = difflib.get_close_matches(channel, manifest.channels, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise DefinitionError(
                f"channel '{channel}' is not one of the manifest '{manifest.name}', "
                f"which has {list(manifest.channels)}{hint}"
            )
    return tuple(manifest.channels if only is None else only)


def _unusable(root: Path, manifest: Manifest) -> Fault | None:
    try:
        mode = root.stat().st_mode
    except PermissionError:
        remedy = "Give this user the right to enter every folder on the way to it."
        return Fault("", 0, "", "the folder may not be reached by this user", remedy, root)
    except OSError:
        remedy = f"Name the folder that holds the data. To get them: {manifest.obtain}"
        return Fault("", 0, "", "the folder is not there", remedy, root)
    if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
        return None
    return Fault("", 0, "", "the path is neither a folder nor a file", "Name the data set's folder.", root)


def _found(matcher: Matcher, walk: _Walk) -> dict[str, dict[str, list[tuple[str, Path]]]]:
    """Files of each case, by its own id and by part."""
    found: dict[str, dict[str, list[tuple[str, Path]]]] = defaultdict(lambda: defaultdict(list))
    above = walk.root.resolve()
    above = above.parent if walk.root.is_file() else above
    for relative, path in walk.paths():
        within = f"{above.name}/{relative}"
        place = matcher.place(relative) or matcher.place(within)
        if place is not None:
            found[place.case][place.part].append((within, path))
    return found


def _nothing(manifest: Manifest, walk: _Walk) -> Fault:
    patterns = manifest.matcher().told()
    seen = f"{walk.files} files were seen, {walk.images} of them NIfTI (.nii or .nii.gz)"
    remedy = (
        "Name the folder of the data set, unpacked, or write a manifest with the layout of these files. "
        f"To get the data of '{manifest.name}': {manifest.obtain}"
    )
    met = f"no file of the data set '{manifest.name}' was found: {seen}, and none fits {patterns}"
    return Fault("", 0, "", met, remedy, walk.root)


def _listed(
    manifest: Manifest,
    root: Path,
    found: Mapping[str, Mapping[str, list[tuple[str, Path]]]],
    parts: Sequence[str],
    unread: Sequence[Fault],
) -> Listing:
    name = _Names(manifest)
    table = _Table.read(manifest, root)
    matcher = manifest.matcher()
    drafts = []
    for raw, files in found.items():
        paths = {part: files[part][0][1] for part in parts if part in files}
        mask = paths.pop(MASK, None)
        within = next(files[part][0][0] for part in parts if part in files)
        extra = {column: _search(rule, within) for column, rule in manifest.columns.items()} | table.row(raw)
        drafts.append((Case(name.case(raw), name.group(raw) or "", paths, mask, extra=extra), raw))
    drafts.sort(key=lambda draft: draft[0].id)
    cases: list[Case] = []
    incomplete: list[Case] = []
    faults = [*unread, *table.faults]
    for position, (draft, raw) in enumerate(drafts, start=1):
        case = replace(draft, position=position)
        wrong = [
            *_twice(case, found[raw]),
            *_lacking(case, parts, matcher),
        ]
        if not case.group:
            remedy = "Correct 'group' of the manifest: it must tell the patient of every case."
            wrong.append(Fault(case.id, position, "", "its id names no patient", remedy, _any_path(case)))
        (incomplete if wrong else cases).append(case)
        faults += wrong
    return Listing(tuple(cases), tuple(faults), tuple(incomplete))


def _any_path(case: Case) -> Path:
    return next(iter(case.files.values()))


def _lacking(case: Case, parts: Sequence[str], matcher: Matcher) -> Iterator[Fault]:
    beside = _any_path(case).parent
    for part in parts:
        if part not in case.files:
            met = f"the file is missing: none fits {matcher.told(part)}"
            remedy = "Add or rename it, use the manifest of this edition of the data, or leave the case out."
            yield Fault(case.id, case.position, part, met, remedy, beside)


def _twice(case: Case, files: Mapping[str, list[tuple[str, Path]]]) -> Iterator[Fault]:
    for part, places in files.items():
        if len(places) > 1:
            met = f"{len(places)} files claim to be this part of the case"
            remedy = "Keep one of them, or name a folder that holds but one copy of the data."
            for _, path in places:
                yield Fault(case.id, case.position, part, met, remedy, path)


def _search(rule: str, text: str) -> str:
    found = re.search(rule, text)
    return (found[1] or "") if found else ""


class _Names:
    """Public names of cases and patients."""

    def __init__(self, manifest: Manifest) -> None:
        self._rule = manifest.group
        self._key = secret_key() if manifest.ids == "identifying" else None

    def case(self, raw: str) -> str:
        return raw.replace("/", "_") if self._key is None else pseudonym("case", raw, self._key)

    def group(self, raw: str) -> str | None:
        """Public name of the patient; None if the manifest's rule finds none."""
        patient = raw if self._rule is None else _search(self._rule, raw)
        if not patient:
            return None
        return patient if self._key is None else pseudonym("patient", patient, self._key)


@dataclass(frozen=True)
class _Table:
    """The table beside the data: its wanted columns by the text in its key column."""

    manifest: Manifest
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def row(self, raw: str) -> dict[str, str]:
        rule = self.manifest.table
        if rule is None:
            return {}
        found = self.rows.get(rule.matches.replace("{case}", raw), {})
        return {column: found.get(column, "") for column in rule.columns}

    @classmethod
    def read(cls, manifest: Manifest, root: Path) -> _Table:
        rule = manifest.table
        beside = [] if rule is None else [root / rule.path, root.resolve().parent / rule.path]
        path = next((path for path in beside if path.is_file()), None)
        if rule is None or path is None:
            return cls(manifest)
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            met = f"the table cannot be read: {type(error).__name__}"
            return cls(manifest, faults=(Fault("", 0, "", met, "Save it as CSV in UTF-8.", path),))
        lost = [column for column in (rule.key, *rule.columns) if rows and column not in rows[0]]
        if lost:
            met = f"the table has no column {lost}; it has {[str(name) for name in rows[0]]}"
            return cls(
                manifest, faults=(Fault("", 0, "", met, "Correct it, or 'table' of the manifest.", path),)
            )
        by_key: dict[str, dict[str, str]] = {}
        for row in rows:
            values = {column: row[column] or "" for column in rule.columns}
            if by_key.setdefault(row[rule.key], values) != values:
                met = "the table names a file in two rows that disagree"
                return cls(manifest, faults=(Fault("", 0, "", met, "Keep one of the rows.", path),))
        return cls(manifest, by_key)
