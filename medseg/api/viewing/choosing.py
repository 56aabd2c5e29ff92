"""Which case is looked at: by its id, its number, or how well it was predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from medseg.datasets.case import Case
from medseg.errors import RunError

if TYPE_CHECKING:
    from pandas import DataFrame

RANKS = ("best", "median", "worst")
_LISTED = 5


def chosen(wanted: str, cases: Sequence[Case], ranked: Callable[[], Mapping[str, str]]) -> Case:
    """The case that somebody asks for.

    Args:
        wanted: Its id as a run shows it; `best`, `median` or `worst`; or its number in the listing, from 1.
        cases: Those that there are.
        ranked: Gives the ids of the three, by these words.

    Raises:
        RunError: There is none.
    """
    by_id = {case.id: case for case in cases}
    if wanted in by_id:
        return by_id[wanted]
    if wanted in RANKS:
        name = ranked()[wanted]
        if name in by_id:
            return by_id[name]
        raise RunError(
            f"the {wanted} case is {name}, and the data have no case of that name. Say where they lie now: --data"
        )
    by_number = {str(case.position): case for case in cases}
    if wanted in by_number:
        return by_number[wanted]
    few = ", ".join(list(by_id)[:_LISTED]) or "none"
    more = f" and {len(by_id) - _LISTED} more" if len(by_id) > _LISTED else ""
    raise RunError(
        f"there is no case {wanted!r}. Name one of {few}{more}; a number from 1 to {len(cases)}; or "
        f"{', '.join(RANKS)} of those that a run has scored."
    )


def best_and_worst(scores: DataFrame, names: Sequence[str]) -> dict[str, str]:
    """The cases with the best, the middle and the worst mean Dice; ties go by id.

    Args:
        scores: Columns `case`, `name` and `dice`, or `case` and `dice`.
        names: Classes and regions that the mean is over.

    Raises:
        RunError: The table has no Dice.
    """
    if "dice" not in scores or "case" not in scores:
        raise RunError("the run has scored no Dice of its cases, so that none is best or worst. Name a case.")
    counted = scores[scores["name"].isin(names)] if "name" in scores and names else scores
    means = (counted if len(counted) else scores).groupby("case")["dice"].mean().dropna()
    order = sorted(means.index, key=lambda case: (-means[case], case))
    if not order:
        raise RunError("the run has scored no case, so that none is best or worst. Name a case.")
    return {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}
