"""What a run does about pictures that are copies of each other: keeps them together, refuses them, records them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from medseg.datasets.case import Case, labelled
from medseg.datasets.checks.check import Report
from medseg.datasets.checks.duplicates import Duplicates, Pair, find_duplicates, twins, twins_note
from medseg.datasets.roles import UNLABELLED, UNUSED, Role
from medseg.errors import DataError, Fault
from medseg.places import written_whole
from medseg.progress import Progress
from medseg.recorder import Recorder
from medseg.splits.column import roles_by_column
from medseg.splits.rule import SplitRule
from medseg.splits.split import Split
from medseg.text import many

TABLE = "duplicates.csv"
"""File of a run's folder that lists all pairs, where there are any."""

_COLUMNS = ("first", "first_role", "second", "second_role", "kind", "distance", "patients")

#: A part that differs from its ratio by more than this share of itself, and by more than a patient, is odd.
_ODD = 0.1


def copies(cases: Sequence[Case], report: Report) -> Duplicates:
    """Those of the cases that are one picture, or nearly, whatever the check found of others."""
    if len(cases) == len(report.listing.cases):
        return report.duplicates
    return find_duplicates(cases, report.facts)


@dataclass(frozen=True)
class SharedCopies:
    """The copies among the pictures of a run, and the roles that they have.

    Attributes:
        duplicates: The copies.
        split: Who is in which role.
        cases: All cases that can be used.
    """

    duplicates: Duplicates
    split: Split
    cases: Sequence[Case]

    @cached_property
    def used(self) -> tuple[Case, ...]:
        """All cases but images without a label that would leak into the scores, and those beyond counts."""
        out = {*self.split.held_back, *self.split.cases(UNUSED)}
        return tuple(case for case in self.cases if case.id not in out)

    @cached_property
    def across(self) -> tuple[Pair, ...]:
        """Pairs whose pictures are in different roles; of an image without a label the split has seen to it."""
        role, known = self.split.role, {case.id for case in labelled(self.used)}
        both = (pair for pair in self.duplicates.pairs if {pair.first, pair.second} <= known)
        return tuple(pair for pair in both if role(pair.first) != role(pair.second))

    def refusals(self) -> Iterator[DataError]:
        """The refusal of copies in different roles, if there are some: a fault for each pair, of its second."""
        if self.across:
            count = len(self.across)
            yield DataError(
                f"{count} pair{'' if count == 1 else 's'} of pictures {'is' if count == 1 else 'are'} one picture, "
                "or nearly, and in different roles, so that what is learned from one leaks into the scores of the "
                "other. Put each pair into one role, or leave one of the two out; to go on all the same: "
                "--allow-duplicates.",
                self._faults(),
            )

    def _faults(self) -> list[Fault]:
        named = {case.id: case for case in self.cases}
        faults = []
        for pair in self.across:
            first, second = named[pair.first], named[pair.second]
            is_it = (
                "its picture is that"
                if pair.kind == "exact"
                else "its picture looks (nearly) the same as that"
            )
            problem = (
                f"{is_it} of case {first.id} (no. {first.position}), which is in {self.split.role(first.id)}, while "
                f"this one is in {self.split.role(second.id)}"
            )
            remedy = "Put both into one role, or leave one out."
            path = next(iter(second.images.values()), None)
            faults.append(Fault(second.id, second.position, "", problem, remedy, path))
        return sorted(faults, key=lambda fault: fault.position)

    def odd_parts(self, rule: SplitRule) -> str:
        """What parts the draw could not make as large as they should be, for copies stay together; else empty."""
        expected, free = drawn_by_ratio(rule, self.split, labelled(self.cases))
        if not self.duplicates.pairs:
            return ""
        odd = []
        for role, ratio in sorted(expected.items()):
            got = sum(self.split.roles[case] == role for case in free.values())
            if abs(got - ratio * len(free)) > max(1.0, _ODD * ratio * len(free)):
                odd.append(f"{role} has {got} of {many(len(free), 'patient')}, expected {ratio:.0%}")
        return "; ".join(odd)

    def record(self, rule: SplitRule, folder: Path, recorder: Recorder, progress: Progress) -> None:
        """Say and write down what was found: tags, and a table where there are pairs."""
        recorder.tags(self._tags(rule))
        if not self.duplicates.pairs:
            return
        path = folder / TABLE
        with written_whole(path) as target, target.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([_COLUMNS, *self._rows()])
        recorder.artifact(path)
        progress.say(f"{self.duplicates.told()} ({TABLE}).", loud=True)
        if note := twins_note(twins(self.duplicates, self.cases)):
            progress.say(f"{note}.", loud=True)
        if self.across:
            progress.say(
                f"DUPLICATES ACROSS ROLES: pairs of (nearly) equal pictures in different roles, as "
                f"--allow-duplicates lets them: {len(self.across)}. The scores are too good.",
                loud=True,
            )
        odd = self.odd_parts(rule)
        if odd:
            progress.say(
                f"ODD PARTS: duplicates stay in one role, and their sets are too large to be shared out as "
                f"expected: {odd}.",
                loud=True,
            )

    def _tags(self, rule: SplitRule) -> dict[str, str]:
        if not any(case.is_whole for case in self.cases):
            return {}
        tags = {
            "duplicates.exact": str(self.duplicates.count("exact")),
            "duplicates.near": str(self.duplicates.count("near")),
            "duplicates.sets": str(len(self.duplicates.groups())),
            "duplicates.across_roles": str(len(self.across)),
        }
        odd, without = self.odd_parts(rule), [case for case in self.cases if case.unlabelled]
        tags |= {"duplicates.odd_parts": odd} if odd else {}
        if without:
            tags |= {
                "unlabelled.cases": str(len(self.split.cases(UNLABELLED))),
                "unlabelled.held_back": str(len(self.split.held_back)),
                "unlabelled.copies_of_labelled": str(twins(self.duplicates, self.cases)),
            }
        return tags

    def _rows(self) -> list[tuple[object, ...]]:
        role, group = self._told_role, {case.id: case.group for case in self.cases}
        return [
            (
                pair.first,
                role(pair.first),
                pair.second,
                role(pair.second),
                pair.kind,
                pair.distance,
                "same" if group[pair.first] == group[pair.second] else "different",
            )
            for pair in self.duplicates.pairs
        ]

    def _told_role(self, case: str) -> str:
        return "left out" if case in self.split.held_back else self.split.role(case)


def drawn_by_ratio(
    rule: SplitRule, split: Split, cases: Sequence[Case]
) -> tuple[Mapping[Role, float], Mapping[str, str]]:
    """Ratios by which roles were drawn, and of whom: a case of each patient."""
    if rule.file is not None or split.leaking:
        return {}, {}
    shares: dict[Role, object] = {"val": rule.val, "test": rule.test}
    given = {role for role, share in shares.items() if isinstance(share, Mapping)}
    if rule.column is not None:
        given |= set(roles_by_column(rule.column, cases).values()) & set(shares)
    ratios = {
        role: share
        for role, share in shares.items()
        if role not in given and isinstance(share, float) and share > 0
    }
    return ratios, {case.group: case.id for case in cases if split.role(case.id) not in given}
