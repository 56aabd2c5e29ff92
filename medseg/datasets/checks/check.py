"""Checking a data set before anything is learned from it: every file is read, every fault is listed."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from medseg.datasets.case import Case, folders_of, labelled
from medseg.datasets.checks.cache import Memory
from medseg.datasets.checks.case_facts import CaseFacts, examine
from medseg.datasets.checks.duplicates import Duplicates, contradictions, find_duplicates
from medseg.datasets.finding.scan import Listing
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.manifest.patterns import MASK
from medseg.datasets.reading.unforeseen import ended
from medseg.errors import Fault
from medseg.files.content import Content
from medseg.machine.crew.crew import Crew, Needs, crew_of
from medseg.progress import Progress, Silent

#: Below this many unread cases, starting processes costs more than it saves.
_FEWEST_FOR_PROCESSES = 8

IGNORED = "(ignored)"
"""What tables call label values that the manifest ignores; no class has this name."""

_Unread = tuple[Case, tuple[str, ...]]


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        facts: Of each case that has all its files, in the order of the listing.
        faults: Everything that is wrong, in the order of the listing; what belongs to no case first.
        listing: What was checked.
        names: Class of each stored label value; two classes where the images decide the class of a value.
        read: How many cases were read now; the others were remembered.
        duplicates: Images with classes that are one image, or nearly: no fault, unless their classes differ.
        skipped: What is wrong with images without a label, likewise: they are left out, and nobody has to mend them.
        made_up: Names of cases that were generated.
        ignored: Stored label values that the manifest ignores: they are no class.
    """

    facts: tuple[CaseFacts, ...]
    faults: tuple[Fault, ...]
    listing: Listing
    names: Mapping[int, str] = field(default_factory=dict)
    read: int = 0
    duplicates: Duplicates = field(default_factory=Duplicates)
    skipped: tuple[Fault, ...] = ()
    made_up: frozenset[str] = frozenset()
    ignored: tuple[int, ...] = ()

    @property
    def generated(self) -> bool:
        """Whether the data are a generated sample: every case without faults was generated."""
        return bool(self.good) and {case.id for case in self.good} <= self.made_up

    def mixture(self) -> str:
        """How many of the cases without faults were generated, where these are some of them; else empty."""
        count = sum(case.id in self.made_up for case in self.good)
        return f"{count} of {len(self.good)}" if 0 < count < len(self.good) else ""

    def origin_note(self) -> str:
        """What is to be said of generated cases among given data; empty where there are none."""
        if self.generated:
            return (
                "GENERATED DATA: every case in the folder of --data is of a sample that medseg made. The scores say "
                "nothing about real patients."
            )
        if mixture := self.mixture():
            return (
                f"GENERATED CASES: {mixture}, of a sample that medseg made. The scores say little about real "
                "patients."
            )
        return ""

    @property
    def good(self) -> tuple[Case, ...]:
        """Cases without any fault, in the order of the listing."""
        bad = {fault.case for fault in (*self.faults, *self.skipped)}
        return tuple(case for case in self.listing.cases if case.id not in bad)

    @property
    def unlabelled(self) -> tuple[Case, ...]:
        """Images without a label that have all their files, good ones and others."""
        return tuple(case for case in self.listing.cases if case.unlabelled)

    def skips(self, faults: Sequence[Fault]) -> bool:
        """Whether faults are all of images without a label, which are left out without being asked for."""
        return {fault.case for fault in faults} <= {case.id for case in self.unlabelled}

    def with_faults(self, faults: Sequence[Fault]) -> Report:
        """The same with further faults of its cases."""
        without = {case.id for case in self.unlabelled}
        more = [fault for fault in faults if fault.case not in without]
        skipped = [fault for fault in faults if fault.case in without]
        return replace(self, faults=_in_order(self.faults, more), skipped=_in_order(self.skipped, skipped))

    def skipped_note(self) -> str:
        """That images without a label cannot be used, without a full stop; empty if all can."""
        count = len({fault.case for fault in self.skipped})
        every = len(self.unlabelled) + sum(case.unlabelled for case in self.listing.incomplete)
        verb = "has faults and is" if count == 1 else "have faults and are"
        return (
            f"SKIPPED: {count} of {max(count, every)} images without a label {verb} left out" if count else ""
        )

    @property
    def single_valued(self) -> tuple[str, ...]:
        """Cases whose label map holds one value only, such as no tumour at all: a note, no fault."""
        return tuple(
            facts.case
            for facts in self.facts
            if facts.labels is not None and len(set(facts.labels) - set(self.ignored)) == 1
        )

    @property
    def contents(self) -> dict[str, Mapping[str, Content]]:
        """What the bytes of each file are, by case and part: from these the slice store knows its entries."""
        return {facts.case: facts.contents for facts in self.facts}

    def note_rows(self) -> list[dict[str, Any]]:
        """What is odd though it can be used: `note`, the number of `cases`, and their `ids`; frequent ones first."""
        return _note_rows((facts.case, facts.notes) for facts in self.facts)

    def image_note_rows(self) -> list[dict[str, Any]]:
        """Those of `note_rows` that are of images, and not of label maps; of good cases."""
        good = {case.id for case in self.good}
        return _note_rows((facts.case, facts.image_notes) for facts in self.facts if facts.case in good)

    def assumed_rows(self) -> list[dict[str, Any]]:
        """Those of `note_rows` that say which sizes in mm or sides of the patient are assumed; of good cases."""
        good = {case.id for case in self.good}
        return _note_rows((facts.case, facts.assumed) for facts in self.facts if facts.case in good)

    def rows(self) -> list[dict[str, Any]]:
        """Distinct grids: `cases`, `shape` (I, J, K), `spacing` (mm), `orientation`; frequent ones first."""
        grids = Counter(
            (facts.shape, facts.spacing, facts.orientation) for facts in self.facts if facts.shape is not None
        )
        ordered = sorted(grids.items(), key=lambda item: (-item[1], str(item[0])))
        return [
            {"cases": count, "shape": shape, "spacing": spacing, "orientation": orientation}
            for (shape, spacing, orientation), count in ordered
        ]

    def label_rows(self) -> list[dict[str, Any]]:
        """Stored label values: `value`, `class` (empty if unknown, `(ignored)`), `voxels`, `cases` that hold it."""
        voxels: Counter[int] = Counter()
        cases: Counter[int] = Counter()
        for facts in self.facts:
            voxels.update(facts.labels or {})
            cases.update((facts.labels or {}).keys())
        return [
            {
                "value": value,
                "class": self.names.get(value, ""),
                "voxels": voxels[value],
                "cases": cases[value],
            }
            for value in sorted(voxels)
        ]

    def class_rows(self) -> list[dict[str, Any]]:
        """Classes of whole images: `class` and the number of `cases`; none where label maps are the truth."""
        counts = Counter(name for facts in self.facts for name in facts.classes or ())
        return [{"class": name, "cases": counts[name]} for name in sorted(counts)]

    def fingerprint(self) -> str:
        """32 hexadecimal digits of what the good cases hold: voxels, label maps, affines, and their classes.

        Neither names, paths nor the order of cases enter: a copy has the fingerprint of its original.
        """
        good = {case.id for case in self.good}
        digests = sorted(facts.digest() for facts in self.facts if facts.case in good)
        return hashlib.blake2b("\n".join(digests).encode(), digest_size=16).hexdigest()


