"""Values of columns by patient, and the units that are drawn, each in its stratum."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from medseg.datasets.case import Case
from medseg.errors import DataError, Fault
from medseg.splits.ways import UnsharedError, without_column

CLASS = "class"
"""What `stratify` calls the classes of images."""


def column_values(cases: Iterable[Case], column: str, key: str) -> dict[str, set[str]]:
    """Values of a column, by patient; `key` of `split` names it."""
    found: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        if column not in case.extra:
            columns = sorted({name for each in cases for name in each.extra})
            raise UnsharedError(
                f"the cases have no column '{column}', which split.{key} names; they have {columns or 'none'}",
                "Declare it in the manifest ('columns' reads it from the path, 'table' from a table beside the data, "
                "'layout.extra' from a table of paths)",
                [without_column(key)],
            )
        found[case.group].add(case.extra[column])
    return found


def refuse_torn(groups: Sequence[str], cases: Sequence[Case], what: str) -> None:
    """Refuse patients whose cases disagree.

    Raises:
        DataError: There are some; a fault for each of their cases.
    """
    if groups:
        problem = f"cases of this patient disagree about being {what}"
        remedy = "Correct the column, or 'group' of the manifest."
        torn = set(groups)
        faults = [Fault(c.id, c.position, "", problem, remedy, None) for c in cases if c.group in torn]
        of = "1 patient" if len(torn) == 1 else f"{len(torn)} patients"
        raise DataError(f"cases of one patient disagree about being {what}: those of {of}", faults)


def units(
    cases: Sequence[Case], stratify: str | None, unit_of: Mapping[str, str]
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Patients of each unit that is drawn as one, sorted, and the stratum of each patient."""
    groups = sorted({case.group for case in cases})
    members: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        members[unit_of[group]].append(group)
    if stratify is None:
        return members, dict.fromkeys(groups, "")
    if stratify == CLASS and all(CLASS not in case.extra and case.labels is not None for case in cases):
        return members, _rarest(cases)
    found = column_values(cases, stratify, "stratify")
    refuse_torn([g for g in groups if len(found[g]) > 1], cases, f"of one '{stratify}'")
    return members, {group: next(iter(found[group])) for group in groups}


def _rarest(cases: Sequence[Case]) -> dict[str, str]:
    """The class of each patient that fewest of these patients have an image of; empty for one who has none.

    A class that few patients have is the one that a part is most easily left without. Of classes that as many
    have, the first by code point counts.
    """
    classes: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        classes[case.group].update(case.labels or ())
    patients = Counter(name for names in classes.values() for name in names)
    return {
        group: min(names, key=lambda name: (patients[name], name), default="")
        for group, names in classes.items()
    }
