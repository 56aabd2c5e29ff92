"""Images without a label beside a split: which of them may be learned from, and which would leak into the scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from medseg.datasets.case import Case
from medseg.datasets.roles import MEANINGS
from medseg.splits.column import refuse_no_roles
from medseg.splits.draw import joined_patients
from medseg.splits.rule import SplitRule
from medseg.text import many

Reason = Literal["patient", "copy", "unnamed"]
"""Why an image without a label is not learned from."""

REASONS: Mapping[Reason, str] = {
    "patient": "of patients in validation or test",
    "copy": "(nearly) the same as pictures in validation or test, or of a patient who has such",
    "unnamed": "not named by the split file, which names others",
}


def held_back(
    cases: Sequence[Case],
    scored: Collection[str],
    together: Sequence[Collection[str]],
    named: Collection[str] | None = None,
) -> dict[str, Reason]:
    """Images without a label that must not be learned from, each with why.

    What belongs together with a scored case, be it as a copy of it or as a copy of a copy, is held back as a whole.

    Args:
        cases: All, with a label and without.
        scored: Ids of those that are validated or tested.
        together: Sets of ids of cases that are copies of each other.
        named: Ids of images without a label that are to be learned from; None: all of them.
    """
    groups = {case.group for case in cases if case.id in scored}
    unit_of = joined_patients({case.id: case.group for case in cases}, together)
    units = {unit_of[group] for group in groups}
    found: dict[str, Reason] = {}
    for case in cases:
        if not case.unlabelled:
            continue
        if case.group in groups:
            found[case.id] = "patient"
        elif unit_of[case.group] in units:
            found[case.id] = "copy"
        elif named is not None and case.id not in named:
            found[case.id] = "unnamed"
    return found


def kept_for_scores(rule: SplitRule, cases: Sequence[Case]) -> set[str]:
    """Ids of images without a label that columns put into validation or test, where columns tell the roles.

    Raises:
        DataError: A column tells of one of them what means no role, such as a misspelt `test`.
    """
    found = set[str]()
    if rule.column is not None:
        without = [case for case in cases if case.unlabelled]
        refuse_no_roles(rule.column, without)
        roles = {case.id: case.extra.get(rule.column, "").strip().lower() for case in without}
        found |= {name for name, role in roles.items() if MEANINGS.get(role) in ("val", "test")}
    for share in (rule.val, rule.test):
        if isinstance(share, Mapping):
            columns = {
                column: [value] if isinstance(value, str) else value for column, value in share.items()
            }
            found |= {
                case.id
                for case in cases
                if case.unlabelled and all(case.extra.get(column) in each for column, each in columns.items())
            }
    return found


def held_back_note(reasons: Mapping[str, Reason], kept: int) -> str:
    """How many images without a label may be learned from, and why not the others, as a sentence; empty for none."""
    if not reasons and not kept:
        return ""
    others = f"; {len(reasons)} are left out: {reasons_text(reasons)}" if reasons else ""
    return f"Without a label: {many(kept, 'image')} that steps may learn from{others}."


def reasons_text(reasons: Mapping[str, Reason]) -> str:
    """How many images without a label are left out for which reason."""
    counts = Counter(reasons.values())
    return ", ".join(f"{counts[reason]} {text}" for reason, text in REASONS.items() if counts[reason])
