"""Running pipelines, and going on with runs that were interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.api.adopting import vouched_run
from medseg.api.conductor import Conductor, conductor_of
from medseg.api.finding import experiment_of, find_run_folder, mark_gone, own_address, unfinished
from medseg.api.kept.syncing import send_waiting
from medseg.api.opening import Opened, open_pipeline
from medseg.api.result import RunResult
from medseg.api.strangers import Given, built, refuse_changed_declaration, refuse_unvouched
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DefinitionError, RunError
from medseg.files.inside import refuse_ways_out
from medseg.machine.ranks.across import across
from medseg.pipeline.declaration.anew import would_fail_again
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.declaration.overrides import in_effect
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.made import damaged
from medseg.pipeline.options import RunOptions, refuse_own_tags
from medseg.pipeline.signature import user_key
from medseg.pipeline.study.part import Part
from medseg.places import read_kept
from medseg.progress import Progress, Silent
from medseg.recorder import Recorder
from medseg.text import many

if TYPE_CHECKING:
    from medseg.pipeline.gather import Gathered


def run_pipeline(
    name: str | Path,
    data: str | Path | None = None,
    *,
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
    register: str = "",
    progress: Progress | None = None,
) -> RunResult:
    """Run a pipeline from its data to a tracked model.

    Args:
        name: Such as `brats2d`, or the path of a YAML file.
        data: Folder of the data; None runs on the generated sample, if the pipeline has one.
        set: `path=value` strings that change the definition.
        device: auto, cpu or cuda.
        skip_bad: Go on without cases that have faults.
        allow_duplicates: Go on though pictures that are one, or nearly, are in different roles.
        tracking_uri: Of MLflow; by default MLFLOW_TRACKING_URI, else `mlflow.db` in the working folder.
        allow: Packages that declared objects may come from, beside the usual ones.
        jobs: Cases that are read at a time; by default as many as there are cores.
        on: Where the work is done, such as `slurm:20` (docs/scale.md); by default on this machine.
        run_name: What MLflow calls the run; by default its time.
        note: Shown with it in MLflow, as Markdown.
        tags: `key=value` strings that it has in MLflow.
        register: Register the model under the pipeline's name, with this alias, such as `champion`, if it has the
            highest validation score so far; by default it is not registered.
        progress: Where it is shown.

    Raises:
        MedsegError: What is wrong, before training where it can be known.
    """
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
        register=register,
    )
    root = None if data is None else Path(data)
    return across(partial(begin, name, root, set, options, tracking_uri, progress or Silent()), user_key)


def begin(
    name: str | Path,
    root: Path | None,
    changes: Sequence[str],
    options: RunOptions,
    tracking_uri: str | None,
    shown: Progress,
    part_of: Part | None = None,
    look: Callable[[Gathered], Gathered] | None = None,
) -> RunResult:
    """Begin a run, by itself or as one fold of several, and see it to its end.

    Args:
        name: A pipeline.
        root: Folder of the data; None for its generated sample.
        changes: `path=value` strings that change the definition.
        options: What the caller says; its packages are those that he allows.
        tracking_uri: Of MLflow.
        shown: Where progress is shown.
        part_of: Which fold it is.
        look: Looks at the cases before anything is made or learned, and gives those to go on with, or refuses them.
    """
    opened = open_pipeline(name, assignments=changes, sample=root is None)
    refuse_own_tags(options.tags, opened.definition.steps)
    if root is None and opened.definition.sample is not None:
        _say_generated(opened.definition, shown)
    mark_gone(shown.say)
    refuse_needless_run(opened, root)
    conductor = conductor_of(opened.definition, opened.manifest, root, options, tracking_uri, shown)
    return conductor.start(part_of, look)


def refuse_needless_run(opened: Opened, root: Path | None) -> None:
    """Refuse a pipeline that has neither data nor a sample.

    Raises:
        DefinitionError: It has neither.
    """
    if root is None and opened.definition.sample is None:
        from medseg.pipeline.gather import needs_data  # noqa: PLC0415

        raise DefinitionError(
            f"the pipeline {opened.definition.name} needs data, and has no generated sample. "
            f"{needs_data(opened.manifest)}"
        )


def resume_pipeline(
    run: str | None = None,
    *,
    data: str | Path | None = None,
    device: str | None = None,
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    jobs: int | None = None,
    on: str = "",
    take_over: bool = False,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    progress: Progress | None = None,
) -> RunResult:
    """Go on with a run that was interrupted, in the same folder and the same MLflow run.

    With `set` a run that is finished goes on too, as for a longer training; else, records of it that wait for the
    tracking server are sent. A run of somebody else goes on only with the data, the address and the packages that the
    caller names, and is the caller's from then on.

    Args:
        run: Id or unique prefix of an MLflow run, a name, `latest`, or a run's folder; by default the latest
            run of this folder that is not finished.
        data: Where the data lie now, if they were moved.
        device: Where to go on; by default as before.
        tracking_uri: Where it is tracked now; by default where it began, whatever MLFLOW_TRACKING_URI says.
            Only user and password are taken from there, if it is the same server. Of a run of somebody else it must
            be named, here or by MLFLOW_TRACKING_URI.
        allow: Packages that declared objects may come from, beside the usual ones; those of the run's first command
            must be named again.
        jobs: Cases that are read at a time.
        on: Where the work is done, such as `slurm:20` (docs/scale.md); by default on this machine.
        take_over: Go on even if a process of another machine may run it: for one whose process is gone
            for certain, as with a container that was replaced.
        set: `path=value` strings that change the definition: epochs, patience and pictures_every of a training,
            loading.workers, loading.cache, and settings of steps that have not begun. The step whose training goes on
            does so from its checkpoint, and the steps after it are done again; it ends as if it had begun so. Only
            a learning-rate schedule as long as the training is made anew, and stands where the training stopped.
        progress: Where it is shown.

    Raises:
        RunError: There is nothing to go on with, another process runs it, the data or what was declared have
            changed, a package is not allowed, or the run is of somebody else and needs more options.
        TrackingError: The tracking server does not answer, or wants a password that is not kept.
    """
    how: dict[str, Any] = {"device": device, "jobs": jobs, "on": on, "take_over": take_over}
    given = Given.of(data, allow, tracking_uri=tracking_uri, set=tuple(set), **how)
    return across(partial(_resumed, run, given, progress or Silent()), user_key)


def _resumed(run: str | None, given: Given, shown: Progress) -> RunResult:
    mark_gone(shown.say)
    folder = unfinished(take_over=given.take_over) if run is None else find_run_folder(run)
    return go_on(folder, given, shown)


def go_on(folder: RunFolder, given: Given, shown: Progress, watch: Sequence[Recorder] = ()) -> RunResult:
    """Go on with a run as `resume_pipeline` does.

    Args:
        folder: Of the run.
        given: What its caller says.
        shown: Where progress is shown.
        watch: Who is told too what it records from now on.
    """
    refuse_ways_out(folder.path)
    state = folder.read()
    if state.status == "FINISHED" and not given.set:
        # before anything that a stranger's file names is read
        refuse_unvouched("run", folder.called, given, mine=state.mine, data=False)
        if not damaged(folder):
            return _send_rest(folder, given, shown)
    if not state.mine:
        return _gone_on(folder, state, given, shown, watch)
    folder.reserve(take_over=given.take_over)
    try:
        return _gone_on(folder, state, given, shown, watch)
    finally:
        folder.let_go()


def _gone_on(
    folder: RunFolder, state: State, given: Given, shown: Progress, watch: Sequence[Recorder]
) -> RunResult:
    from medseg.pipeline.change import changed  # noqa: PLC0415  # imports torch and MONAI

    refuse_changed_declaration(folder, state)
    began = PipelineDefinition.from_yaml(folder.path / "definition.yaml")
    if not began.steps.keys() >= set(state.done):
        raise RunError(
            f"run.json of the run {state.name} is damaged: it tells of steps that its definition does not have. "
            "Start the pipeline again."
        )
    definition = changed(began, given.set)
    manifest = Manifest.from_yaml(folder.path / "manifest.yaml")
    wants_data = state.data is not None
    generated = not wants_data and given.data is None
    declared = built(definition.to_dict(), manifest.model_dump(by_alias=True), generated=generated)
    refuse_unvouched("run", folder.called, given, mine=state.mine, data=wants_data, declared=declared)
    vouched = None if state.mine else {**vouched_run(folder, state, given), "pipeline": definition.name}
    kept = replace(state, **(vouched or {}))
    uri = (given.tracking_uri or _address_of(folder, state)) if state.mine else given.address
    root = given.data or (None if kept.data is None else Path(kept.data))
    if root is None:
        _say_generated(definition, shown)
    shown.say(f"Going on with {kept.name}.")
    if state.mine and would_fail_again(state.anew):
        shown.say(f"It has failed. {folder.way_on(state)}", loud=True)
    conductor = Conductor(
        definition, manifest, root, given.over(kept.options), uri, shown, given.set, tuple(watch)
    )
    return conductor.resume(folder, state, take_over=given.take_over, vouched=vouched)


def _address_of(folder: RunFolder, state: State) -> str | None:
    return own_address(
        state.name, state.tracking_uri, folder.path, own=state.options.own_store, tracked=bool(state.tracked)
    )


def _send_rest(folder: RunFolder, given: Given, shown: Progress) -> RunResult:
    """Send what a finished run could not tell the tracking server."""
    from medseg.tracking.mlflow.address import default_uri  # noqa: PLC0415
    from medseg.tracking.mlflow.sending.outbox import UNTRACKED  # noqa: PLC0415

    with folder.turn():
        state = folder.read()
        if state.status != "FINISHED" or not state.tracked or not (folder.path / UNTRACKED).exists():
            raise RunError(f"the run {state.name} is finished; there is nothing to go on with.")
        if not state.mine:
            state = _vouched_end(folder, state, given)
            uri = default_uri(given.address)
        else:
            uri = default_uri(given.tracking_uri or _address_of(folder, state))
        shown.say(f"{state.name} is finished; sending what waits for the tracking server.")
        unsent = send_waiting(folder, state, uri, shown.say)
    all_sent = f"All records of {state.name} are sent; the run is FINISHED there too."
    shown.say(f"Of {state.name} {unsent}; the rest is sent." if unsent else all_sent, loud=bool(unsent))
    return ended(folder, given.allow)


def _vouched_end(folder: RunFolder, state: State, given: Given) -> State:
    """A finished run of somebody else, as its caller knows it: of its MLflow run the name of the folder tells."""
    from medseg.tracking.mlflow.address import default_uri  # noqa: PLC0415
    from medseg.tracking.mlflow.recorder import MlflowRecorder  # noqa: PLC0415

    refuse_unvouched("run", folder.called, given, mine=False, data=False)
    mine = replace(state, **{**vouched_run(folder, state, given), "data": state.data})
    tracked = MlflowRecorder.find(default_uri(given.address), experiment_of(mine), folder.path)
    if not tracked:
        raise RunError(
            f"the tracking store that was named has no run {mine.name}. Name the one where it was tracked: "
            "--tracking-uri."
        )
    return replace(mine, tracked=tracked)


def ended(folder: RunFolder, allow: Sequence[str] = ()) -> RunResult:
    """The result of a run that has ended, from its folder.

    Args:
        folder: Of the run.
        allow: Packages that parts of its model may come from.

    Raises:
        RunError: Its split is damaged.
    """
    state = folder.read()
    split = read_kept(folder.path / "split.json", dict)
    return RunResult(
        state.name,
        folder.path.absolute(),
        state.tracked,
        state.tracking_uri,
        state.generated,
        split.get("by") == "slice",
        tuple(allow),
        mixture=state.mixture,
    )


def _say_generated(definition: PipelineDefinition, shown: Progress) -> None:
    if definition.sample is None:
        return
    shown.say(
        "GENERATED DATA: no --data was given, so this runs on made-up patients. The scores say nothing about "
        "real ones.",
        loud=True,
    )
    changed = ", ".join(f"{path}={value}" for path, value in in_effect(definition).items())
    if changed:
        shown.say(
            f"For the generated sample of {many(definition.sample.cases, 'case')} the definition sets: {changed}"
        )
