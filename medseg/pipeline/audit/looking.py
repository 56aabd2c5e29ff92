"""Looking for leaks: roles that share a patient or an image, and steps that were fitted on what is tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from medseg.datasets.case import Case
from medseg.datasets.checks.case_facts import CaseFacts
from medseg.datasets.checks.duplicates import Duplicates, copies_with_masks
from medseg.datasets.manifest.group_rule import GroupRule
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.roles import ROLES, UNLABELLED
from medseg.pipeline.audit.certificate import Certificate, Fitted, some
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.splits.split import Split
from medseg.steps.step import fits_of
from medseg.text import many

_BY_SLICE = "the split is by slice: slices of one patient may be in training and in test"


@dataclass(frozen=True)
class Images:
    """The images of a run, as the check has found them.

    Attributes:
        cases: Those that have a role.
        facts: Of all of them; of others too, if that is simpler.
        duplicates: Copies among those whose truth are classes.
    """

    cases: Sequence[Case]
    facts: Sequence[CaseFacts]
    duplicates: Duplicates


@dataclass(frozen=True)
class Loaded:
    """A slice that was loaded.

    Attributes:
        case: Public name of its case.
        group: Public name of its patient.
        position: Its place in the volume.
        role: What it was loaded for.
    """

    case: str
    group: str
    position: int
    role: str


def certify(
    run: str,
    definition: PipelineDefinition,
    manifest: Manifest,
    *,
    data: str,
    digest: str,
    split: Split,
    slices: Sequence[Loaded],
    steps: Mapping[str, Any],
    images: Images | None,
    task: Any = None,
    undone: Mapping[str, Any] | None = None,
    ended: str = "FINISHED",
    unseen: Sequence[str] = (),
) -> Certificate:
    """Look at a run.

    Args:
        run: Its public name.
        definition: What was run.
        manifest: What the data mean.
        data: Fingerprint of the data.
        digest: Of the split.
        split: Who is in which role.
        slices: Every slice that was loaded.
        steps: The steps that were done, by name; None for one that could not be built.
        images: The images; None where they are not at hand.
        task: That the steps were run with; None where it could not be built.
        undone: The steps that were not done, likewise: nothing is said of what they fit.
        ended: How the run ended: FINISHED, FAILED, KILLED or GONE; RUNNING where it goes on.
        unseen: What else could not be looked at, as sentences.
    """
    fitted = [each for name, step in steps.items() for each in _fitted(name, step, task)]
    copies = [] if images is None else list(_copies(images, split))
    leaks = {"split": f"{_BY_SLICE}."} if split.leaking else {}
    leaks |= dict(_shared(slices, split))
    if copies:
        pairs = [f"{each['first']} and {each['second']}" for each in copies]
        leaks["images"] = (
            f"{many(len(pairs), 'pair')} of images that are one, or nearly, in roles that must be apart: "
            f"{some(pairs)}."
        )
    leaks |= dict(_on_test(fitted))
    return Certificate(
        run,
        definition.name,
        data,
        digest,
        split.by,
        group_key(manifest),
        _groups(slices),
        _counts(slices),
        {} if images is None else _compared(images),
        copies,
        fitted,
        [str(each["_target_"]).rpartition(".")[2] for each in definition.slices.transforms],
        leaks,
        [*_unseen(definition, manifest, steps, fitted, images), *unseen],
        ended=ended,
        undone=list(undone or {}),
        unscored=sorted(_scored(undone or {}) - _scored(steps)),
    )


def group_key(manifest: Manifest) -> Any:
    """What tells the patient, as plain data; None where each case is its own patient."""
    rule: Any = manifest.group
    if isinstance(rule, GroupRule):
        return rule.model_dump(exclude_none=True)
    if rule is None and manifest.layout.patient_column:
        return {"column": manifest.layout.patient_column}
    return None if rule is None else {"pattern": str(rule)}


def must_be_apart(one: str, other: str) -> bool:
    """Whether roles may not share a patient: training and images without a label are both learned from."""
    return one != other and {one, other} != {"train", UNLABELLED}


def near_unseen(compared: Mapping[str, int]) -> Iterator[str]:
    """That near copies of some images cannot be looked for.

    Args:
        compared: How many were compared, as `Certificate.images`.
    """
    if rest := compared.get("cases", 0) - compared.get("near", 0):
        yield (
            f"Near copies among {many(rest, 'case')}: volumes, and images that are very large, blank or nearly so, "
            "are compared value by value alone."
        )


def _by_role(slices: Sequence[Loaded]) -> dict[str, list[Loaded]]:
    found: dict[str, list[Loaded]] = {role: [] for role in ROLES}
    for each in slices:
        found.setdefault(each.role, []).append(each)
    return found


def _groups(slices: Sequence[Loaded]) -> dict[str, list[str]]:
    return {role: sorted({each.group for each in mine}) for role, mine in _by_role(slices).items()}


def _counts(slices: Sequence[Loaded]) -> dict[str, dict[str, int]]:
    return {
        role: {
            "patients": len({each.group for each in mine}),
            "cases": len({each.case for each in mine}),
            "slices": len({(each.case, each.position) for each in mine}),
        }
        for role, mine in _by_role(slices).items()
    }


def _shared(slices: Sequence[Loaded], split: Split) -> Iterator[tuple[str, str]]:
    """Patients, cases and slices that were loaded for two roles; by slice, the first two are shared on purpose."""
    keys = {"slices": lambda each: f"{each.case} no. {each.position}"}
    if not split.leaking:
        keys |= {"patients": lambda each: each.group, "cases": lambda each: each.case}
    by_role = _by_role(slices)
    for noun, key in keys.items():
        there = {role: {key(each) for each in mine} for role, mine in by_role.items()}
        pairs = [pair for pair in combinations(there, 2) if must_be_apart(*pair)]
        told = [
            f"{len(both)} in {one} and {other} ({some(sorted(both))})"
            for one, other in pairs
            if (both := there[one] & there[other])
        ]
        if told:
            yield noun, f"{noun} were loaded for two roles: {'; '.join(told)}."
    if not split.leaking:
        strays = sorted({each.case for each in slices if split.roles.get(each.case) != each.role})
        if strays:
            yield (
                "roles",
                f"{many(len(strays), 'case', 'were')} loaded for another role than the split's: {some(strays)}.",
            )


def _copies(images: Images, split: Split) -> Iterator[dict[str, Any]]:
    named = {case.id for case in images.cases}
    for pair in (*images.duplicates.pairs, *copies_with_masks(images.cases, images.facts)):
        if {pair.first, pair.second} <= named:
            first, second = split.role(pair.first), split.role(pair.second)
            if must_be_apart(first, second):
                yield {
                    "first": pair.first,
                    "first_role": first,
                    "second": pair.second,
                    "second_role": second,
                    "kind": pair.kind,
                    "distance": pair.distance,
                }


def _compared(images: Images) -> dict[str, int]:
    named = {case.id for case in images.cases}
    mine = [each for each in images.facts if each.case in named and each.channels]
    return {"cases": len(mine), "near": sum(each.likeness is not None for each in mine)}


def _scored(steps: Mapping[str, Any]) -> set[str]:
    """Roles that steps score."""
    return {str(step.role) for step in steps.values() if hasattr(step, "evaluation")}


def _fitted(name: str, step: Any, task: Any) -> Iterator[Fitted]:
    for what, roles in (fits_of(step, task) or {}).items():
        yield Fitted(name, what, None if roles is None else tuple(roles))


def _on_test(fitted: Sequence[Fitted]) -> Iterator[tuple[str, str]]:
    wrong = [
        f"steps.{each.step} has fitted its {each.what}" for each in fitted if "test" in (each.roles or ())
    ]
    if wrong:
        yield "fitted", f"{', and '.join(wrong)} on the test part."


def _unseen(
    definition: PipelineDefinition,
    manifest: Manifest,
    steps: Mapping[str, Any],
    fitted: Sequence[Fitted],
    images: Images | None,
) -> Iterator[str]:
    key = group_key(manifest)
    yield (
        "Whether two names of patients are one person: nothing in the manifest tells the patient, so that each case "
        "counts as one."
        if key is None
        else "Whether the manifest tells patients rightly: two names may be one person."
    )
    if images is not None:
        yield from near_unseen(_compared(images))
    yield from (
        f"What steps.{name} was fitted on: it does not say (`fits`), or could not be built."
        for name, step in steps.items()
        if getattr(step, "fits", None) is None
    )
    yield from (
        f"What the {each.what} of steps.{each.step} were learned from: if the test patients are among it, this is "
        "a leak that nobody sees here."
        for each in fitted
        if each.roles is None
    )
    yield "Whether steps keep to the roles that they name: it is what they say of themselves."
    strange = sorted(
        {
            target
            for each in definition.slices.transforms
            if not (target := str(each["_target_"])).startswith(("medseg.", "monai."))
        }
    )
    if strange:
        yield (
            f"What {', '.join(strange)} know: only of medseg's and MONAI's transforms it is known that they look at "
            "one image alone."
        )
    yield "Where constants of the definition come from, such as windows: a person may have seen test images."
