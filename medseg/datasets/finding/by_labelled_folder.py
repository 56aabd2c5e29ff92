"""A data set with few pictures in folders by class, and many in a folder of those whose class nobody has told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.class_names import shown
from medseg.datasets.finding.by_class_folder import WORDS, ClassFolderFinder, folders_in, label
from medseg.datasets.finding.draft import Draft, Found
from medseg.datasets.finding.walk import Walk, unread_faults, unread_kind, unread_note
from medseg.errors import Fault
from medseg.text import composed

if TYPE_CHECKING:
    from medseg.datasets.manifest.class_folders import PartlyLabelledFolders

_NOWHERE = ""
"""What pictures lie in that lie in no folder."""


@dataclass(frozen=True)
class PartlyLabelledFinder(ClassFolderFinder):
    """Finds pictures by the folders that they lie in, of which one holds those without a label."""

    layout: PartlyLabelledFolders

    def _label(self, walk: Walk, found: Found) -> None:
        """Give each picture the class of its folder, or mark it unlabelled; tell what is wrong with the folders."""
        tops = folders_in(walk.root)
        with_class, without = (
            _called(tops, names) for names in (self.layout.labelled, self.layout.unlabelled)
        )
        found.faults += _twice(with_class, walk.root)
        found.faults += _twice(without, walk.root)
        home, pool = (next(iter(names), _NOWHERE) for names in (with_class, without))
        by_top = _by_top(found.drafts)
        named = self.manifest.ids == "pseudonyms"
        found.faults += _strayed(by_top, {*with_class, *without}, walk.root, named=named)
        self._unread(walk, found, pool)
        found.drafts = by_top[home] if home else []
        if not home:
            found.faults.append(self._absent(tops, walk.root))
            return
        words = replace(
            WORDS, fewer=f"Put two folders or more, one for each class, into the folder {home!r}."
        )
        label(found, self.manifest, words, walk.root / tops[home], home)
        others = by_top[pool] if pool else []
        for draft in others:
            draft.unlabelled = True
        found.files = {"with a label": len(found.drafts), "without a label": len(others)}
        found.drafts += others
        found.notes += self._nobody(pool, others)

    def _absent(self, tops: Mapping[str, str], root: Path) -> Fault:
        expected = " or ".join(repr(name) for name in self.layout.labelled)
        there = shown(tops) if self.manifest.ids == "pseudonyms" else f"{len(tops)} others"
        seen = f"those that are there: {there}" if tops else "there is none at all"
        problem = f"there is no folder {expected}, to hold the folders of the classes; {seen}"
        remedy = (
            "Name the folder that holds it with --data, or name it under 'layout.labelled' of the manifest."
        )
        return Fault("", 0, "", problem, remedy, root)

    def _nobody(self, pool: str, others: Sequence[Draft]) -> Iterator[str]:
        """That there is no picture without a label, where the manifest says that there may be."""
        if not others:
            expected = " or ".join(repr(name) for name in self.layout.unlabelled)
            where = f"the folder {pool!r} holds no picture" if pool else f"there is no folder {expected}"
            yield f"no picture is without a label: {where}"

    def _unread(self, walk: Walk, found: Found, pool: str) -> None:
        """Images of kinds that are not read: a fault, but for those without a label, which are passed over."""
        kinds = {True: Counter[str](), False: Counter[str]()}
        for path in walk.images:
            top = composed(path.relative_to(walk.root).parts[0])
            kinds[bool(pool) and top == pool][unread_kind(path)] += 1
        found.faults += unread_faults(kinds[False], walk.root)
        if kinds[True]:
            found.notes.append(f"of those without a label, {unread_note(kinds[True])}; they are left out")


def _called(tops: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Those of the folders that have one of the names, in the order of the names."""
    order = {composed(name).lower(): place for place, name in reversed(list(enumerate(names)))}
    return sorted((top for top in tops if top.lower() in order), key=lambda top: (order[top.lower()], top))


def _by_top(drafts: Sequence[Draft]) -> defaultdict[str, list[Draft]]:
    """Pictures by the folder of the data set that they lie in, at any depth."""
    found: defaultdict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        (relative, _), *_ = next(iter(draft.files.values()))
        _, *folders, _ = relative.split("/")
        found[folders[0] if folders else _NOWHERE].append(draft)
    return found


def _twice(names: Sequence[str], root: Path) -> Iterator[Fault]:
    if len(names) > 1:
        problem = f"the folders {shown(names)} are all there, and by the manifest they mean the same"
        remedy = f"Put all into {names[0]!r}, or take the others out of the data set."
        yield Fault("", 0, "", problem, remedy, root)


def _strayed(
    by_top: Mapping[str, Sequence[Draft]], known: set[str], root: Path, *, named: bool
) -> Iterator[Fault]:
    """Pictures that lie beside the folders of the manifest; the names of folders may be those of patients."""
    beside = {top: len(each) for top, each in by_top.items() if top not in known and top and each}
    remedy = "Move the pictures into one of the folders that the manifest names, or out of the data set."
    if beside:
        noun, verb = ("folder", "lies") if len(beside) == 1 else ("folders", "lie")
        which = f"the {noun} {shown(beside)}" if named else f"{len(beside)} {noun}"
        problem = (
            f"{which} with {sum(beside.values())} pictures {verb} beside the folders of pictures with and without a "
            "label"
        )
        yield Fault("", 0, "", problem, remedy, root)
    if loose := len(by_top.get(_NOWHERE, ())):
        count = "1 picture lies" if loose == 1 else f"{loose} pictures lie"
        yield Fault("", 0, "", f"{count} directly in the data set's folder", remedy, root)