def _note_rows(notes: Iterable[tuple[str, Sequence[str]]]) -> list[dict[str, Any]]:
    ids: dict[str, list[str]] = defaultdict(list)
    for case, each in notes:
        for note in each:
            ids[note].append(case)
    ordered = sorted(ids.items(), key=lambda item: -len(item[1]))
    return [{"note": note, "cases": len(found), "ids": found} for note, found in ordered]


def check(
    listing: Listing,
    manifest: Manifest,
    channels: Sequence[str],
    *,
    jobs: int | Crew = 1,
    progress: Progress | None = None,
    remember: Path | None = None,
    reference: str | None = None,
) -> Report:
    """Read every file of a listing once, and tell what it holds and what is wrong.

    Args:
        listing: The cases; incomplete ones are read as well, to tell all that is wrong with them.
        manifest: What the data mean.
        channels: Which channels to read.
        jobs: Processes, or who reads; each holds about one volume and its float32 copy in memory.
        progress: Where to say how far it is.
        remember: Folder of earlier findings; files that did not change since are not read again.
        reference: The channel onto whose grid a definition resamples the others; None where it refuses other grids.

    """
    cases = (*listing.cases, *listing.incomplete)
    rule = manifest.label_rule()
    look = partial(examine, rule=rule, files=manifest.files(), reference=reference)
    memory = None if remember is None else Memory.of(remember, manifest, channels, reference)
    known: dict[str, CaseFacts] = {}
    stamps: dict[str, str | None] = {}
    for case in cases if memory else ():
        stamps[case.id] = memory.stamp(case) if memory else None
        facts = memory.recall(case, stamps[case.id]) if memory else None
        if facts is not None:
            known[case.id] = facts
    # The listing already names what an incomplete case lacks.
    lacking = {case.id for case in listing.incomplete}
    unread = [
        (case, tuple(name for name in channels if name in case.images or case.id not in lacking))
        for case in cases
        if case.id not in known
    ]
    with (progress or Silent()).bar("checking", len(unread), "cases") as bar:
        for case, facts in _examined(unread, look, crew_of(jobs)):
            known[case.id] = facts
            if memory is not None:
                memory.keep(case, stamps[case.id], facts)
            bar.advance()
    complete = tuple(known[case.id] for case in listing.cases)
    faults = [fault for case in labelled(cases) for fault in known[case.id].faults]
    faults += [*_repeated(listing.cases, known), *contradictions(listing.cases, complete)]
    faults += _all_below(manifest, complete)
    skipped = [fault for case in cases if case.unlabelled for fault in known[case.id].faults]
    return Report(
        complete,
        _in_order(listing.faults, faults),
        listing,
        _names(rule),
        len(unread),
        find_duplicates(listing.cases, complete),
        _in_order(listing.skipped, skipped),
        ignored=rule.ignored,
    )


