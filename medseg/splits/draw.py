"""Drawing roles or folds: each unit, a patient or several who belong together, gets one, in the expected shares."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

Role = TypeVar("Role", bound=Any)  # str or int: what can be sorted


def draw(
    members: Mapping[str, Sequence[str]], strata: Mapping[str, str], shares: Mapping[Role, float], seed: int
) -> dict[str, Role]:
    """Draw a role for each patient, in like shares within each stratum.

    Args:
        members: Patients of each unit, sorted, by the first of them; units sorted. There are as many as shares.
        strata: Stratum of each patient; a unit is of that of its first.
        shares: Share of the patients that each role should get; they add up to 1.
        seed: Of the draw.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    role_of: dict[str, Role] = {}
    carried: dict[Role, float] = dict.fromkeys(shares, 0.0)
    by_stratum: dict[str, list[str]] = defaultdict(list)
    for unit, patients in members.items():
        by_stratum[strata[patients[0]]].append(unit)
    for stratum in sorted(by_stratum):
        units = by_stratum[stratum]
        shuffled = [units[i] for i in random.permutation(len(units))]
        sizes = {unit: len(members[unit]) for unit in units}
        role_of |= _placed(shuffled, sizes, _allotted(sum(sizes.values()), shares, carried))
    role_of = _nobody_empty(role_of, shares)
    return {patient: role_of[unit] for unit, patients in members.items() for patient in patients}


def joined_patients(group_of: Mapping[str, str], together: Sequence[Collection[str]]) -> dict[str, str]:
    """The first by name of the patients that each is joined with by sets of cases; by default itself.

    Args:
        group_of: Patient of each case.
        together: Sets of cases; those that are not in `group_of` are passed over.
    """
    unit_of = {group: group for group in group_of.values()}

    def first(group: str) -> str:
        while unit_of[group] != group:
            unit_of[group] = group = unit_of[unit_of[group]]
        return group

    for cases in together:
        groups = sorted({first(group_of[case]) for case in cases if case in group_of})
        for other in groups[1:]:
            unit_of[other] = groups[0]
    return {group: first(group) for group in unit_of}


def _placed(units: Sequence[str], sizes: Mapping[str, int], expected: Mapping[Role, int]) -> dict[str, Role]:
    """Role of each unit: of one that holds several patients, the largest first, that which lacks most.

    Args:
        units: In the order of the draw.
        sizes: Patients of each.
        expected: How many patients each role should get.
    """
    lacking = dict(expected)
    role_of: dict[str, Role] = {}
    for unit in sorted((unit for unit in units if sizes[unit] > 1), key=lambda unit: -sizes[unit]):
        role_of[unit] = max(sorted(lacking), key=lambda role: lacking[role])
        lacking[role_of[unit]] -= sizes[unit]
    single = [unit for unit in units if sizes[unit] == 1]
    open_places = {role: max(0, count) for role, count in lacking.items()}
    if single and sum(open_places.values()) > len(
        single
    ):  # some role has more than its part: share what is left
        share = {role: count / sum(open_places.values()) for role, count in open_places.items()}
        open_places = _allotted(len(single), share, dict.fromkeys(share, 0.0))
    for role, count in open_places.items():
        role_of |= dict.fromkeys(single[:count], role)
        single = single[count:]
    return role_of


def _allotted(count: int, shares: Mapping[Role, float], carried: dict[Role, float]) -> dict[Role, int]:
    """How many of a stratum each role gets: Hamilton's method of largest remainders.

    What a role got too little of in earlier strata is carried, so that many small strata do not all round
    the same way; each role still gets its exact share of each stratum, rounded down or up.
    """
    exact = {role: count * share for role, share in shares.items()}
    allotted = {role: int(np.floor(value + 1e-9)) for role, value in exact.items()}
    left = count - sum(allotted.values())
    need = {role: exact[role] - allotted[role] + carried[role] for role in shares}
    # Only roles whose share is not whole may be rounded up.
    broken = [role for role in sorted(shares) if exact[role] - allotted[role] > 1e-9]
    for role in sorted(broken, key=lambda role: -round(need[role], 9))[:left]:
        allotted[role] += 1
    for role in shares:
        carried[role] += exact[role] - allotted[role]
    return allotted


def _nobody_empty(role_of: dict[str, Role], shares: Mapping[Role, float]) -> dict[str, Role]:
    """Give each role that has a share at least one unit, from the role that has most."""
    for role in sorted(shares):
        counts = Counter(role_of.values())
        if counts[role] == 0:
            donor = max(sorted(counts), key=lambda each: counts[each])
            last = [group for group, given in role_of.items() if given == donor][-1]  # of a shuffled order
            role_of[last] = role
    return role_of
