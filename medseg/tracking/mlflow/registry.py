"""Registering the model of a run under the name of its pipeline, with an alias for the best so far."""

# ruff: noqa: PLC0415 - mlflow takes 2 s to import, and must find its telemetry switched off
from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from medseg.errors import RunError, TrackingError
from medseg.recorder import SCORE_OF
from medseg.tracking.mlflow.address import is_of_store, masked
from medseg.tracking.mlflow.model import card_of, models_of
from medseg.tracking.mlflow.store import open_store

SCORE = "val/score"
"""The number by which the alias goes to a version: that of the weights that a run kept."""


def refuse_unregistrable(uri: str, name: str) -> None:
    """Make the registered model, so that a store which cannot register is known before training.

    Raises:
        TrackingError: The store does not answer, or cannot register models for this user.
    """
    from mlflow.exceptions import MlflowException

    with open_store(uri) as client:
        try:
            _made(client, name)
        except MlflowException as error:
            if error.error_code in ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"):
                raise  # of the login, not of the registry
            said = masked(str(error).strip().splitlines()[0])[:300].rstrip(".")
            raise TrackingError(
                f"The tracking store {masked(uri)} cannot register a model: {said}. Run without --register, ask for "
                "the right to register models there, or track elsewhere (--tracking-uri)."
            ) from None


def register(client: Any, run_id: str, predictor: Path, name: str, alias: str) -> str:
    """Make a version of the registered model from the model of a run; a second call finds it made.

    The alias goes to it if no version has it, or if its validation score is higher than that of the version that has
    it, and a score of the same: the Dice of one class does not compare with that of another. A run without a
    validation score gets no alias, nor does one with a leak.

    Args:
        client: An `MlflowClient`.
        run_id: The run, whose model is logged.
        predictor: Folder of the saved `Predictor`, whose card becomes the description.
        name: Of the registered model.
        alias: Such as `champion`.

    Returns:
        What was done, as a sentence.

    Raises:
        RunError: The run has no model on the store.
    """
    run = client.get_run(run_id)
    models = models_of(client, run_id, run.info.experiment_id)
    if not models or not is_of_store(models[0].artifact_location, client.tracking_uri):
        raise RunError(f"the store has no model of the run {run_id} that could be registered.")
    model, score = models[0], run.data.metrics.get(SCORE, math.nan)
    _made(client, name)
    versions = client.search_model_versions(f"name = '{name}'")
    there = [each for each in versions if each.source == model.artifact_location]
    version = (
        there[0]
        if there
        else client.create_model_version(
            name,
            model.artifact_location,  # MLflow looks `models:/<id>` up in the default store
            run_id=run_id,
            tags={SCORE: repr(score)}
            | {each: run.data.tags[each] for each in _SHOWN if each in run.data.tags},
            description=card_of(predictor),
            model_id=model.model_id,
        )
    )
    leaks = run.data.tags.get("leaks", _CLEAN)
    told = (
        _aliased(client, name, version, alias, score)
        if leaks == _CLEAN
        else f"it leaks ({leaks}), and is not the {alias}"
    )
    return f"Registered as {name}, version {version.version}; {told}."


_CLEAN = "none found"  # what the tag `leaks` says of most runs
_SHOWN = ("data.fingerprint", "split.hash", "data.kind", "leaks", SCORE_OF)


def _made(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        try:
            client.create_registered_model(name)
        except MlflowException as made:  # by another run in between
            if made.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _aliased(client: Any, name: str, version: Any, alias: str, score: float) -> str:
    """Give it the alias where it is the best so far, and say so in a clause."""
    held = client.get_registered_model(name).aliases.get(alias)
    if held is not None and str(held) == str(version.version):
        return f"it is the {alias}"
    if not math.isfinite(score):
        return f"it has no {SCORE}, and is not the {alias}"
    if held is None:
        client.set_registered_model_alias(name, alias, version.version)
        return f"it is the {alias}, as the first ({SCORE} {score:.4f})"
    holder = client.get_model_version(name, str(held)).tags
    theirs, ours = (tags.get(SCORE_OF) for tags in (holder, version.tags))
    if theirs != ours:
        return (
            f"version {held} stays the {alias}: its {SCORE} is {_of(theirs)}, here {_of(ours)}, and the two do not "
            f"compare; move the alias yourself (on the page of {name} in MLflow) if this version is to have it"
        )
    best = float(holder.get(SCORE, "nan"))
    others = [each for each in _SHOWN[:2] if holder.get(each) != version.tags.get(each)]
    note = (
        f"; of other data or another split ({', '.join(others)}), so that this says little" if others else ""
    )
    if math.isfinite(best) and score <= best:
        return f"version {held} stays the {alias}: {SCORE} {best:.4f}, here {score:.4f}{note}"
    client.set_registered_model_alias(name, alias, version.version)
    return f"it is the {alias} now: {SCORE} {score:.4f}, of version {held} {best:.4f}{note}"


def _of(score: str | None) -> str:
    return "not said to be of anything" if score is None else f"the {score}"
