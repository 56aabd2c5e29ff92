"""Whether a run would begin: the checks list all that it would refuse, before anybody waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from medseg.component import Allowed
from medseg.datasets.case import labelled
from medseg.datasets.checks.check import Report
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError, DefinitionError, MedsegError, ModelError, StoreError
from medseg.pipeline.checks.shortfalls import absent_note, cropped_note, cut_away_note, enlarged_note
from medseg.pipeline.declaration.completion import complete
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.duplicates import SharedCopies
from medseg.pipeline.resolve import Resolved, resolve
from medseg.pipeline.sharing import refusals, share_out
from medseg.slices.rule import SliceRule
from medseg.slices.selection import for_training
from medseg.slices.store.estimate import stored_fitting
from medseg.slices.store.fill import make_slices
from medseg.slices.store.fingerprint import make_recipe
from medseg.slices.store.jobs import Job
from medseg.splits.listing import refuse_absent
from medseg.text import many


@dataclass(frozen=True)
class Readiness:
    """What a run would say before it trains.

    Attributes:
        refused: What it would refuse, first that which it would say first; faults of the data are not among it.
        notes: What it would only remark, as sentences.
        shared: The cases without faults and their roles; None if they cannot be shared out.
    """

    refused: tuple[MedsegError, ...]
    notes: tuple[str, ...]
    shared: SharedCopies | None


def readiness(
    definition: PipelineDefinition,
    manifest: Manifest,
    root: Path,
    report: Report,
    allowed: Allowed,
    *,
    allow_duplicates: bool = False,
) -> Readiness:
    """Look whether a run would begin with the cases that have no faults.

    The largest case is prepared, without anything being kept: what transforms refuse of others only shows when all
    are prepared.

    Args:
        definition: As declared, after overrides.
        manifest: Of its data.
        root: Folder of the data.
        report: What they hold.
        allowed: Where declared objects may come from.
        allow_duplicates: Whether pictures that are (nearly) one may be in different roles.
    """
    refused: list[MedsegError] = []
    notes: list[str] = []
    resolved = shared = None
    try:
        whole = complete(definition, manifest, root, allowed)
        resolved = resolve(whole.definition, whole.manifest, allowed)
    except (DefinitionError, ModelError, DataError) as error:
        refused.append(error)
    if labelled(report.good):
        try:
            shared = share_out(definition, report.good, report, resolved)
        except DataError as error:
            refused.append(error)
    if shared is not None and resolved is not None:
        refused += refusals(resolved, shared, allow_duplicates=allow_duplicates, say=notes.append)
        refused += _nothing_kept(resolved, shared, report)
        refused += _beyond(resolved, shared, report)
        predictor, used = resolved.predictor, {case.id for case in shared.used}
        notes += filter(None, [absent_note(_absent(resolved, shared, report), predictor.task)])
        notes += filter(None, [shared.split.unnamed_note(), shared.split.unlabelled_note()])
        notes += filter(None, [enlarged_note(predictor.preparation, used, report.facts)])
        refused += _tried(resolved, shared, report, notes)
    elif shared is not None and not allow_duplicates:
        refused += shared.refusals()
    return Readiness(tuple(refused), tuple(notes), shared)


def _nothing_kept(resolved: Resolved, shared: SharedCopies, report: Report) -> Iterator[DataError]:
    """That no case for training has what `slices.keep` wants of a slice."""
    keep, task, labels = (
        resolved.definition.slices.keep,
        resolved.predictor.task,
        resolved.manifest.label_rule(),
    )
    if task.target.truth != "masks":
        return
    expected = for_training(
        keep.contains, keep.draw, classes=labels.classes, foreground=labels.foreground, regions=task.regions
    ).classes
    training = set(shared.split.cases("train"))
    if not training:  # nothing is learned
        return
    stored = {value for facts in report.facts if facts.case in training for value in facts.labels or ()}
    if expected is None or not training or any(_may_be(labels, stored, labels.classes[i]) for i in expected):
        return
    yield DataError(
        f"slices.keep wants slices that show '{keep.contains}', and none of the {many(len(training), 'case')} for "
        "training has any. Keep others: --set slices.keep=all; or share out otherwise (split.seed, split.stratify)."
    )


def _absent(resolved: Resolved, shared: SharedCopies, report: Report) -> list[str]:
    """Classes that no label map for training has, as far as the stored values tell."""
    training = set(shared.split.cases("train"))
    facts = [each for each in report.facts if each.case in training and each.labels is not None]
    stored = {value for each in facts for value, count in (each.labels or {}).items() if count}
    if resolved.predictor.task.target.truth != "masks" or not facts:
        return []
    labels = resolved.manifest.label_rule()
    return [name for name in labels.classes if not _may_be(labels, stored, name)]


def _may_be(labels: LabelRule, stored: set[int], name: str) -> bool:
    """Whether stored values may stand for a class."""
    derived = labels.derive
    if derived is not None and name in (derived.outside, derived.inside) and derived.value in stored:
        return True
    numbered = {value for value in stored if value > 0} - {*labels.values, *labels.ignored}
    return any(labels.values.get(value) == name for value in stored) or (
        labels.instances == name and bool(numbered)
    )


def _beyond(resolved: Resolved, shared: SharedCopies, report: Report) -> Iterator[DataError]:
    """That a split file lists slices which no volume has, as far as the headers tell."""
    preparation, listed = resolved.predictor.preparation, shared.split.places
    if preparation.moves:
        return
    depths = {
        facts.case: stored_fitting(facts.shape, np.reshape(facts.affine, (4, 4)), preparation.rule)[1]
        for facts in report.facts
        if facts.case in listed and facts.shape is not None and facts.affine is not None
    }
    try:
        refuse_absent(listed, ((case, at) for case, depth in depths.items() for at in range(depth)))
    except DataError as error:
        yield error


def _tried(
    resolved: Resolved, shared: SharedCopies, report: Report, notes: list[str]
) -> Iterator[MedsegError]:
    """What keeps the largest case from being prepared; notes that its slices are cut to size."""
    used = {case.id for case in shared.used}
    sizes = {facts.case: prod(facts.shape or (0,)) for facts in report.facts if facts.case in used}
    known = labelled(shared.used)
    if not known:  # a split file gives nobody a role: the empty roles are refused
        return
    largest = max(known, key=lambda case: sizes[case.id])
    preparation, labels = resolved.predictor.preparation, resolved.manifest.label_rule()
    recipe = make_recipe(
        preparation.channels,
        preparation.rule,
        labels,
        regions=resolved.predictor.task.regions,
        seed=resolved.definition.seed,
        files=preparation.files,
    )
    try:
        made = make_slices(Job(largest, "train", ""), preparation, recipe)
    except (DataError, StoreError) as error:
        yield error
        return
    cropped = _cropped(preparation.rule, shared, report)
    if made.crops or (cropped and largest.id not in cropped):  # else the transforms make them smaller
        notes.append(
            cropped_note(preparation.rule.size, len(cropped), len(sizes), masks=made.label is not None)
        )
    cut, marked = made.cut_away
    notes += filter(None, [cut_away_note({largest.id: cut / marked} if cut else {}, preparation.rule.size)])


def _cropped(rule: SliceRule, shared: SharedCopies, report: Report) -> set[str]:
    """Cases whose slices are larger than those of the rule, as they are stored."""
    used, found = {case.id for case in shared.used}, set[str]()
    for facts in report.facts:
        if facts.case in used and facts.shape is not None and facts.affine is not None:
            affine = np.reshape(facts.affine, (4, 4))
            if stored_fitting(facts.shape, affine, rule)[0].crops:
                found.add(facts.case)
    return found
