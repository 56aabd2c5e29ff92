"""Looking at data, preparing them, generating them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.api.opening import Opened, open_pipeline
from medseg.component import SHIPPED, Allowed
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError
from medseg.pipeline.options import RunOptions, working
from medseg.places import clear_outputs
from medseg.progress import LOADING, Progress, Silent, quiet_libraries
from medseg.text import many

if TYPE_CHECKING:
    from medseg.api.exporting.archives import Archives
    from medseg.datasets.checks.check import Report
    from medseg.pipeline.duplicates import SharedCopies
    from medseg.pipeline.gather import Gathered
    from medseg.pipeline.resolve import Resolved
    from medseg.slices.store.estimate import StorePlan
    from medseg.slices.store.store import SliceStore


@dataclass(frozen=True)
class Checked:
    """A data set that was read.

    Attributes:
        report: What it holds, and what is wrong.
        manifest: What it means.
        root: Its folder.
        generated: Whether it is a generated sample.
        refused: What else a run of the pipeline would refuse, each with its remedy.
        remarks: What it would only remark of the roles that it gives.
    """

    report: Report
    manifest: Manifest
    root: Path
    generated: bool
    refused: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def check_data(
    name: str | Path,
    data: str | Path | None = None,
    *,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    allow: Sequence[str] = (),
    progress: Progress | None = None,
    jobs: int | None = None,
    on: str = "",
) -> Checked:
    """Read every file of a data set and tell what it holds, what is wrong with it, and what a run would refuse.

    Args:
        name: A pipeline.
        data: Folder of the data; None for the generated sample of the pipeline.
        set: `path=value` strings that change the definition, such as its manifest.
        allow: Packages that declared objects may come from, beside the usual ones.
        progress: Where it is shown.
        jobs: Cases at a time.
        on: Where cases are read, such as `slurm:20` (docs/scale.md); by default on this machine.
    """
    options, shown = RunOptions.of(allow=allow, jobs=jobs, on=on), progress or Silent()
    opened = open_pipeline(name, assignments=set, sample=data is None)
    return _with_refusals(_checked(opened, data, options, shown), opened, options.allowed, shown)


def _with_refusals(found: Checked, opened: Opened, allowed: Allowed, shown: Progress) -> Checked:
    """What was found, with all that a run would refuse; what it refuses of single cases is a fault of theirs."""
    with shown.bar(LOADING, 1) as bar:
        from medseg.pipeline.checks.readiness import readiness  # noqa: PLC0415

        bar.advance()
    with quiet_libraries():
        ready = readiness(opened.definition, opened.manifest, found.root, found.report, allowed)
    of_cases = [fault for error in ready.refused if isinstance(error, DataError) for fault in error.faults]
    refusals = [str(error) for error in ready.refused if not (isinstance(error, DataError) and error.faults)]
    report = replace(found.report, faults=(*found.report.faults, *of_cases))
    return replace(found, report=report, refused=tuple(refusals), remarks=ready.notes)


def _checked(opened: Opened, data: str | Path | None, options: RunOptions, shown: Progress) -> Checked:
    from medseg.pipeline import gather  # noqa: PLC0415  # imports NumPy and nibabel

    given, definition = None if data is None else Path(data), opened.definition
    root = gather.find_data(definition, opened.manifest, given, options, shown)
    manifest = gather.with_known_classes(opened.manifest, root, options.allowed)
    channels, made, onto = definition.channels, data is None, definition.reference
    report = gather.check_data(manifest, channels, root, options, shown, generated=made, reference=onto)
    return Checked(report, manifest, root, report.generated)


def write_sample(
    name: str | Path,
    out: str | Path,
    *,
    cases: int,
    seed: int,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Path:
    """Generate a data set in the layout of a pipeline's manifest.

    Args:
        name: A pipeline.
        out: Folder to write to; whole cases that lie there already are kept.
        cases: How many.
        seed: The same seed gives the same bytes.
        progress: Where it is shown.
        jobs: Cases at a time.
    """
    from medseg.pipeline.gather import generate, generator_of  # noqa: PLC0415

    generator = generator_of(open_pipeline(name).manifest, SHIPPED)
    return generate(generator, Path(out), cases, seed, RunOptions.of(jobs=jobs), progress or Silent())


def show_data(
    name: str | Path,
    out: Path,
    data: str | Path | None = None,
    *,
    case: str | None = None,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    allow: Sequence[str] = (),
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Path:
    """Draw cases with all channels and their truth, to be looked at before training.

    Args:
        name: A pipeline.
        out: The picture to write, PNG.
        data: Folder of the data; None for the generated sample.
        case: Public id of the one case to show; None shows the first few.
        set: `path=value` strings that change the definition.
        allow: Packages that declared objects may come from, beside the usual ones.
        progress: Where it is shown.
        jobs: Cases at a time.

    Raises:
        DataError: There is no such case, or no case without faults.
    """
    from medseg.figures.saving import save_figure  # noqa: PLC0415
    from medseg.pipeline.resolve import showing  # noqa: PLC0415
    from medseg.steps.pictures import data_picture, shown_cases  # noqa: PLC0415

    options = RunOptions.of(allow=allow, jobs=jobs)
    opened = open_pipeline(name, assignments=set, sample=data is None)
    checked = _checked(opened, data, options, progress or Silent())
    good = checked.report.good
    chosen = [each for each in good if each.id == case] if case else shown_cases(good, 4)
    if not chosen:
        raise DataError(
            f"no case {case!r} without faults among {many(len(good), 'case')}."
            if case
            else "no case without faults.",
            checked.report.faults,
        )
    heading = "generated sample" if checked.generated else opened.manifest.name
    definition = opened.definition
    manifest = showing(definition, checked.manifest)
    figure = data_picture(chosen, manifest, definition.channels, definition.slices, heading=heading)
    return save_figure(figure, out)


def export_npz(
    name: str | Path,
    out: str | Path,
    data: str | Path | None = None,
    *,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    skip_bad: bool = False,
    allow: Sequence[str] = (),
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Archives:
    """Write every case as one NumPy archive, `OUT/<public id>.npz`.

    `data` is (X, Y, Z, C) float32, raw intensities of the channels of the pipeline, on one grid (`slices.align`); in
    the order of the manifest `brats2d_npz` where that has them all, in their own otherwise. `seg` is (X, Y, Z) uint8
    class indices; `affine` (4, 4) leads to world coordinates in mm, RAS+.

    Args:
        name: A pipeline of label maps.
        out: Folder to write to.
        data: Folder of the data; None for the generated sample.
        set: `path=value` strings that change the definition.
        skip_bad: Leave out cases that have faults.
        allow: Packages that declared objects may come from, beside the usual ones.
        progress: Where it is shown.
        jobs: Cases that are checked at a time.

    Returns:
        What was written, which says what manifest reads it.

    Raises:
        DataError: There are faults and `skip_bad` is not set, an archive is there already, or these are no volumes.
    """
    import numpy as np  # noqa: PLC0415

    from medseg.api.exporting.archives import ORIGINAL, Archives, in_order  # noqa: PLC0415
    from medseg.datasets.reading.volume import read_volume  # noqa: PLC0415  # imports nibabel
    from medseg.datasets.sample_mark import sign_files  # noqa: PLC0415
    from medseg.images.npz import write_npz  # noqa: PLC0415
    from medseg.pipeline.gather import gather  # noqa: PLC0415

    options, shown = RunOptions.of(skip_bad=skip_bad, allow=allow, jobs=jobs), progress or Silent()
    opened = open_pipeline(name, assignments=set, sample=data is None)
    checked = _checked(opened, data, options, shown)
    manifest, files = checked.manifest, checked.manifest.files()
    if files.flat or manifest.image_labels is not None:
        raise DataError("archives hold volumes with label maps, and the data of this pipeline are others.")
    if manifest.ignore:
        raise DataError(
            f"archives hold classes alone, and the manifest ignores the values {list(manifest.ignore)} of label "
            "maps, which are none. Take 'ignore' out, and name a class of them under 'label_values'."
        )
    cases = gather(checked.report, skip_bad=skip_bad).cases
    channels = in_order(opened.definition.channels, Manifest.named(ORIGINAL))
    reference = opened.definition.reference
    written = [Path(out) / f"{case.id}.npz" for case in cases]
    clear_outputs(Path(out))
    if there := sum(path.exists() for path in written):
        raise DataError(f"{there} of {many(len(written), 'archive')} written already. Name an empty folder.")
    Path(out).mkdir(parents=True, exist_ok=True)
    with shown.bar("writing archives", len(cases), "cases") as bar:
        for case, path in zip(cases, written, strict=True):
            found = read_volume(case, channels, manifest.label_rule(), files=files, reference=reference)
            grid, label = found.geometry, found.label
            image = np.stack([grid.from_ras(each) for each in found.image])
            made_up = case.id in checked.report.made_up
            write_npz(path, image, None if label is None else grid.from_ras(label), grid, made_up=made_up)
            bar.advance()
    made = (path for case, path in zip(cases, written, strict=True) if case.id in checked.report.made_up)
    sign_files(Path(out), made)
    return Archives(tuple(written), channels, manifest.classes, len({case.group for case in cases}))


@dataclass(frozen=True)
class Preparable:
    """A pipeline, its cases and their roles: what is prepared, or planned."""

    resolved: Resolved
    gathered: Gathered
    shared: SharedCopies

    @classmethod
    def of(
        cls,
        name: str | Path,
        data: str | Path | None,
        assignments: Sequence[str],
        options: RunOptions,
        progress: Progress,
    ) -> Preparable:
        """Open the pipeline, check its data, and share out the cases.

        Raises:
            DataError: There are faults and `skip_bad` is not set.
        """
        with progress.bar(LOADING, 1) as bar:
            from medseg.pipeline import gather  # noqa: PLC0415
            from medseg.pipeline.declaration.completion import complete  # noqa: PLC0415
            from medseg.pipeline.resolve import resolve  # noqa: PLC0415
            from medseg.pipeline.sharing import share_out  # noqa: PLC0415

            bar.advance()
        opened = open_pipeline(name, assignments=assignments, sample=data is None)
        allowed = options.allowed
        whole = complete(opened.definition, opened.manifest, None if data is None else Path(data), allowed)
        resolved = resolve(whole.definition, whole.manifest, allowed)
        report = _checked(opened, data, options, progress).report
        gathered = gather.gather(report, skip_bad=options.skip_bad)
        return cls(resolved, gathered, share_out(resolved.definition, gathered.cases, report, resolved))

    def share(self, gathered: Gathered) -> SharedCopies:
        """The roles of other cases."""
        from medseg.pipeline.sharing import share_out  # noqa: PLC0415

        return share_out(self.resolved.definition, gathered.cases, gathered.report, self.resolved)


def prepare_data(
    name: str | Path,
    data: str | Path | None = None,
    *,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    skip_bad: bool = False,
    allow: Sequence[str] = (),
    progress: Progress | None = None,
    jobs: int | None = None,
    on: str = "",
) -> SliceStore:
    """Cut the slices of a pipeline into its store, as a run would do first; `on` as of `check_data`.

    Raises:
        DataError: There are faults, of the data or of preparing them, and `skip_bad` is not set.
        StoreError: The slices cannot be written.
    """
    from medseg.pipeline.preparing import prepared  # noqa: PLC0415

    options, shown = RunOptions.of(skip_bad=skip_bad, allow=allow, jobs=jobs, on=on), progress or Silent()
    with working(options, shown) as crew:
        parts = Preparable.of(name, data, set, options, shown)
        _, _, store = prepared(
            *(parts.resolved, parts.gathered, parts.shared),
            leave_out=parts.share,
            skip_bad=skip_bad,
            otherwise="Mend what is named, or go on without these cases: --skip-bad.",
            jobs=crew,
            progress=shown,
        )
    return store


def plan_data(
    name: str | Path,
    data: str | Path | None = None,
    *,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    skip_bad: bool = False,
    allow: Sequence[str] = (),
    progress: Progress | None = None,
    jobs: int | None = None,
) -> StorePlan:
    """Tell how many slices `prepare_data` would cut, their bytes, and how long it would take."""
    from medseg.slices.store.estimate import plan  # noqa: PLC0415

    options, shown = RunOptions.of(skip_bad=skip_bad, allow=allow, jobs=jobs), progress or Silent()
    parts = Preparable.of(name, data, set, options, shown)
    resolved, shared = parts.resolved, parts.shared
    return plan(
        *(shared.used, shared.split, resolved.predictor.preparation, resolved.manifest.label_rule()),
        regions=resolved.predictor.task.regions,
        seed=resolved.definition.seed,
        known=parts.gathered.report.contents,
        jobs=options.at_once,
        skip_bad=skip_bad,
    )
