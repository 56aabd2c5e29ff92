"""Cross-validation: a run for each fold, and the scores of all test parts together in one run above them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from typing import Any

from medseg.api.adopting import adopted_runs, vouched_folds
from medseg.api.apart.one_fold import OWN_PARTS, changes_of, learned, look_at
from medseg.api.finding import mark_gone, own_address
from medseg.api.folds_found import find_folds, interrupted_folds
from medseg.api.folds_result import FoldsResult, put_together
from medseg.api.opening import open_pipeline
from medseg.api.strangers import Given, built, refuse_unvouched
from medseg.component import Allowed, resolve
from medseg.errors import DefinitionError, RunError
from medseg.files.inside import refuse_ways_out
from medseg.pipeline.options import RunOptions, refuse_own_tags
from medseg.pipeline.process import this_process
from medseg.pipeline.study.cross_validation import FOLDS, MOST_FOLDS, CrossValidation
from medseg.progress import Progress, Silent, quiet_libraries


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
    on: str = "",
    run_name: str | None = None,
    note: str = "",
    tags: Sequence[str] = (),
    progress: Progress | None = None,
) -> FoldsResult:
    """Run a pipeline once for each fold, and score all test parts together.

    Every case is tested once, by a model that saw neither it nor another of its patient. Intervals are over
    patients; they hold the models of the folds for given, and say nothing of how much these differ. What is
    interrupted goes on with `resume_folds`.

    Args:
        name: A pipeline whose last step is `Evaluate` of the role test.
        data: As of `run_pipeline`, like all that follows; None runs on the generated sample.
        folds: How many, 2 or more.
        set: `path=value` strings that change the definition.
        device: auto, cpu or cuda.
        skip_bad: Go on without cases that have faults.
        allow_duplicates: Go on though pictures that are one, or nearly, are in different roles.
        tracking_uri: Of MLflow.
        allow: Packages that declared objects may come from, beside the usual ones.
        jobs: Cases that are read at a time.
        on: Where the work is done, such as `slurm:20` (docs/scale.md); by default on this machine.
        run_name: What MLflow calls the run; by default its time.
        note: Shown with it in MLflow, as Markdown.
        tags: `key=value` strings that it has in MLflow.
        progress: Where it is shown.

    Raises:
        DefinitionError: The pipeline does not end with scores of the role test.
        MedsegError: What is wrong with a run.
    """
    from medseg.tracking.mlflow.address import default_uri, masked, place_below  # noqa: PLC0415

    options = RunOptions.of(
        device=device,
        skip_bad=skip_bad,
        allow_duplicates=allow_duplicates,
        allow=allow,
        jobs=jobs,
        on=on,
        run_name=run_name,
        note=note,
        tags=tags,
    )
    if not 2 <= folds <= MOST_FOLDS:
        raise DefinitionError(f"folds is {folds}, expected 2 to {MOST_FOLDS}")
    uri = default_uri(tracking_uri)
    _refuse_own_parts(set)
    declared = _declared(name, set, options.allowed)
    refuse_own_tags(options.tags, declared["definition"]["steps"])
    asked = CrossValidation(
        name=f"{declared['definition']['name']}-folds-{datetime.now().astimezone():%Y%m%d-%H%M%S}-{token_hex(2)}",
        pipeline=str(name),
        data=None if data is None else str(Path(data).resolve()),
        folds=folds,
        set=tuple(set),
        options=options.but(own_store=place_below(uri, Path())),
        declared=declared,
        tracking_uri=masked(uri),
        process=this_process(),
    ).begin()
    try:
        return _seen_to_its_end(asked, uri, progress or Silent(), Given(allow=options.allow, on=on))
    finally:
        if asked.run_of(1) is None:  # refused before anything was learned: there is nothing to go on with
            rmtree(asked.folder, ignore_errors=True)


def resume_folds(
    name: str | None = None,
    *,
    data: str | Path | None = None,
    device: str | None = None,
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    jobs: int | None = None,
    on: str = "",
    take_over: bool = False,
    progress: Progress | None = None,
) -> FoldsResult:
    """Go on with a cross-validation that was interrupted: folds that have ended are not run again.

    One of somebody else goes on as `resume_pipeline` says of a run; its folds that have ended are taken as they are.

    Args:
        name: Of the cross-validation, or its folder; by default the latest of this folder that has not ended.
        data: Where the data lie now, if they were moved.
        device: Where to go on; by default as before.
        tracking_uri: Where the runs of its folds are tracked now, if that address has changed.
        allow: Packages that declared objects may come from, beside the usual ones, as of `resume_pipeline`.
        jobs: Cases that are read at a time.
        on: Where the work is done, such as `slurm:20` (docs/scale.md); by default on this machine.
        take_over: Go on even if a process of another machine may work on it, as of `resume_pipeline`.
        progress: Where it is shown.

    Raises:
        RunError: There is nothing to go on with, another process works on it, definition, manifest or data have
            changed, a package is not allowed, or it is of somebody else and needs more options.
        MedsegError: What is wrong with a run.
    """
    given = Given.of(
        data, allow, tracking_uri=tracking_uri, device=device, jobs=jobs, on=on, take_over=take_over
    )
    shown = progress or Silent()
    mark_gone(shown.say)
    found = interrupted_folds(take_over=take_over) if name is None else find_folds(name)
    if found is None:
        which = "that was interrupted" if name is None else repr(name)
        raise RunError(f"no cross-validation {which} in {FOLDS}/ of this folder")
    options = given.over(found.options)
    asked, uri = _claimed(found, given)
    asked = replace(asked, data=given.root or asked.data, options=options)
    return _seen_to_its_end(asked, uri, shown, given)


def _claimed(found: CrossValidation, given: Given) -> tuple[CrossValidation, str | None]:
    """This process works on it from now on; with its address. One of somebody else is the caller's then."""
    refuse_ways_out(found.folder)
    if found.status == "FINISHED" and not (found.mine and found.damaged()):
        found.claim()  # says that there is nothing to go on with
    refuse_unvouched(
        "cross-validation",
        shlex.quote(found.name),
        given,
        mine=found.mine,
        data=found.data is not None,
        declared=built(**found.declared, generated=found.data is None and given.data is None),
    )
    if found.mine:
        uri = given.tracking_uri or _address_of(found)
        return found.claim(take_over=given.take_over), uri
    vouched, runs = vouched_folds(found, given), adopted_runs(found, given)
    asked = found.claim(take_over=given.take_over, vouched=vouched)
    for folder, state in runs:
        folder.write(state)
    return asked, given.address


