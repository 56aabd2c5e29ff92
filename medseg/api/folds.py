"""Cross-validation: a run for each fold, and the scores of all test parts together in one run above them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from typing import Any

from medseg.api.conductor import quiet_libraries
from medseg.api.finding import mark_gone
from medseg.api.folds_result import FoldsResult, put_together
from medseg.api.opening import load_pipeline
from medseg.api.result import RunResult
from medseg.api.running import begin, ended, own_address, resume_pipeline, run_options
from medseg.errors import DefinitionError, RunError
from medseg.pipeline.cross_validation import FOLDS, PART_OF, CrossValidation, all_cross_validations
from medseg.pipeline.definition import PipelineDefinition
from medseg.pipeline.folder import all_runs
from medseg.progress import Progress, Silent


def run_folds(
    name: str | Path,
    data: str | Path | None = None,
    *,
    folds: int = 5,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    device: str = "auto",
    skip_bad: bool = False,
    allow_duplicates: bool = False,
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    jobs: int | None = None,
    progress: Progress | None = None,
) -> FoldsResult:
    """Run a pipeline of whole images once for each fold, and score all test parts together.

    Every image is tested once, by a model that saw neither it nor another of its patient. Intervals are over
    patients; they hold the models of the folds for given, and say nothing of how much these differ. What is
    interrupted goes on with `resume_folds`.

    Args:
        name: A pipeline whose last step is `EvaluateClasses` of the role test.
        data: As of `run_pipeline`, like all that follows; None runs on the generated sample.
        folds: How many, 2 or more.
        set: `path=value` strings that change the definition.
        device: auto, cpu or cuda.
        skip_bad: Go on without cases that have faults.
        allow_duplicates: Go on though pictures that are one, or nearly, are in different roles.
        tracking_uri: Of MLflow.
        allow: Packages that declared objects may come from, beside the usual ones.
        jobs: Cases that are read at a time.
        progress: Where it is shown.

    Raises:
        DefinitionError: The pipeline does not score classes of whole images.
        MedsegError: What is wrong with a run.
    """
    from medseg.tracking.mlflow.address import default_uri, masked  # noqa: PLC0415

    definition = _scored_last(name, set)
    uri = default_uri(tracking_uri)
    options = run_options(device, allow, jobs, skip_bad=skip_bad, allow_duplicates=allow_duplicates)
    asked = CrossValidation(
        name=f"{definition.name}-folds-{datetime.now().astimezone():%Y%m%d-%H%M%S}-{token_hex(2)}",
        pipeline=str(name),
        data=None if data is None else str(Path(data).resolve()),
        folds=folds,
        set=tuple(set),
        options=options,
        definition=_plain(definition),
        tracking_uri=masked(uri),
    ).write()
    try:
        return _go_on(asked, uri, progress or Silent(), {})
    except BaseException:
        if asked.run_of(1) is None:  # refused before anything was learned: there is nothing to go on with
            rmtree(asked.folder, ignore_errors=True)
        raise


def resume_folds(
    name: str | None = None,
    *,
    data: str | Path | None = None,
    device: str | None = None,
    tracking_uri: str | None = None,
    jobs: int | None = None,
    take_over: bool = False,
    progress: Progress | None = None,
) -> FoldsResult:
    """Go on with a cross-validation that was interrupted: folds that have ended are not run again.

    Args:
        name: Of the cross-validation, or its folder; by default the latest of this folder that has not ended.
        data: Where the data lie now, if they were moved.
        device: Where to go on; by default as before.
        tracking_uri: Where it is tracked now; by default where it began.
        jobs: Cases that are read at a time.
        take_over: As of `resume_pipeline`, for the fold that was interrupted.
        progress: Where it is shown.

    Raises:
        RunError: There is nothing to go on with, or the definition or the data have changed.
        MedsegError: What is wrong with a run.
    """
    mark_gone()
    asked = interrupted_folds() if name is None else find_folds(name)
    if asked is None:
        raise RunError(
            f"no cross-validation {'that was interrupted' if name is None else repr(name)} in {FOLDS}/ of this folder"
        )
    if asked.run_id:
        raise RunError(f"the cross-validation {asked.name} has ended; there is nothing to go on with.")
    if _plain(_scored_last(asked.pipeline, asked.set)) != asked.definition:
        raise RunError(
            f"the definition of {asked.pipeline} has changed since {asked.name} began, so that its folds would not "
            "be alike. Put it back, or start the folds again."
        )
    changed = {key: value for key, value in (("device", device), ("jobs", jobs)) if value is not None}
    moved = asked.data if data is None else str(Path(data).resolve())
    asked = replace(asked, data=moved, options={**asked.options, **changed})
    uri = tracking_uri or own_address(asked.name, asked.tracking_uri)
    again = {"data": data, "device": device, "jobs": jobs, "take_over": take_over}
    return _go_on(asked, uri, progress or Silent(), again)


def are_folds(name: str | None) -> bool:
    """Whether `resume_folds` is the one to go on, and not `resume_pipeline`.

    Args:
        name: As the user gives it; None for what was interrupted last.
    """
    mark_gone()
    return (interrupted_folds() if name is None else find_folds(name)) is not None


def find_folds(name: str) -> CrossValidation | None:
    """A cross-validation of this working folder by its name or folder; None if there is none."""
    return next((each for each in all_cross_validations() if name == each.name or _same(name, each)), None)


def _same(name: str, found: CrossValidation) -> bool:
    return Path(name).is_dir() and Path(name).resolve() == found.folder.resolve()


def interrupted_folds() -> CrossValidation | None:
    """The latest cross-validation that has not ended, unless another run was interrupted after it."""
    found = next((each for each in all_cross_validations() if not each.run_id), None)
    if found is None:
        return None
    for _, state in all_runs():
        if (state.options.get(PART_OF) or {}).get("name") == found.name:
            break
        if state.status in ("KILLED", "FAILED"):
            return None
    return found


def _scored_last(name: str | Path, changes: Sequence[str]) -> PipelineDefinition:
    """The definition, if it ends with what folds can put together."""
    definition = load_pipeline(name, set=changes)
    last = list(definition.steps.values())[-1]
    if last["_target_"] != "medseg.steps.EvaluateClasses" or last.get("role", "test") != "test":
        raise DefinitionError(
            f"folds are of pipelines that end with medseg.steps.EvaluateClasses of the role test, and "
            f"{definition.name} ends with {last['_target_']}."
        )
    return definition


def _plain(definition: PipelineDefinition) -> Mapping[str, Any]:
    """The definition as it comes back from a file."""
    found: Mapping[str, Any] = json.loads(json.dumps(definition.to_dict()))
    return found


def _go_on(asked: CrossValidation, uri: str | None, shown: Progress, again: Mapping[str, Any]) -> FoldsResult:
    """Run the folds that have not ended, then score all together.

    Args:
        asked: What was asked for.
        uri: Of MLflow, with credentials.
        shown: Where progress is shown.
        again: What `resume_pipeline` takes, for a fold that was interrupted.
    """
    results = []
    for fold in range(1, asked.folds + 1):
        shown.say(f"Fold {fold} of {asked.folds}.")
        results.append(_fold(asked, fold, uri, shown, again))
        _refuse_other_data(asked)
    with quiet_libraries():
        return put_together(asked, results, shown, uri)


def _fold(
    asked: CrossValidation, fold: int, uri: str | None, shown: Progress, again: Mapping[str, Any]
) -> RunResult:
    begun = asked.run_of(fold)
    if begun is not None:
        folder, state = begun
        if state.status == "FINISHED":
            shown.say(f"It has ended: {state.name}.")
            return ended(folder)
        return resume_pipeline(str(folder.path), tracking_uri=uri, progress=shown, **again)
    roles = ("split.test=null", "split.column=null", "split.file=null")
    changes = [*asked.set, *roles, f"split.folds={asked.folds}", f"split.fold={fold}"]
    return begin(
        asked.pipeline,
        None if asked.data is None else Path(asked.data),
        changes,
        {**asked.options, **asked.option_of(fold)},
        uri,
        shown,
    )


def _refuse_other_data(asked: CrossValidation) -> None:
    """Refuse to put together what was learned from different data."""
    begun = [asked.run_of(fold) for fold in range(1, asked.folds + 1)]
    if len({pair[1].data_fingerprint for pair in begun if pair is not None}) > 1:
        raise RunError(
            f"the data have changed since {asked.name} began, so that its folds cannot be put together. Start the "
            "folds again."
        )
