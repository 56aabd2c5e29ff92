"""Pictures that are one picture, or nearly: pairs of them, and the sets that the pairs make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medseg.datasets.case import Case, labelled
from medseg.datasets.checks.case_facts import CaseFacts
from medseg.datasets.checks.perceptual_hash import near_pairs
from medseg.errors import Fault


@dataclass(frozen=True, slots=True)
class Pair:
    """Two cases whose images are one, or nearly.

    Attributes:
        first: Public id of the case that comes first in the listing; one with a label before one without.
        second: Of the other.
        kind: `exact`: all channels are equal, value by value. `near`: their hashes are.
        distance: Bits by which the hashes differ, of 255; 0 of an exact pair.
    """

    first: str
    second: str
    kind: Literal["exact", "near"]
    distance: int


@dataclass(frozen=True)
class Duplicates:
    """Which cases are copies of each other.

    Attributes:
        pairs: Exact ones first, each in the order of the listing. Of several equal images each is paired with
            the first, which stands for them all in near pairs: where any two of a set are in different roles,
            so are the two of some pair.
    """

    pairs: tuple[Pair, ...] = ()

    def groups(self) -> tuple[frozenset[str], ...]:
        """Sets of cases that pairs join, one by one; each with two members or more, sorted by the first id."""
        from scipy.sparse import coo_array  # noqa: PLC0415  # takes 0.2 s, and most data have no pairs
        from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

        names = sorted({name for pair in self.pairs for name in (pair.first, pair.second)})
        if not names:
            return ()
        place = {name: index for index, name in enumerate(names)}
        ends = np.array([(place[pair.first], place[pair.second]) for pair in self.pairs])
        joined = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(names), len(names)))
        members: dict[int, set[str]] = defaultdict(set)
        for name, component in zip(names, connected_components(joined, directed=False)[1], strict=True):
            members[int(component)].add(name)
        return tuple(sorted(map(frozenset, members.values()), key=min))

    def count(self, kind: Literal["exact", "near"]) -> int:
        """How many pairs are of a kind."""
        return sum(pair.kind == kind for pair in self.pairs)

    def told(self) -> str:
        """The numbers in a sentence without a full stop; empty if there are no pairs."""
        if not self.pairs:
            return ""
        exact, near, groups = self.count("exact"), self.count("near"), self.groups()
        parts = [f"{exact} {'repeats' if exact == 1 else 'repeat'} an earlier one pixel by pixel"] * (
            exact > 0
        )
        parts += [f"{near} {'pair looks' if near == 1 else 'pairs look'} alike"] * (near > 0)
        held = sum(map(len, groups))
        sets = f"{held} pictures in {len(groups)} set{'' if len(groups) == 1 else 's'} of duplicates"
        return f"{sets}: {', '.join(parts)}; the largest set has {max(map(len, groups))}"


def find_duplicates(cases: Sequence[Case], facts: Sequence[CaseFacts]) -> Duplicates:
    """Look for copies among cases that have classes for a truth, whoever's they are.

    Volumes of several slices, and images that are blank or nearly so, are compared value by value only. Images
    without a label come after all others, so that they stand for none of these.

    Args:
        cases: Which, in the order of the listing.
        facts: Of all of them; of others too, if that is simpler.
    """
    known = {each.case: each for each in facts}
    return Duplicates(tuple(_pairs(_compared(sorted(cases, key=lambda case: case.unlabelled), known), known)))


def _pairs(names: Iterable[str], known: Mapping[str, CaseFacts]) -> Iterator[Pair]:
    """Exact pairs of some cases, and then near ones."""
    first: dict[tuple[str, ...], str] = {}
    for name in names:
        other = first.setdefault(_pixels(known[name]), name)
        if other != name:
            yield Pair(other, name, "exact", 0)
    hashes = {name: known[name].likeness or "" for name in first.values() if known[name].likeness}
    alike = list(hashes)
    for one, two, apart in near_pairs(list(hashes.values())).tolist():
        yield Pair(alike[one], alike[two], "near", apart)


def copies_with_masks(cases: Sequence[Case], facts: Sequence[CaseFacts]) -> Iterator[Pair]:
    """Pairs of cases with label maps: they are told, and neither kept together in a draw nor refused."""
    known = {each.case: each for each in facts}
    yield from _pairs([case.id for case in cases if not case.is_whole and known[case.id].channels], known)


def twins(duplicates: Duplicates, cases: Sequence[Case]) -> int:
    """How many images without a label are, pixel by pixel, images with one."""
    without = {case.id for case in cases if case.unlabelled}
    exact = (pair for pair in duplicates.pairs if pair.kind == "exact")
    return sum(pair.second in without and pair.first not in without for pair in exact)


def twins_note(count: int) -> str:
    """That images without a label are images with one, without a full stop; empty if none are."""
    are = "image without a label is" if count == 1 else "images without a label are"
    return f"{count} {are}, pixel by pixel, among those with a label" if count else ""


def contradictions(cases: Sequence[Case], facts: Sequence[CaseFacts]) -> Iterator[Fault]:
    """Equal images with different classes: a fault of each of them, since nobody knows which is right."""
    known = {each.case: each for each in facts}
    equal: dict[tuple[str, ...], list[Case]] = defaultdict(list)
    named = {case.id: case for case in cases}
    for name in _compared(labelled(cases), known):
        if any(channel.voxels for channel in known[name].channels.values()):
            equal[_pixels(known[name])].append(named[name])  # empty images are a fault of their own
    for each in equal.values():
        for case in each:
            others = [other for other in each if set(other.labels or ()) != set(case.labels or ())]
            if others:
                other = others[0]
                problem = (
                    f"its image is that of case {other.id} (no. {other.position}), value by value, and its class is "
                    f"{_class(case)}, where the other's is {_class(other)}"
                )
                remedy = "Find out which is right, and leave the other out, or both."
                path = next(iter(case.images.values()), None)
                yield Fault(case.id, case.position, next(iter(case.images), ""), problem, remedy, path)


def _compared(cases: Sequence[Case], known: dict[str, CaseFacts]) -> Iterator[str]:
    for case in cases:
        if case.is_whole and known[case.id].channels:
            yield case.id


def _pixels(facts: CaseFacts) -> tuple[str, ...]:
    return tuple(channel.digest for channel in facts.channels.values())


def _class(case: Case) -> str:
    return " and ".join(repr(name) for name in case.labels or ()) or "none"
