"""What there is to prepare: cases with what their files hold, by which their entries are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from medseg.datasets.case import Case
from medseg.errors import DataError, Fault
from medseg.files.content import Content, stamp_of
from medseg.slices.store.fingerprint import Recipe
from medseg.splits.split import Split

Known = Mapping[str, Mapping[str, Content]]
"""What files held when they were checked, by case and part: `Report.contents`."""


@dataclass(frozen=True)
class Job:
    """One case to be prepared.

    Attributes:
        case: Which.
        role: Whose rule of keeping applies to it.
        name: Of its entry.
        contents: What its files held when the entry was named.
    """

    case: Case
    role: str
    name: str
    contents: Mapping[str, Content] = field(default_factory=dict)


def list_jobs(
    cases: Sequence[Case], split: Split, recipe: Recipe, known: Known | None = None
) -> tuple[list[Job], list[Fault]]:
    """What there is to prepare, and the faults of cases that cannot be."""
    work: list[Job] = []
    faults: list[Fault] = []
    for case in cases:
        # Split by slice, a case is prepared once, with the rule of training.
        role = split.role(case.id) if split.by == "group" else "train"
        try:
            if recipe.selection(role).needs_truth and not case.has_truth:
                raise failed(case, "mask", "there is no truth, which slices.keep asks for")
            contents = recipe.contents(case, (known or {}).get(case.id, {}))
            work.append(Job(case, role, recipe.entry(case, role, contents), contents))
        except DataError as error:
            faults += error.faults
    return work, faults


def unchanged(job: Job) -> None:
    """Refuse slices of other bytes than those that name their entry."""
    for part, content in job.contents.items():
        try:
            changed = stamp_of(job.case.files[part]) != content.stamp
        except OSError:
            changed = True
        if changed:
            raise failed(
                job.case, part, "the file changed while its slices were prepared", "Run the command again."
            )


def failed(case: Case, part: str, problem: str, remedy: str = "Leave the case out.") -> DataError:
    """The error of one case with its one fault."""
    fault = Fault(case.id, case.position, part, problem, remedy, case.files.get(part))
    return DataError(fault.text(), [fault])
