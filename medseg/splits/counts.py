"""Roles by counts, such as 4,000 slices for training: the shares that they make of the data, and what is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medseg.datasets.roles import UNUSED, Role
from medseg.splits.rule import DEFAULT_RATIO, SplitRule
from medseg.splits.ways import UnsharedError, Values, Way
from medseg.text import many


def counts_of(rule: SplitRule) -> dict[Role, int]:
    """What a rule asks for by count."""
    asked: dict[Role, Any] = {"train": rule.train, "val": rule.val, "test": rule.test}
    return {role: count for role, count in asked.items() if isinstance(count, int)}


def shares_of(
    counts: Mapping[Role, int], ratios: Mapping[Role, float], there: int, noun: str
) -> dict[Role, float]:
    """The share of each role in what there is; the shares add up to 1.

    Where training has a count and there is less than is asked for, all are shrunk in proportion; where there is more,
    the rest is for no role. Where training has none, it gets what the others leave.

    Args:
        counts: By role, where it is given by count.
        ratios: By role, where it is given by ratio.
        there: How many patients or slices there are.
        noun: What one of them is called.

    Raises:
        UnsharedError: Nobody is left to train on.
    """
    asked, there = sum(counts.values()), max(there, 1)
    if "train" in counts:
        shares = {role: count / max(asked, there) for role, count in counts.items()}
        return {**shares, UNUSED: (there - asked) / there} if asked < there else shares
    shares = {**ratios, **{role: count / there for role, count in counts.items()}}
    rest = 1.0 - sum(shares.values())
    if rest <= 1e-9:
        parts = " and ".join(f"{role} {counts.get(role) or f'{ratios[role]:.0%}'}" for role in shares)
        given: Values = {str(role): count for role, count in counts.items()}
        few: Values = dict.fromkeys(given, max(1, round(DEFAULT_RATIO * there)))
        ways = [
            Way("or set less", (few,)),
            Way("or name counts for all", ({**dict.fromkeys(map(str, ratios), 1), "train": 1, **given},)),
        ]
        raise UnsharedError(
            f"of {many(there, noun)}, split gives {parts}: nobody is left to train on", "Add data", ways
        )
    return {**shares, "train": rest}


def shrunk_note(counts: Mapping[Role, int], there: int, noun: str) -> str:
    """That there is less than is asked for, as a sentence; empty where there is enough."""
    asked = sum(counts.values())
    if "train" not in counts or asked <= there:
        return ""
    parts = " + ".join(f"{count:,} ({role})" for role, count in counts.items())
    return (
        f"split asks for {parts} = {asked:,} {noun}, and there are {there:,}: all are shrunk in proportion."
    )
