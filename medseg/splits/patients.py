"""Roles of patients that a rule draws: within strata, around a fold, or beside those that a column tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medseg.datasets.case import Case
from medseg.datasets.roles import Role
from medseg.errors import DataError
from medseg.splits.column import roles_by_column
from medseg.splits.counts import counts_of, shares_of
from medseg.splits.draw import draw
from medseg.splits.rule import SplitRule
from medseg.splits.strata import column_values, units

_HELD: tuple[Role, ...] = ("val", "test")


def by_fold(
    folds: int, fold: int, rule: SplitRule, cases: Sequence[Case], seed: int, unit_of: Mapping[str, str]
) -> dict[str, Role]:
    """Role of each case: one fold is the test part, and validation is drawn from the others."""
    members, strata = units(cases, rule.stratify, unit_of)
    if len(members) < folds:
        raise DataError(f"there are too few patients for {folds} folds: {len(members)}. Take fewer folds")
    fold_of = draw(members, strata, dict.fromkeys(range(1, folds + 1), 1 / folds), seed)
    held: dict[str, Role] = {group: "test" for group, number in fold_of.items() if number == fold}
    free = [case for case in cases if case.group not in held]
    val = float(rule.val or 0.0) / (1 - 1 / folds)  # of what the fold leaves
    role_of = held | drawn(free, {"val": val} if val else {}, rule, seed, unit_of)
    return {case.id: role_of[case.group] for case in cases}


def by_column(
    rule: SplitRule,
    column: str,
    ratios: Mapping[Role, float],
    cases: Sequence[Case],
    seed: int,
    unit_of: Mapping[str, str],
) -> dict[str, Role]:
    """Role of each case: as a column tells, and what it leaves open is drawn from those it does not hold back."""
    column_values(cases, column, "column")
    given = roles_by_column(column, cases)
    held = {group: role for group, role in given.items() if role in _HELD}
    free = [case for case in cases if case.group not in held]
    if not free:
        raise DataError(
            f"the column '{column}' puts all cases into validation or test: nobody is left to train on. Name "
            "those of training there; to draw all by ratio instead: --set split.column=null"
        )
    absent = {role: ratio for role, ratio in ratios.items() if role not in held.values()}
    role_of = held | drawn(free, absent, rule, seed, unit_of)
    return {case.id: role_of[case.group] for case in cases}


def drawn(
    cases: Sequence[Case],
    ratios: Mapping[Role, float],
    rule: SplitRule,
    seed: int,
    unit_of: Mapping[str, str],
) -> dict[str, Role]:
    """Role of each patient that is left: drawn within each stratum, in like shares."""
    there = len({case.group for case in cases})
    shares = shares_of(counts_of(rule), ratios, there, "patients")
    members, strata = units(cases, rule.stratify, unit_of)
    if len(members) < len(shares):
        torn = "" if len(members) == there else f" sets of duplicates, of {there} patients,"
        raise DataError(
            f"there are too few patients to share out: {len(members)}{torn} for {sorted(shares)}, expected at least "
            f"{len(shares)}. Add data of others; or share out slices, which leaks, so that scores are too good: "
            f"{rule.made_by_slice()}"
        )
    return draw(members, strata, shares, seed)
