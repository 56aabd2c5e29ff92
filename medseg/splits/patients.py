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
from medseg.splits.ways import BY_RATIO, UnsharedError

_ADD = "Add data of others"
_HELD: tuple[Role, ...] = ("val", "test")


def by_fold(
    folds: int, fold: int, rule: SplitRule, cases: Sequence[Case], seed: int, unit_of: Mapping[str, str]
) -> dict[str, Role]:
    """Role of each case: one fold is the test part, and validation is drawn from the others."""
    members, strata = units(cases, rule.stratify, unit_of)
    remedy = _fewer_folds(len(members), rule)
    if len(members) < folds:
        raise DataError(f"there are too few patients for {folds} folds: {len(members)}. {remedy}")
    fold_of = draw(members, strata, dict.fromkeys(range(1, folds + 1), 1 / folds), seed)
    held: dict[str, Role] = {group: "test" for group, number in fold_of.items() if number == fold}
    free = [case for case in cases if case.group not in held]
    val = float(rule.val or 0.0) / (1 - 1 / folds)  # of what the fold leaves
    role_of = held | drawn(free, {"val": val} if val else {}, rule, seed, unit_of, remedy)
    return {case.id: role_of[case.group] for case in cases}


def _fewer_folds(members: int, rule: SplitRule) -> str:
    """How many folds so few can be shared out to: one for each, if the others are enough to learn and validate."""
    val = float(rule.val or 0.0)
    enough = members > (2 if val else 1) and val + 1 / members < 1
    return f"Take {members} folds" if enough else _ADD


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
        raise UnsharedError(
            f"the column '{column}' puts all cases into validation or test: nobody is left to train on",
            "Name those of training there",
            [BY_RATIO],
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
    remedy: str = "",
) -> dict[str, Role]:
    """Role of each patient that is left: drawn within each stratum, in like shares.

    Args:
        cases: Of these patients.
        ratios: By role, where it is given by ratio.
        rule: With its counts, and what the strata are.
        seed: Of the draw.
        unit_of: Who stands for each patient.
        remedy: What to do about too few of them; by default others are added, or slices shared out.

    Raises:
        UnsharedError: They are too few.
    """
    there = len({case.group for case in cases})
    shares = shares_of(counts_of(rule), ratios, there, "patient")
    members, strata = units(cases, rule.stratify, unit_of)
    if len(members) < len(shares):
        torn = "" if len(members) == there else f" sets of duplicates, of {there} patients,"
        raise UnsharedError(
            f"there are too few patients to share out: {len(members)}{torn} for {sorted(shares)}, expected at least "
            f"{len(shares)}",
            remedy or _ADD,
            slices=not remedy,
        )
    return draw(members, strata, shares, seed)