def _address_of(found: CrossValidation) -> str | None:
    runs = [state.name for _, state in found.begun() if state.tracked]
    return own_address(
        found.name,
        found.tracking_uri,
        found.folder,
        own=found.options.own_store,
        tracked=bool(runs),
        runs=runs,
    )


def _declared(name: str | Path, changes: Sequence[str], allowed: Allowed) -> Mapping[str, Any]:
    """Definition and manifest as they come back from a file, if the folds can be put together."""
    opened = open_pipeline(name, assignments=changes)
    definition = opened.definition
    last = list(definition.steps.values())[-1]
    scores = hasattr(resolve(last["_target_"], at="steps", allowed=allowed), "evaluation")
    if not scores or last.get("role", "test") != "test":
        raise DefinitionError(
            f"cross-validation needs a pipeline whose last step scores the role test, as medseg.steps.Evaluate does; "
            f"the last step of {definition.name} is {last['_target_']}."
        )
    manifest = opened.manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
    found: Mapping[str, Any] = json.loads(
        json.dumps({"definition": definition.to_dict(), "manifest": manifest})
    )
    return found


def _refuse_own_parts(changes: Sequence[str]) -> None:
    """The folds are the test parts: others cannot be asked for beside."""
    asked = [change for change in changes if change.startswith(OWN_PARTS)]
    if asked:
        raise DefinitionError(
            f"{asked[0].partition('=')[0]} was set, and each fold is the test part once. Leave it out, or run the "
            "pipeline itself: medseg pipeline run."
        )


def _seen_to_its_end(asked: CrossValidation, uri: str | None, shown: Progress, given: Given) -> FoldsResult:
    """Run the folds that have not ended, score all together, and keep how that ended.

    Args:
        asked: What was asked for, with the options that count now; this process works on it.
        uri: Of MLflow, with credentials.
        shown: Where progress is shown.
        given: What the caller says of a fold that was interrupted.
    """
    from medseg.tracking.mlflow.address import default_uri  # noqa: PLC0415

    try:
        _refuse_changed(asked)
        _refuse_other_store(asked, uri)
        results = []
        if given.on:
            from medseg.api.apart.folds import learned_apart  # noqa: PLC0415  # imports torch and MONAI

            looking = partial(look_at, asked, 1, shown, ())
            own = replace(asked, options=asked.options.but(on=given.on))
            with quiet_libraries():
                learned_apart(own, changes_of(asked, 1), default_uri(uri), given, shown, looking)
        for fold in range(1, asked.folds + 1):
            shown.say(f"Fold {fold} of {asked.folds}.")
            results.append(learned(asked, fold, replace(given, tracking_uri=uri), shown))
        if broken := asked.damaged():
            shown.say(f"Damaged or missing: {', '.join(broken)}. The folds are put together again.")
        with quiet_libraries():
            result = put_together(asked, results, shown, uri)
        asked.end("FINISHED")
    except BaseException as error:
        with suppress(RunError, OSError):  # the error itself is reported, not that it cannot be noted
            asked.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    finally:
        asked.let_go()
    return result


def _refuse_changed(asked: CrossValidation) -> None:
    for what, now in _declared(asked.pipeline, asked.set, asked.options.allowed).items():
        if now != asked.declared[what]:
            raise RunError(
                f"the {what} of {asked.pipeline} has changed since {asked.name} began, so that its folds would not "
                f"be alike. Put it back; or start again, and delete {FOLDS}/{asked.name}."
            )


def _refuse_other_store(asked: CrossValidation, uri: str | None) -> None:
    """Refuse a store that does not have the runs of the folds so far."""
    from medseg.tracking.mlflow.address import default_uri, masked  # noqa: PLC0415
    from medseg.tracking.mlflow.store import existing_run, open_store  # noqa: PLC0415

    tracked = {fold: state.tracked for fold, state in asked.begun() if state.tracked}
    if not tracked:
        return
    address = default_uri(uri)
    with open_store(address) as client:
        for fold, run_id in tracked.items():
            try:
                existing_run(client, run_id)
            except RunError as error:
                raise RunError(
                    f"fold {fold} of {asked.name} is tracked at {asked.tracking_uri}, and {masked(address)} does not "
                    "have its run: all folds are tracked in one place. Leave --tracking-uri out."
                ) from error
