"""Making a run again from what it kept, and comparing the two."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.api.conductor import Conductor
from medseg.api.finding import find_run_folder, mark_gone, own_address
from medseg.api.kept.keeping import track
from medseg.api.strangers import refuse_changed_declaration
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import RunError
from medseg.files.inside import inside
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.made import refuse_damaged
from medseg.places import read_kept
from medseg.progress import LOADING, Progress, Silent

if TYPE_CHECKING:
    from medseg.pipeline.gather import Gathered
    from medseg.pipeline.study.reproduction import Reproduction

_ENVIRONMENT = ("device", "threads", "git.commit")
"""Tags of what may differ without a version being another; it is named."""


def reproduce_run(
    run: str | Path,
    *,
    data: str | Path | None = None,
    device: str | None = None,
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Make a finished run again, as a run of its own, from its definition, data, split and seed; compare the two.

    Args:
        run: A run's folder, name or id, or `latest`; one of this user.
        data: Where the data lie now; by default where they were.
        device: auto, cpu or cuda; by default as before.
        tracking_uri: Where the new run is tracked; by default where the run is.
        allow: Packages that declared objects may come from, beside the usual ones.
        jobs: Cases that are read at a time.
        progress: Where it is shown.

    Raises:
        RunError: There is no such run, it is not finished, is of somebody else or damaged; or data, split or versions
            are not those that it was made with: says which.
        TrackingError: The tracking server does not answer.
    """
    shown = progress or Silent()
    mark_gone(shown.say)
    folder = find_run_folder(str(run))
    state = folder.read()
    _refuse(folder, state)
    with shown.bar(LOADING, 1) as bar:
        from medseg.pipeline.about import versions  # noqa: PLC0415 - torch
        from medseg.pipeline.study.reproduction import other_versions, reproduction  # noqa: PLC0415

        bar.advance()
    then = read_kept(inside(folder.path, "tags.json"), dict)
    if others := list(other_versions(then, versions())):
        raise RunError(
            f"the run {state.name} was made with other versions, with which it cannot be made again to the bit: "
            f"{'; '.join(others)}. Install those of then; or begin a run with those of now: {_anew(folder, state)}"
        )
    definition = PipelineDefinition.from_yaml(inside(folder.path, "definition.yaml"))
    manifest = Manifest.from_yaml(inside(folder.path, "manifest.yaml"))
    root = Path(data) if data is not None else (None if state.data is None else Path(state.data))
    asked = state.options.but(allow=tuple(allow), device=device, jobs=jobs)
    options = replace(asked, register="", run_name=None, tags=(*asked.tags, f"reproduces={state.name}"))
    uri = tracking_uri or own_address(state.name, state.tracking_uri, folder.path, tracked=False)
    again = Conductor(definition, manifest, root, options, uri, shown).start(look=_look(state, definition))
    now = read_kept(again.folder / "tags.json", dict)
    other = tuple(
        f"{name}: {then.get(name)} then, {now.get(name)} now"
        for name in _ENVIRONMENT
        if then.get(name) != now.get(name)
    )
    found = reproduction(folder.path, again.folder, other)
    made = RunFolder(again.folder)
    with made.turn():
        tags = {"reproduces": state.name, "reproduction": found.verdict}
        track(made, made.read(), [found.write(made.path)], "", "comparison", shown.say, tags=tags)
    return found


def _refuse(folder: RunFolder, state: State) -> None:
    if not state.mine:
        raise RunError(
            f"the run {folder.path.name} was made by somebody else, or its file was edited. To run what it says: "
            f"{_anew(folder, state)}"
        )
    if state.status != "FINISHED":
        raise RunError(
            f"the run {state.name} is not finished, so that there is nothing to compare with. Go on with it: medseg "
            f"pipeline resume {folder.called}"
        )
    refuse_changed_declaration(folder, state)
    for below in ("model/", "scores/", "split.json", "tags.json"):
        refuse_damaged(folder, below)


def _look(state: State, definition: PipelineDefinition) -> Callable[[Gathered], Gathered]:
    """What refuses, before anything is learned, data and roles that are not those of the run."""

    def look(gathered: Gathered) -> Gathered:
        from medseg.pipeline.preparing import faults_of  # noqa: PLC0415
        from medseg.pipeline.sharing import share_out  # noqa: PLC0415

        found: Any = gathered.without(faults_of(state.unprepared))
        if state.data_fingerprint != found.report.fingerprint():
            raise RunError(
                f"the data are not those of the run {state.name}: {state.data_fingerprint} then, "
                f"{found.report.fingerprint()} now. Put them back, or say where they are: --data FOLDER"
            )
        drawn = share_out(definition, found.cases, found.report).split.digest()
        if state.split_digest != drawn:
            raise RunError(
                f"the split is not that of the run {state.name}: {state.split_digest} then, {drawn} now. Put "
                "the file that split.file names back; or the key of pseudonyms of then, by which names are drawn."
            )
        return found

    return look


def _anew(folder: RunFolder, state: State) -> str:
    declared = shlex.quote((folder.path / "definition.yaml").as_posix())
    return f"medseg pipeline run {declared}{'' if state.data is None else ' --data FOLDER'}"