def _all_below(manifest: Manifest, facts: Sequence[CaseFacts]) -> Iterator[Fault]:
    """That no label map has a pixel above the manifest's threshold, so that all of them are empty."""
    above = None if manifest.pictures is None else manifest.pictures.mask_above
    maps = [each.labels for each in facts if each.labels is not None]
    if above is not None and maps and not any(value for labels in maps for value in labels):
        problem = (
            f"none of the {len(maps)} label maps has a pixel brighter than pictures.mask_above ({above})"
        )
        remedy = (
            "Leave pictures.mask_above out of the manifest where label maps hold 0 and 1, or give a value below that "
            "of their foreground."
        )
        yield Fault("", 0, MASK, problem, remedy)


def _in_order(first: Sequence[Fault], more: Sequence[Fault]) -> tuple[Fault, ...]:
    """Faults in the order of the listing."""
    return tuple(sorted((*first, *more), key=lambda fault: fault.position))


def _names(rule: LabelRule) -> dict[int, str]:
    names = {**dict.fromkeys(rule.ignored, IGNORED), **rule.values}
    if rule.derive is not None:
        names[rule.derive.value] = f"{rule.derive.outside} or {rule.derive.inside}"
    if rule.instances is not None:
        names[rule.instance_value] = rule.instances
    return names


def _examined(
    unread: Sequence[_Unread], look: Callable[[Case, tuple[str, ...]], CaseFacts], crew: Crew
) -> Iterator[tuple[Case, CaseFacts]]:
    needs = Needs(folders_of(case for case, _ in unread))
    found = crew.results(unread, partial(_looked, look), _lost, fewest=_FEWEST_FOR_PROCESSES, needs=needs)
    for (case, _), facts in found:
        yield case, facts


def _looked(look: Callable[[Case, tuple[str, ...]], CaseFacts], unread: _Unread) -> CaseFacts:
    return look(*unread)


def _lost(unread: _Unread) -> CaseFacts:
    case, _ = unread
    return CaseFacts(case.id, case.group, faults=(ended(case),), unexpected=True)


def _repeated(cases: Sequence[Case], known: Mapping[str, CaseFacts]) -> Iterator[Fault]:
    """Images that an earlier case holds as well; of images with classes `Report.duplicates` tells them."""
    first: dict[str, Case] = {}
    named = {case.id: case for case in cases}
    for case in cases:
        if case.is_whole:
            continue
        shared: dict[str, list[str]] = defaultdict(list)
        for channel, facts in known[case.id].channels.items():
            if facts.voxels == 0:
                continue  # empty images are all alike, and a fault of their own
            other = first.setdefault(facts.digest, case)
            if other is not case:
                shared[other.id].append(channel)
        for other_id, channels in shared.items():
            other = named[other_id]
            whose = "the same patient" if other.group == case.group else "another patient"
            problem = f"its images {channels} are those of case {other.id} (no. {other.position}), of {whose}"
            remedy = "Find out whose images they are, and leave one of the two cases out."
            yield Fault(case.id, case.position, channels[0], problem, remedy, case.images.get(channels[0]))
