"""What a run itself can say to the items of a checklist: facts of its files, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medseg.api.reporting.facts import COUNT, how_split, input_of, size_of, without_paths
from medseg.api.reporting.kept import Kept
from medseg.api.reporting.scores import Summary, head, summary_of
from medseg.learning.scores.intervals import RESAMPLES
from medseg.pipeline.declaration.definition import PipelineDefinition

Answers = Mapping[int, tuple[str, bool]]
"""By the number of the item: what is known, and whether that is all that it asks for."""


def answers(kept: Kept) -> Answers:
    """What is known of each item; an item that nothing is known of is missing.

    The numbers are those of `medseg.api.reporting.checklist.HEADINGS`.
    """
    found = {**_of_data(kept), **_of_results(kept)}
    if kept.definition is not None:
        found |= _of_method(kept, kept.definition)
    return {number: answer for number, answer in found.items() if answer[0]}


def _of_data(kept: Kept) -> dict[int, tuple[str, bool]]:
    manifest = kept.manifest
    if manifest is None:
        return {}
    if kept.generated:
        source = f"A generated sample in the layout of {manifest.name}: no patient is in it."
    else:
        source = f"{manifest.name}: {manifest.source} To be cited: {manifest.citation}"
    hidden = manifest.ids == "identifying"
    names = (
        "Ids of cases and patients are replaced by keyed pseudonyms of the machine that ran it."
        if hidden
        else "The manifest says that the ids of the data set are pseudonyms already."
    )
    left_out = kept.runs[0].tags.get("data.left_out", "")
    return {
        7: (source, kept.generated),
        8: (
            f"Cases that were left out, since their files had faults: {left_out}."
            if COUNT.fullmatch(left_out)
            else "",
            False,
        ),
        11: (f"{names} What pixels show is not looked at.", False),
    }


def _of_method(kept: Kept, definition: PipelineDefinition) -> dict[int, tuple[str, bool]]:
    rule, run = definition.slices, kept.runs[0]
    cut = {"pad": "padded and cropped", "resize": "resized", "tile": "cut into tiles"}[rule.fit]
    apart = "Slices: partitions are not disjoint." if kept.leaking else "The patient, or the group."
    network = _spec(definition.network)
    weights = [step for step in definition.steps.values() if "weights" in step]
    initial = (
        "Given weights were loaded."
        if weights
        else "The network's own initialisation; no weights were loaded by a step."
    )
    return {
        1: (f"Deep learning: {definition.network['_target_']}. {definition.about}".strip(), False),
        9: (
            f"{input_of(kept).capitalize()}, {cut} to {size_of(definition)}. {_listed(rule.chain)}".strip(),
            True,
        ),
        10: (_slices(kept, definition), True),
        19: (how_split(kept), True),
        20: (apart, True),
        22: (
            f"Input: {', '.join(definition.channels)}. Output: {_outputs(kept)}. Network: {network}.",
            True,
        ),
        23: (versions(run), True),
        24: (f"{initial} Seed {definition.seed}.", True),
        25: (_training(definition), True),
        26: (_selected(run, definition), True),
        27: ("A cross-validation: one model for each fold." if kept.parts else "None: one model.", True),
        42: ("The whole definition is in this report.", False),
        43: (f"medseg {run.tags.get('version.medseg', '')}, Apache-2.0.".replace(" ,", ","), False),
    }


def _of_results(kept: Kept) -> dict[int, tuple[str, bool]]:
    summary, run = summary_of(kept), kept.runs[0]
    looked = (kept.folder / f"{kept.figures}attention.png").is_file()
    tested = any(role == "test" for role, _ in run.inputs)
    counts = [
        f"{role}: {numbers.get('groups', 0):,} {kept.grouped_by}, {numbers.get('cases', 0):,} cases"
        for role, numbers in run.inputs
    ]
    found = {
        31: ("Grad-CAM pictures of some test images." if looked else "", True),
        35: (
            f"{'First fold, ' if kept.folds and counts else ''}{'; '.join(counts)}.".lstrip(".")
            if counts
            else "",
            False,
        ),
    }
    if tested:
        found[32] = ("A part of the same data set was held back for testing.", True)
    return found if summary is None else {**found, **_of_scores(kept, summary)}


def _of_scores(kept: Kept, summary: Summary) -> dict[int, tuple[str, bool]]:
    names = ", ".join(head(score) for score in summary.scores if score not in ("support", "predicted"))
    over = "patients" if summary.of_images else kept.grouped_by
    return {
        28: (f"{names}.", True),
        29: (
            f"95 % intervals, percentile bootstrap over {over}, {RESAMPLES:,} resamples; the model taken as given.",
            True,
        ),
        37: ("See “Scores”.", True),
        39: ("The worst cases are shown in this report.", False),
    }


def versions(run: Kept) -> str:
    """Names and versions of what decides results."""
    found = {
        key.removeprefix("version."): value for key, value in run.tags.items() if key.startswith("version.")
    }
    return ", ".join(f"{name} {value}" for name, value in found.items())


def _outputs(kept: Kept) -> str:
    task = {} if kept.definition is None else kept.definition.task
    named = task.get("classes") or (kept.manifest.classes if kept.manifest is not None else ())
    return ", ".join(map(str, named)) if named else "the classes of the data"


def _training(definition: PipelineDefinition) -> str:
    trained = [
        f"{name}: {_settings(step)}"
        for name, step in definition.steps.items()
        if "optimiser" in step or "epochs" in step
    ]
    augment = _listed(definition.loading.augment) or "No augmentation."
    loss = definition.task.get("loss")
    said = f" Loss: {_spec(loss)}." if isinstance(loss, Mapping) else ""
    return f"{'; '.join(trained)}. Batches of {definition.loading.batch_size}.{said} Augmentation: {augment}".lstrip(
        ". "
    )


def _slices(kept: Kept, definition: PipelineDefinition) -> str:
    """Which slices of a volume are learned from; of pictures there is nothing to select."""
    if kept.manifest is None or kept.manifest.pictures is not None:
        return ""
    keep = definition.slices.keep
    which = {"all": "every slice", "image": "slices that show something"}.get(
        keep.contains, f"slices with {keep.contains}"
    )
    return f"For training: {which}{f', {keep.draw} drawn of each case' if keep.draw else ''}."


def _selected(run: Kept, definition: PipelineDefinition) -> str:
    found = [
        f"{step}: epoch {run.tags[f'{step}.best_epoch']}, the best by {run.tags.get(f'{step}.best_by', 'its score')}"
        for step in definition.steps
        if f"{step}.best_epoch" in run.tags
    ]
    return f"On the validation cases. {'; '.join(found)}." if found else ""


def _settings(step: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {_spec(value) if isinstance(value, Mapping) else value}"
        for key, value in without_paths(step).items()
        if key not in ("_target_", "weights") and value is not None
    )


def _spec(spec: Mapping[str, Any]) -> str:
    """A class with its arguments, as text."""
    given = ", ".join(
        f"{key}={_plain(value)}" for key, value in without_paths(spec).items() if key != "_target_"
    )
    return f"{spec.get('_target_', 'settings')}({given})"


def _plain(value: Any) -> str:
    return _spec(value) if isinstance(value, Mapping) and "_target_" in value else str(value)


def _listed(specs: Sequence[Mapping[str, Any]]) -> str:
    names = [str(spec.get("_target_", "")).rpartition(".")[2] for spec in specs]
    return f"{', '.join(names)}." if names else ""
