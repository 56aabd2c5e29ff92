"""Several models as one: the mean of their logits."""

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
from medseg.learning.tasks.task import TASK, Task

#: What each model has fitted on its own validation cases: of several, the mean.
_FITTED = ("threshold", "temperature")
_LEFT_OUT = {"temperature": 1.0}  # what it is where a description does not have it

#: Of a manifest: what only tells of a data set, finds its files, or is compared by itself.
_NOT_READ = {
    *("name", "about", "source", "licence", "citation", "obtain", "ids", "shown", "sample", "segments"),
    *("layout", "group", "columns", "table"),
    *("channels", "classes", "label_values", "ignore"),
}


def ensemble(models: Sequence[Predictor]) -> Predictor:
    """Put models together that take the same input and know the same classes.

    The logits are the mean over the models, as nnU-Net's are over folds; so are thresholds and temperatures that
    each has fitted. Mirror images are averaged over, and label maps post-processed, where all of them do so alike;
    `about` has as `ensemble.left_out` what not all of them do.

    Args:
        models: On one device; a single one is given back.

    Raises:
        ModelError: There is none, or two of them do not fit together: says in what.
    """
    if not models:
        raise ModelError("no model was given. Name one or more.")
    first, *others = models
    if not others:
        return first
    for number, other in enumerate(others, start=2):
        _refuse_other(first, other, number)
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
        about={**_about(models), **_left_out(models)},
        flips=tuple(flip for flip in first.flips if all(flip in each.flips for each in others)),
        cleaning=first.cleaning if all(each.cleaning == first.cleaning for each in others) else (),
    )


def _refuse_other(first: Predictor, other: Predictor, number: int) -> None:
    mine, others = _identity(first), _identity(other)
    for what, value in mine.items():
        if others[what] != value:
            raise ModelError(
                f"model {number} has other {what} than model 1: {others[what]}, not {value}. Models that predict "
                "together take the same input and know the same classes: take folds or seeds of one pipeline."
            )


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
        values = [value for value in given if is_number(value)]
        if len(values) == len(models) and len(set(values)) > 1:
            spec[name] = float(np.mean(values))
    task: Task = build(spec, at="task", kind=TASK, allowed=models[0].preparation.allowed)
    return task


def _profile(models: Sequence[Predictor]) -> TrainingProfile | None:
    profiles = [each.profile for each in models if each.profile is not None]
    return TrainingProfile.joined(profiles) if len(profiles) == len(models) else None


def _about(models: Sequence[Predictor]) -> Mapping[str, str]:
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
    return {**same, "run": ", ".join(runs), "ensemble": f"{len(models)} models: the mean of their logits"}


def _left_out(models: Sequence[Predictor]) -> Mapping[str, str]:
    """What some of them do with their predictions and not all, as a person reads it; nothing where there is none."""
    found = [
        *(
            ["mirror images, over which not all average"]
            if _apart(set(each.flips) for each in models)
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
