"""Making a run again from what it kept, and comparing the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from medseg.api.conductor import Conductor
from medseg.api.finding import find_run_folder, mark_gone
from medseg.api.kept.keeping import track
from medseg.api.kept.recorded import Recorded
from medseg.datasets.case import Case, cases_text
from medseg.datasets.roles import ROLES
from medseg.errors import RunError
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.folder import RunFolder
from medseg.places import read_kept
from medseg.progress import LOADING, Progress, Silent
from medseg.text import agreed

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

    A run whose folder is not here is made again from what the tracking server has of it.

    Args:
        run: A run's folder, name or id, or `latest`: one of this user, or one that the tracking server knows.
        data: Where the data lie now; by default where they were.
        device: auto, cpu or cuda; by default as before.
        tracking_uri: Where a run without a folder here is looked for, and where the new run is tracked; by default
            where the run is.
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
    with TemporaryDirectory(prefix="medseg-reproduce-") as place:
        first = _recorded(str(run), tracking_uri, Path(place), None if data is None else Path(data))
        with shown.bar(LOADING, 1) as bar:
            from medseg.pipeline.about import versions  # noqa: PLC0415 - torch
            from medseg.pipeline.study.reproduction import other_versions, reproduction  # noqa: PLC0415

            bar.advance()
        definition, manifest = first.declaration()
        if others := list(other_versions(first.tags, versions())):
            raise RunError(
                f"the run {first.name} was made with other versions, with which it cannot be made again to the bit: "
                f"{'; '.join(others)}. Install those of then; or begin a run with those of now{first.anew}"
            )
        root = Path(data) if data is not None else first.root
        options = first.options(allow=allow, device=device, jobs=jobs)
        look = _look(first, definition)
        again = Conductor(definition, manifest, root, options, tracking_uri or first.uri, shown).start(
            look=look
        )
        now = read_kept(again.folder / "tags.json", dict)
        other = tuple(
            f"{name}: {first.tags.get(name)} then, {now.get(name)} now"
            for name in _ENVIRONMENT
            if first.tags.get(name) != now.get(name)
        )
        found = reproduction(first.folder, again.folder, other)
    made = RunFolder(again.folder)
    with made.turn():
        tags = {"reproduces": first.name, "reproduction": found.verdict}
        track(made, made.read(), [found.write(made.path)], "", "comparison", shown.say, tags=tags)
    return found


def _recorded(run: str, tracking_uri: str | None, place: Path, data: Path | None) -> Recorded:
    """What was kept of a run: in its folder, or where there is none here on the tracking server."""
    from medseg.tracking.mlflow.address import default_uri  # noqa: PLC0415 - MLflow
    from medseg.tracking.mlflow.runs import find_run  # noqa: PLC0415 - MLflow

    try:
        folder = find_run_folder(run)
    except RunError as missing:
        uri = default_uri(tracking_uri)
        try:
            run_id = find_run(uri, run)
        except RunError as error:
            raise RunError(
                f"{missing} On the tracking server: {error} To ask another server: --tracking-uri URI"
            ) from error
        return Recorded.of_store(uri, run_id, place, data)
    return Recorded.of_folder(folder)


def _difference(first: Recorded, cases: Sequence[Case]) -> str:
    """Which cases are missing or new; else that some have other content."""
    told = read_kept(first.roles or first.folder / "split.json", dict)
    then = {str(name) for role in ROLES for name in told.get(role) or ()}
    now = {case.id for case in cases}
    parts = [
        f"{cases_text(sorted(found))} {agreed('are', len(found))} {what}"
        for found, what in ((then - now, "missing"), (now - then, "new"))
        if then and found
    ]
    return " and ".join(parts) or "its cases are there, and some hold other images, label maps or classes"


def _look(first: Recorded, definition: PipelineDefinition) -> Callable[[Gathered], Gathered]:
    """What refuses, before anything is learned, data and roles that are not those of the run."""

    def look(gathered: Gathered) -> Gathered:
        from medseg.pipeline.preparing import faults_of  # noqa: PLC0415
        from medseg.pipeline.sharing import share_out  # noqa: PLC0415

        found: Any = gathered.without(faults_of(first.unprepared))
        if first.data != found.report.fingerprint():
            raise RunError(
                f"the data are not those of the run {first.name}: {_difference(first, found.cases)} (fingerprint "
                f"{first.data} then, {found.report.fingerprint()} now). Put them back, or say where they are: --data "
                "FOLDER"
            )
        drawn = share_out(definition, found.cases, found.report).split.digest()
        if first.split != drawn:
            raise RunError(
                f"the split is not that of the run {first.name}: {first.split} then, {drawn} now. Put "
                "the file that split.file names back; or the key of pseudonyms of then, by which names are drawn."
            )
        return found

    return look
