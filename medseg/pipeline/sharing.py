"""Who learns, who is validated and who is tested: the split of a run, and what speaks against it.

It is known before anything is written or tracked, so that a run which cannot be begun leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medseg.class_names import shown
from medseg.datasets.case import Case, labelled
from medseg.datasets.checks.check import Report
from medseg.datasets.checks.duplicates import Duplicates
from medseg.datasets.roles import ROLES, UNLABELLED, Role
from medseg.errors import DataError, RunError
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.duplicates import SharedCopies, copies, drawn_by_ratio
from medseg.slices.store.estimate import stored_stack
from medseg.splits.by_slice import Place
from medseg.splits.rule import SplitRule
from medseg.splits.split import CLASS, Split, make_split
from medseg.splits.unlabelled import reasons_text
from medseg.splits.ways import Way, filling, offered
from medseg.text import many

if TYPE_CHECKING:
    from medseg.pipeline.resolve import Resolved
    from medseg.steps.step import Step


_LARGER = (0.2, 0.25, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class KeptSplit:
    """What a run that goes on knows of its split.

    Attributes:
        path: Its `split.json`, which may be missing or damaged.
        digest: Of the roles; empty where the run was killed before it knew them.
    """

    path: Path
    digest: str

    def read(self, cases: Sequence[Case], together: Sequence[Collection[str]] = ()) -> Split | None:
        """The split; None where the file is missing, damaged, or of other roles. Arguments as of `make_split`."""
        with suppress(DataError):
            split = Split.from_file(self.path, cases, together=together)
            return split if self.digest in ("", split.digest()) else None
        return None


def share_out(
    definition: PipelineDefinition, cases: Sequence[Case], report: Report, resolved: Resolved | None = None
) -> SharedCopies:
    """Give each case its role; copies of one picture stay together where roles are drawn.

    Args:
        definition: Its split and seed.
        cases: Those that can be used.
        report: What was found of all.
        resolved: The definition with all its parts, whose steps another rule has to suit before it is offered; None
            offers it to whatever steps.

    Raises:
        DataError: The cases cannot be shared out so.
    """
    found, used = copies(cases, report), {case.id for case in cases}
    every = (*report.listing.cases, *report.listing.incomplete)
    left_out = [case for case in every if case.id not in used]
    places = _stored(definition, report)
    together, slices = _together(found), _may_tear(definition, cases, report)

    def suits(split: Split) -> bool:
        return resolved is None or not _lacks(resolved, SharedCopies(found, split, cases))

    split = make_split(
        definition.split, cases, definition.seed, together, left_out, places, slices=slices, suits=suits
    )
    return SharedCopies(found, split, cases)


def _may_tear(definition: PipelineDefinition, cases: Sequence[Case], report: Report) -> bool:
    """Whether slices may be shared out one by one: no overlapping tiles, and no class of a whole volume."""
    flat = all(facts.shape is None or facts.shape[2] == 1 for facts in report.facts)
    return definition.slices.fit != "tile" and (flat or not any(case.is_whole for case in cases))


def _stored(definition: PipelineDefinition, report: Report) -> Iterator[Place]:
    """Every slice of the files; which of them are kept is not known before they are prepared."""
    for facts in report.facts:
        if facts.shape is not None and facts.affine is not None:
            affine = np.reshape(facts.affine, (4, 4))
            depth, *_ = stored_stack(facts.shape, affine, definition.slices.axis)
            yield from ((facts.case, position) for position in range(depth))


def _together(found: Duplicates) -> list[set[str]]:
    """Pairs of copies: not their sets, in which an image without a label would join two that have one."""
    return [{pair.first, pair.second} for pair in found.pairs]


def share_out_again(
    definition: PipelineDefinition,
    cases: Sequence[Case],
    report: Report,
    kept: KeptSplit,
    say: Callable[[str], None],
    resolved: Resolved | None = None,
) -> SharedCopies:
    """Give each case the role that it had when a run began.

    Args:
        definition: As of `share_out`, like the next two.
        cases: Those that can be used.
        report: What was found of all.
        kept: What the run knows of its split.
        say: Called where the split is drawn again in place of a damaged file.
        resolved: As of `share_out`.

    Raises:
        RunError: The file does not tell the roles any more, and they cannot be drawn as they were.
        DataError: The cases cannot be shared out.
    """
    found = copies(cases, report)
    split = kept.read(cases, _together(found))
    if split is not None:
        return SharedCopies(found, split, cases)
    drawn = share_out(definition, cases, report, resolved)
    if kept.digest not in ("", drawn.split.digest()):
        given = "" if definition.split.file is None else ", or that which split.file names,"
        raise RunError(
            f"{kept.path.name} of this run is missing, damaged or changed, and a new draw gives other roles than it "
            f"began with. Put the file{given} back as it was, or start the pipeline again."
        )
    if kept.path.exists():
        say(
            f"{kept.path.name} was damaged or changed. It is made again, with the roles that the run began with."
        )
    return drawn


def refuse(
    resolved: Resolved, shared: SharedCopies, *, allow_duplicates: bool, say: Callable[[str], None]
) -> None:
    """Refuse what cannot be learned or would be scored too well, and say what is only odd.

    Args:
        resolved: The definition with all its parts.
        shared: The cases and their roles.
        allow_duplicates: Whether pictures that are (nearly) one may be in different roles.
        say: Tells the user.

    Raises:
        DataError: Copies are in different roles, a step's role is empty, or training lacks a class.
    """
    for refusal in refusals(resolved, shared, allow_duplicates=allow_duplicates, say=say):
        raise refusal


def refusals(
    resolved: Resolved, shared: SharedCopies, *, allow_duplicates: bool, say: Callable[[str], None]
) -> Iterator[DataError]:
    """All that `refuse` would refuse, in its order; arguments as there."""
    if not allow_duplicates:
        yield from shared.refusals()
    if (
        shared.split.leaking and resolved.definition.slices.fit == "tile"
    ):  # `by: slice` alone was refused before
        yield DataError(
            "the split file shares out slices, and slices.fit is `tile`: overlapping tiles of one slice would be in "
            "training and in test. Set slices.fit=resize, or name a file of cases."
        )
    yield from _empty_roles(resolved, shared)
    yield from _unlearned(resolved, shared, say)


def _lacks(resolved: Resolved, shared: SharedCopies) -> set[tuple[str, str]]:
    """What a split lacks: roles, each with the step that needs it, and classes that training does not have."""
    roles = {
        (name, role)
        for name, step in resolved.steps.items()
        for role in step.roles
        if not _has_any(resolved, shared, role)
    }
    return roles | {("", name) for name in _lost(resolved, shared)}


def _empty_roles(resolved: Resolved, shared: SharedCopies) -> Iterator[DataError]:
    for name, step in resolved.steps.items():
        for role in step.roles:
            if not _has_any(resolved, shared, role):
                if role == UNLABELLED:
                    yield DataError(_without_unlabelled(name, shared))
                    continue
                yield DataError(
                    f"steps.{name} needs patients in the role {role}, and the split gives it none of "
                    f"{many(len(labelled(shared.cases)), 'case')}. {_filled(resolved, shared, role)}"
                    f"{_moved(resolved, name, step, shared, role)}"
                )


def _without_unlabelled(name: str, shared: SharedCopies) -> str:
    """That a step lacks images without a label, and what to do."""
    held = shared.split.held_back
    seen = f"those of the data are all left out: {reasons_text(held)}" if held else "the data have none"
    return (
        f"steps.{name} needs images without a label, and {seen}. Add some where 'layout' of the manifest looks for "
        "them (`unlabelled`), or take the step out of the pipeline."
    )


def _has_any(resolved: Resolved, shared: SharedCopies, role: Role) -> bool:
    """Whether a role has anybody; of volumes that are shared out by slice, whether it may."""
    split = shared.split
    if split.leaking and resolved.manifest.files().flat:  # each of which is one slice
        return any(split.role(case.id) == role for case in shared.used)
    return bool(split.cases(role))


def _filled(resolved: Resolved, shared: SharedCopies, role: Role) -> str:
    """What gives a role somebody."""
    rule = resolved.definition.split
    if rule.file is not None:
        return _named(role).capitalize()
    before = _lacks(resolved, shared)
    empty = [each for each in ROLES if each != role and any(each == lacking for _, lacking in before)]
    ways = [filling(rule, [role, *empty], len(labelled(shared.cases)))]

    def works(other: SplitRule) -> bool:
        after = _lacks(resolved, _again(resolved, shared, other))
        # What gives one role somebody must not take the last one, or a class, from another.
        return after <= before and not {role, *empty} & {lacking for _, lacking in after}

    found = offered(rule, ways, works)
    return "; ".join(["Add cases", *found])


def _named(role: Role) -> str:
    return f"name some for {role} in the file that split.file names"


def _again(resolved: Resolved, shared: SharedCopies, rule: SplitRule) -> SharedCopies:
    """The same cases shared out by another rule.

    Raises:
        DataError: They cannot be.
    """
    seed, together = resolved.definition.seed, _together(shared.duplicates)
    return replace(shared, split=make_split(rule, shared.cases, seed, together))


def _moved(resolved: Resolved, name: str, step: Step, shared: SharedCopies, role: Role) -> str:
    """That a step which scores one role may score another."""
    others: tuple[Role, ...] = ("test", "val")
    there = (each for each in others if each != role and _has_any(resolved, shared, each))
    other = next(there, None)
    if other is None or getattr(step, "role", None) != role:
        return ""
    return f"; or let the step take another: --set steps.{name}.role={other}"


def _unlearned(resolved: Resolved, shared: SharedCopies, say: Callable[[str], None]) -> Iterator[DataError]:
    """A class of whole images that training lacks cannot be learned; one that others lack is not scored."""
    if not _learns_classes(resolved, shared):
        return
    there = _classes_of({*ROLES}, shared)
    lost = _lost(resolved, shared)
    if lost:
        yield DataError(
            f"the split gives training no picture of the class {shown(lost)}, of which validation or test have some: "
            "it could not be learned. Add pictures of more patients to it, "
            f"{_otherwise(resolved, shared, 'train', lost)}or take it out of the data."
        )
    roles: tuple[Role, ...] = ("val", "test")
    for role in roles:
        mine = _classes_of({role}, shared)
        lacking = _lacking(resolved, there, mine)
        if mine and lacking:
            otherwise = _otherwise(resolved, shared, role, lacking)
            say(
                f"The role {role} has no picture of the class {shown(lacking)}: its scores leave it out. To change "
                f"that, {otherwise}{'or ' if otherwise else ''}add pictures of more patients to it."
                f"{_needed(resolved, shared, role, lacking)}"
            )


def _learns_classes(resolved: Resolved, shared: SharedCopies) -> bool:
    return not shared.split.leaking and any("train" in step.roles for step in resolved.steps.values())


def _lost(resolved: Resolved, shared: SharedCopies) -> list[str]:
    """Classes of whole images that validation or test have and training lacks."""
    if not _learns_classes(resolved, shared):
        return []
    return _lacking(resolved, _classes_of({*ROLES}, shared), _classes_of({"train"}, shared))


def _needed(resolved: Resolved, shared: SharedCopies, role: Role, lacking: Sequence[str]) -> str:
    """How many patients of a class it takes for one of them to be in a role, where too few are drawn by its share."""
    cases = labelled(shared.cases)
    share = drawn_by_ratio(resolved.definition.split, shared.split, cases)[0].get(role)
    found = {name: len({case.group for case in cases if name in (case.labels or ())}) for name in lacking}
    if not share or min(found.values()) >= ceil(1 / share):
        return ""
    there = " and ".join(f"{name!r} has {count}" for name, count in found.items())
    return (
        f" With split.{role}={share:g} it takes about {ceil(1 / share)} patients of a class for one; {there}."
    )


def _otherwise(resolved: Resolved, shared: SharedCopies, role: Role, lacking: Sequence[str]) -> str:
    """What brings a class to a role that lacks it, besides pictures of it; empty where nothing does."""
    rule = resolved.definition.split
    if rule.file is not None:
        return f"{_named(role)}, "
    before = _lacks(resolved, shared)

    def works(other: SplitRule) -> bool:
        again = _again(resolved, shared, other)
        return _lacks(resolved, again) <= before and {*lacking} <= _classes_of({role}, again)

    if rule.stratify != CLASS:
        way = Way("share out like parts of each class", ({"stratify": CLASS},))
    elif role == "train":
        way = Way("share out without regard to classes", ({"stratify": None},))
    else:  # there are too few patients for a share to be one of them
        way = Way(f"give the role {role} a larger part", tuple({role: share} for share in _LARGER))
    return "".join(f"{each.replace(': ', ' (')}), " for each in offered(rule, [way], works))


def _classes_of(roles: set[str], shared: SharedCopies) -> set[str]:
    role_of: Mapping[str, Role] = shared.split.roles
    return {
        name for case in labelled(shared.cases) if role_of[case.id] in roles for name in case.labels or ()
    }


def _lacking(resolved: Resolved, expected: set[str], there: set[str]) -> list[str]:
    return [name for name in resolved.manifest.classes if name in expected - there]
