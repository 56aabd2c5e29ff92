"""Running pipelines, and going on with runs that were interrupted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from medseg.api.conductor import Conductor
from medseg.api.finding import find_run_folder, mark_gone, unfinished
from medseg.api.opening import Opened, open_pipeline
from medseg.api.result import RunResult
from medseg.cases.manifest import Manifest
from medseg.errors import DefinitionError, RunError
from medseg.pipeline.definition import PipelineDefinition
from medseg.progress import Progress, Silent


def run_pipeline(
    name: str | Path,
    data: str | Path | None = None,
    *,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    device: str = "auto",
    skip_bad: bool = False,
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    jobs: int | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Run a pipeline from its data to a tracked model.

    Args:
        name: Such as `brats2d`, or the path of a YAML file.
        data: Folder of the data; None runs on the generated sample, if the pipeline has one.
        set: `path=value` strings that change the definition.
        device: auto, cpu or cuda.
        skip_bad: Go on without cases that have faults.
        tracking_uri: Of MLflow; by default MLFLOW_TRACKING_URI, else `mlflow.db` in the working folder.
        allow: Packages that declared objects may come from, beside the usual ones.
        jobs: Cases that are read at a time; by default as many as there are cores.
        progress: Where it is shown.

    Raises:
        MedsegError: What is wrong, before training where it can be known.
    """
    options = {
        "device": device,
        "skip_bad": skip_bad,
        "allow": list(allow),
        "jobs": jobs,
    }
    shown = progress or Silent()
    opened = open_pipeline(name, assignments=set, sample=data is None)
    sample = opened.definition.sample if data is None else None
    if sample is not None:
        _say_generated(opened.definition, shown)
    root = None if data is None else Path(data)
    mark_gone()
    _refuse_needless_run(opened, root)
    return Conductor(opened.definition, opened.manifest, root, options, tracking_uri, shown).start()


def _refuse_needless_run(opened: Opened, root: Path | None) -> None:
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
    jobs: int | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Go on with a run that was interrupted, in the same folder and the same MLflow run.

    Args:
        run: Id or unique prefix of an MLflow run, a name, `latest`, or a run's folder; by default the latest
            run of this folder that is not finished.
        data: Where the data lie now, if they were moved.
        device: Where to go on; by default as before.
        tracking_uri: Where it is tracked, if that cannot be told from the run.
        jobs: Cases that are read at a time.
        progress: Where it is shown.

    Raises:
        RunError: There is nothing to go on with, or the data have changed.
    """
    mark_gone()
    folder = unfinished() if run is None else find_run_folder(run)
    state = folder.read()
    if state.status == "FINISHED":
        raise RunError(f"the run {state.name} is finished; there is nothing to go on with.")
    definition = PipelineDefinition.from_yaml(folder.path / "definition.yaml")
    manifest = Manifest.from_yaml(folder.path / "manifest.yaml")
    options = {**state.options, **({"device": device} if device else {}), **({"jobs": jobs} if jobs else {})}
    root = Path(data) if data is not None else None if state.data is None else Path(state.data)
    shown = progress or Silent()
    if root is None:
        _say_generated(definition, shown)
    shown.say(f"Going on with {state.name}.")
    uri = tracking_uri or (state.tracking_uri if not os.environ.get("MLFLOW_TRACKING_URI") else None)
    return Conductor(definition, manifest, root, options, uri, shown).resume(folder, state)


def _say_generated(definition: PipelineDefinition, shown: Progress) -> None:
    if definition.sample is None:
        return
    shown.say(
        "GENERATED DATA: no --data was given, so this runs on made-up patients. The scores say nothing about "
        "real ones.",
        loud=True,
    )
    changed = ", ".join(f"{path}={value}" for path, value in definition.sample.set.items())
    if changed:
        shown.say(
            f"For the generated sample of {definition.sample.cases} cases the definition sets: {changed}"
        )
