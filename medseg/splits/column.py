"""Roles that columns of the cases tell, such as the folder Train, Val or Test above a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from medseg.datasets.case import Case
from medseg.datasets.roles import MEANINGS, ROLES, UNLABELLED, Role
from medseg.errors import DataError, Fault
from medseg.splits.file import ids_are_hidden
from medseg.splits.strata import column_values, refuse_torn
from medseg.splits.ways import BY_RATIO, UnsharedError, without_column
from medseg.text import many

_SHOWN = 5


def roles_by_column(column: str, cases: Sequence[Case]) -> dict[str, Role]:
    """Role of each patient that a column puts into one; none where it is empty for everybody.

    Args:
        column: Which; every case has it.
        cases: All cases. A patient one of whose cases has a value has it as a whole.

    Raises:
        DataError: A value means no role, a patient is in two, or some patients have a role and others none.
    """
    refuse_no_roles(column, cases)
    value_of = {case.id: case.extra[column].strip() for case in cases}
    roles: dict[str, set[Role]] = defaultdict(set)
    for case in cases:
        if value_of[case.id]:
            roles[case.group].add(MEANINGS[value_of[case.id].lower()])
    torn = sorted(group for group, each in roles.items() if len(each) > 1)
    if torn:
        raise _leak(column, torn, cases)
    without = [case for case in cases if case.group not in roles]
    if roles and without:
        raise _without_role(column, without)
    return {group: next(iter(each)) for group, each in roles.items()}


def refuse_no_roles(column: str, cases: Sequence[Case]) -> None:
    """Refuse a column of which a value means no role; of an image without a label it may be `unlabelled`.

    Raises:
        DataError: There is such a value.
    """
    told = ((case, case.extra.get(column, "").strip()) for case in cases)
    known = {True: {*MEANINGS, UNLABELLED}, False: {*MEANINGS}}
    unknown = sorted({value for case, value in told if value and value.lower() not in known[case.unlabelled]})
    if unknown:
        # A column of names, taken by mistake, must not be shown where names are hidden.
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        listed = f"{len(unknown)} values" if ids_are_hidden(cases) else f"{unknown[:_SHOWN]}{more}"
        raise UnsharedError(
            f"the column '{column}', by which cases are shared out, holds {listed} that mean no role; expected "
            f"{', '.join(MEANINGS)}, in upper or lower case, or nothing for everybody",
            "Correct it",
            [BY_RATIO],
        )


def _without_role(column: str, without: Sequence[Case]) -> DataError:
    problem = f"the column '{column}' tells no role of this case, and tells those of others"
    remedy = f"Name its role there ({', '.join(ROLES)}), or leave the case out."
    faults = [
        Fault(case.id, case.position, "", problem, remedy, next(iter(case.images.values()), None))
        for case in without
    ]
    names = sorted(case.id for case in without)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    count = f"{len(names)} case{'' if len(names) == 1 else 's'}"
    return UnsharedError(
        f"the column '{column}' tells the roles of some cases, and none of {count}: "
        f"{', '.join(names[:_SHOWN])}{more}",
        f"Name the role of each there ({', '.join(ROLES)}), or leave them out of the data",
        [BY_RATIO],
        faults,
    )


def _leak(column: str, torn: Sequence[str], cases: Sequence[Case]) -> DataError:
    problem = f"cases of this patient are in several roles by the column '{column}'"
    remedy = (
        "Correct the column (where folders such as Train tell the role: move the files into one of them), or 'group' "
        "of the manifest."
    )
    faults = [
        Fault(case.id, case.position, "", problem, remedy, None) for case in cases if case.group in torn
    ]
    more = f" and {len(torn) - _SHOWN} more" if len(torn) > _SHOWN else ""
    return DataError(
        f"the column '{column}' puts {many(len(torn), 'patient')} into more than one role, so that what is learned "
        f"from them leaks into the scores: {', '.join(torn[:_SHOWN])}{more}",
        faults,
    )


def chosen_by_columns(chosen: Mapping[Role, Mapping[str, Any]], cases: Sequence[Case]) -> dict[str, Role]:
    """Role of each patient whom columns put into one: those that `split.val` and `split.test` name.

    Raises:
        DataError: A column is not there or has no such value, or the cases of a patient disagree.
    """
    role_of: dict[str, Role] = {}
    for role, columns in chosen.items():
        expected = {
            column: {value} if isinstance(value, str) else set(value) for column, value in columns.items()
        }
        for column, values in expected.items():
            present = {value for each in column_values(cases, column, role).values() for value in each}
            if not values & present:
                # Values may tell who it is.
                there = f"has {len(present)} other values" if any(present) else "is empty for all of them"
                raise UnsharedError(
                    f"no case has {sorted(values)} in the column '{column}', by which split.{role} chooses: it "
                    f"{there}",
                    f"Correct split.{role} or the column",
                    [without_column(role)],
                )
        fits: dict[str, set[bool]] = defaultdict(set)
        for case in cases:
            fits[case.group].add(all(case.extra[column] in values for column, values in expected.items()))
        refuse_torn([group for group, each in fits.items() if len(each) > 1], cases, f"chosen for {role}")
        groups = {group for group, each in fits.items() if each == {True}}
        if not groups:
            raise UnsharedError(
                f"no case fits all columns by which split.{role} chooses: {dict(columns)}",
                "Correct them",
                [without_column(role)],
            )
        twice = groups & set(role_of)
        if twice:
            raise DataError(
                f"the columns choose {many(len(twice), 'patient')} for val and for test; one role each"
            )
        role_of |= dict.fromkeys(groups, role)
    return role_of
