"""Several models as one: the mean of their logits, and over axes of their probabilities in the volume."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from medseg.component import build
from medseg.errors import ModelError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.inference.training_profile import TrainingProfile
from medseg.learning.networks.ensemble import Ensemble
from medseg.learning.settings import is_number
from medseg.learning.tasks.task import TASK, MaskTask, Task

#: What each model has fitted on its own validation cases: of several, the mean.
_FITTED = ("threshold", "thresholds", "temperature")
_OF_SLICES = ("settings of slices", "slices at a time")  # models of several axes may differ in these
_LEFT_OUT = {"temperature": 1.0}  # what it is where a description does not have it

#: Of a manifest: what only tells of a data set, finds its files, or is compared by itself.
_NOT_READ = {
    *("name", "about", "source", "licence", "citation", "obtain", "ids", "shown", "sample", "segments"),
    *("layout", "group", "columns", "table"),
    *("channels", "classes", "label_values", "ignore"),
}


def ensemble(models: Sequence[Predictor]) -> Predictor:
    """Put models together that read the same files and know the same classes.

    The logits are the mean over the models of one axis, as nnU-Net's are over folds; so are thresholds that each has
    fitted. Where models cut volumes along several axes, the probabilities of a volume are the mean over the axes, on
    its own grid: each axis counts once, however many models it has. Mirror images are averaged over where all models
    of an axis do so, and label maps post-processed where all of them do so alike; `about` has as `ensemble.left_out`
    what not all of them do.

    Args:
        models: On one device; a single one is given back.

    Raises:
        ModelError: There is none, or two of them do not fit together: says in what.
    """
    if not models:
        raise ModelError("no model was given. Name one or more.")
    if len(models) == 1:
        return models[0]
    axes: dict[str, dict[int, Predictor]] = {}
    for number, model in enumerate(models, start=1):
        if model.others:
            raise ModelError(
                f"model {number} is several models already, of several axes. Name those that it was made of."
            )
        axes.setdefault(model.preparation.rule.axis, {})[number] = model
    if len(axes) > 1:
        _refuse_other_axes(models, axes)
    of_axes = [_of_one_axis(numbered) for numbered in axes.values()]
    first, *rest = of_axes
    if not rest:
        return first
    return replace(
        first,
        task=_task(of_axes),
        profile=_profile(models),
        about={**_about(models, list(axes)), **_left_out(list(axes.values()))},
        cleaning=first.cleaning if all(each.cleaning == first.cleaning for each in models) else (),
        others=tuple(replace(each, manifest=first.manifest, profile=None, cleaning=()) for each in rest),
    )


def _of_one_axis(numbered: Mapping[int, Predictor]) -> Predictor:
    """Models that see the same slices as one, whose logits are the mean."""
    models = list(numbered.values())
    first, *others = models
    if not others:
        return first
    place = next(iter(numbered))
    for number, other in numbered.items():
        _refuse_other((place, _identity(first)), (number, _identity(other)))
    spec = {
        "_target_": "medseg.learning.networks.Ensemble",
        "networks": [dict(each.network_spec) for each in models],
    }
    return replace(
        first,
        network=Ensemble([each.network for each in models]).eval(),
        network_spec=spec,
        task=_task(models),
        profile=_profile(models),
        about={**_about(models), **_left_out([numbered])},
        flips=tuple(flip for flip in first.flips if all(flip in each.flips for each in others)),
        cleaning=first.cleaning if all(each.cleaning == first.cleaning for each in others) else (),
    )


def _refuse_other_axes(models: Sequence[Predictor], axes: Mapping[str, Mapping[int, Predictor]]) -> None:
    """Refuse models of several axes that differ in more than how they cut slices."""
    if not isinstance(models[0].task, MaskTask):
        raise ModelError(
            f"models of classes of whole images cut slices along {' and '.join(axes)}: only probabilities of places "
            "in a volume are averaged over axes. Name models of one axis."
        )
    place, first = next(iter(next(iter(axes.values())).items()))
    for numbered in axes.values():
        for number, other in numbered.items():
            _refuse_other((place, _shared(first)), (number, _shared(other)))


def _refuse_other(mine: tuple[int, dict[str, Any]], others: tuple[int, dict[str, Any]]) -> None:
    """Refuse a model that differs in what must be the same; each with its number."""
    for what, value in mine[1].items():
        if others[1][what] != value:
            raise ModelError(
                f"model {others[0]} has other {what} than model {mine[0]}: {others[1][what]}, not {value}. Models "
                "that predict together take the same input and know the same classes: take folds, seeds or axes of "
                "one pipeline."
            )


def _shared(model: Predictor) -> dict[str, Any]:
    """What must be the same of models that cut slices along several axes: all but how they do so."""
    same = {key: value for key, value in _identity(model).items() if key not in _OF_SLICES}
    return {**same, "channel that others are brought onto": model.preparation.reference}


def _identity(model: Predictor) -> dict[str, Any]:
    """What must be the same, by what it is called."""
    rule = model.preparation.rule.model_dump(mode="json", exclude={"keep"})  # of training alone
    read = model.manifest.model_dump(mode="json", by_alias=True, exclude=_NOT_READ)
    return {
        "channels": list(model.channels),
        "classes": list(model.task.classes),
        "maps": list(model.task.maps),
        "label values": dict(model.manifest.label_values or {}),
        "files": model.preparation.files.noun,
        "settings of the task": {k: v for k, v in model.task.spec().items() if k not in _FITTED},
        "settings of slices": rule,
        "slices at a time": model.batch_size,
        **{f"{name!r} in the manifest": value for name, value in read.items()},
    }


def _task(models: Sequence[Predictor]) -> Task:
    spec = dict(models[0].task.spec())
    for name in _FITTED:
        given = [each.task.spec().get(name, _LEFT_OUT.get(name)) for each in models]
        by_name = [each for each in given if isinstance(each, Mapping)]
        if len(by_name) == len(models):  # of the same names, as the other settings tell
            spec[name] = {key: _mean([each[key] for each in by_name]) for key in by_name[0]}
        elif all(is_number(value) for value in given) and len(set(given)) > 1:
            spec[name] = _mean([float(value) for value in given if value is not None])
    task: Task = build(spec, at="task", kind=TASK, allowed=models[0].preparation.allowed)
    return task


def _mean(values: Sequence[float]) -> float:
    """To the last bit what they are, where they are all the same."""
    return float(values[0] if len(set(values)) == 1 else np.mean(values))


def _profile(models: Sequence[Predictor]) -> TrainingProfile | None:
    profiles = [each.profile for each in models if each.profile is not None]
    return TrainingProfile.joined(profiles) if len(profiles) == len(models) else None


def _about(models: Sequence[Predictor], axes: Sequence[str] = ()) -> Mapping[str, str]:
    """What is true of all of them, and the runs that they are of."""
    first = models[0].about
    same = {
        key: value for key, value in first.items() if all(each.about.get(key) == value for each in models)
    }
    runs = [each.about.get("run", "unknown") for each in models]
    notes = dict.fromkeys(each.about["data.note"] for each in models if each.about.get("data.note"))
    if notes:  # what is to be known of the data of one is to be known of all together
        same["data.note"] = " ".join(notes)
    kinds = sorted({each.about["data.kind"] for each in models if "data.kind" in each.about})
    if kinds:
        same["data.kind"] = " and ".join(kinds)
    how = "the mean of their logits"
    if axes:
        how = f"the mean of their probabilities along {' and '.join(axes)} slices, each axis once"
    return {**same, "run": ", ".join(runs), "ensemble": f"{len(models)} models: {how}"}


def _left_out(axes: Sequence[Mapping[int, Predictor]]) -> Mapping[str, str]:
    """What some models do with their predictions and not all, as a person reads it; nothing where there is none.

    Args:
        axes: The models of each axis: mirror images are of slices along one.
    """
    models = [each for numbered in axes for each in numbered.values()]
    found = [
        *(
            ["mirror images, over which not all average"]
            if any(_apart(set(each.flips) for each in numbered.values()) for numbered in axes)
            else []
        ),
        *(
            ["post-processing, which not all have chosen alike"]
            if _apart(each.cleaning for each in models)
            else []
        ),
    ]
    return {"ensemble.left_out": "; ".join(found)} if found else {}


def _apart(given: Iterable[object]) -> bool:
    first, *others = given
    return any(each != first for each in others)
