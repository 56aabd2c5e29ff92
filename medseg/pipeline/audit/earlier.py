"""What an earlier certificate of the same slices has found: a later one with fewer looks does not unsay it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from medseg.errors import RunError
from medseg.files.inside import own_place
from medseg.pipeline.audit.certificate import JSON, Certificate, Fitted
from medseg.pipeline.audit.looking import near_unseen
from medseg.places import read_kept


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Row:
    """A row of what was fitted."""

    step: str
    what: str
    on: tuple[str, ...] | None


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Sung:
    """What a canary scored."""

    role: str
    patients: int
    accuracy: float
    chance: float
    p: float


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class Earlier:
    """What is carried over from a certificate that lies in the folder of a run; as of `Certificate`."""

    data: str
    split: str
    groups: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, Mapping[str, int]]
    images: Mapping[str, int]
    copies: tuple[Mapping[str, Any], ...]
    fitted: tuple[_Row, ...]
    leaks: Mapping[str, str]
    canary: _Sung | None = None

    @classmethod
    def of(cls, folder: Path) -> Earlier | None:
        """That of a run's folder; None where there is none, or none that can be read."""
        try:
            found = read_kept(own_place(folder, JSON), dict)
            return TypeAdapter(cls).validate_python(found)
        except (RunError, ValidationError):
            return None

    def is_of(self, found: Certificate) -> bool:
        """Whether it is of the same data, roles and slices."""
        content = found.content()
        return (self.data, self.split) == (found.data, found.split) and (
            {role: list(names) for role, names in self.groups.items()},
            {role: dict(counts) for role, counts in self.counts.items()},
        ) == (content["groups"], {role: dict(counts) for role, counts in found.counts.items()})


def with_earlier(found: Certificate, before: Earlier | None, *, mine: bool = True) -> Certificate:
    """The certificate with what an earlier one has looked at and this one has not, and with every leak of it.

    Args:
        found: What this look has found.
        before: What an earlier one had; nothing is taken of other data, roles or slices.
        mine: Whether this user made it; else its leaks are taken, and nothing that speaks for the run.
    """
    if before is None or not before.is_of(found):
        return found
    taken = _looks(found, before) if mine else {}
    gone = [kind for kind in before.leaks if kind not in found.leaks and kind not in taken]
    again = (
        [f"An earlier look found what this one did not, and it stays said: {', '.join(gone)}."]
        if gone
        else []
    )
    return replace(
        found,
        **{name: value for name, value in taken.items() if name != "unseen"},
        leaks={**before.leaks, **found.leaks},
        unseen=[*found.unseen, *taken.get("unseen", ()), *again],
    )


def _looks(found: Certificate, before: Earlier) -> dict[str, Any]:
    """Fields that this look has nothing for, with the sentences that say so."""
    taken: dict[str, Any] = {}
    unseen: list[str] = []
    if before.images and not found.images:
        taken |= {"images": dict(before.images), "copies": [dict(each) for each in before.copies]}
        unseen += near_unseen(before.images)
        unseen.append("Images a second time: what is said of them is what an earlier look has found.")
    if before.canary is not None and found.canary is None:
        taken["canary"] = vars(before.canary)
        unseen.append("The canary a second time: what is said of it is what an earlier look has found.")
    if rows := list(_fitted(found, before)):
        taken["fitted"] = [*found.fitted, *rows]
        steps = ", ".join(dict.fromkeys(f"steps.{each.step}" for each in rows))
        unseen.append(
            f"What {steps} fits a second time: what is said of it is what an earlier look has found."
        )
    return {**taken, "unseen": unseen} if unseen else taken


def _fitted(found: Certificate, before: Earlier) -> Iterator[Fitted]:
    """Rows of steps that say nothing now, such as of a package that the caller does not allow this time."""
    there = {*(each.step for each in found.fitted), *found.undone}
    yield from (Fitted(row.step, row.what, row.on) for row in before.fitted if row.step not in there)
