"""From a definition to the cases that a run learns from: given data, or a generated sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from medseg.component import Allowed, build
from medseg.datasets.case import Case, labelled
from medseg.datasets.checks.check import Report, check
from medseg.datasets.finding.scan import found_classes, scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.sample_mark import Marks, begin_sample, mark_sample
from medseg.errors import DataError, DefinitionError, Fault
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.options import RunOptions, working
from medseg.places import cache_folder, clear_cache_leftovers, clear_leftovers, samples_folder
from medseg.progress import Progress


class Generator(Protocol):
    """What generates a sample."""

    version: int

    def write(self, out: Path, *, cases: int, seed: int, progress: Progress, jobs: int = 1) -> Path:
        """Write `cases` cases; byte-identical for a seed."""


@dataclass(frozen=True)
class Gathered:
    """The cases of a run.

    Attributes:
        report: What the check found, of all cases.
        cases: Those that are learned from.
        left_out: Public names of cases with faults, left out on request; those without a label always.
        unprepared: Those of the faults that only preparing finds.
    """

    report: Report
    cases: tuple[Case, ...]
    left_out: tuple[str, ...]
    unprepared: tuple[Fault, ...] = ()

    @property
    def generated(self) -> bool:
        """Whether the data are a generated sample."""
        return self.report.generated

    def without(self, faults: Sequence[Fault]) -> Gathered:
        """The same without cases that cannot be prepared, as if the check had found their faults.

        Raises:
            DataError: Nothing is left.
        """
        if not faults:
            return self
        left = gather(self.report.with_faults(faults), skip_bad=True)
        return replace(left, unprepared=(*self.unprepared, *faults))


def generator_of(manifest: Manifest, allowed: Allowed) -> Generator:
    """What generates data of a manifest.

    Raises:
        DefinitionError: Nothing does.
    """
    if manifest.sample is None:
        raise DefinitionError(f"the data set {manifest.name} has no generated sample. {needs_data(manifest)}")
    made: Generator = build(manifest.sample, at="sample", kind=None, allowed=allowed)
    return made


def with_known_classes(manifest: Manifest, root: Path | None, allowed: Allowed) -> Manifest:
    """The manifest with names for its classes: its own, else those of the data, else of the generated sample.

    Args:
        manifest: Of the data.
        root: Their folder; None where only the declaration is looked at.
        allowed: Where the generator, and a layout of the manifest's own, may come from.

    Raises:
        DefinitionError: The classes cannot be known without data.
        DataError: The data tell no classes.
    """
    if not manifest.open_classes:
        return manifest
    if root is not None:
        return manifest.with_classes(found_classes(manifest, root, allowed))
    known = None if manifest.sample is None else getattr(generator_of(manifest, allowed), "classes", None)
    if not known:
        raise DefinitionError(
            f"the classes of the data set {manifest.name} are those that are found in the data: give its folder with "
            "--data, or name them under 'classes' of the manifest."
        )
    return manifest.with_classes(tuple(known))


def needs_data(manifest: Manifest) -> str:
    """What to get, from where, and how to say that it is there."""
    return (
        f"Give its folder with --data PATH. How to get it: {' '.join(manifest.obtain.split())} "
        f"Source: {' '.join(manifest.source.split())}"
    )


def find_data(
    definition: PipelineDefinition,
    manifest: Manifest,
    data: Path | None,
    options: RunOptions,
    progress: Progress,
) -> Path:
    """The folder of the data: the given one, else the generated sample in the cache, made there if it is not whole.

    Raises:
        DefinitionError: No data were given, and the pipeline has no sample.
    """
    if data is not None:
        return data
    if definition.sample is None:
        raise DefinitionError(f"the pipeline {definition.name} needs data. {needs_data(manifest)}")
    generator, rule = generator_of(manifest, options.allowed), definition.sample
    kind = type(generator).__name__.lower()
    folder = samples_folder() / f"{kind}-v{generator.version}-seed{rule.seed}-{rule.cases}cases"
    clear_leftovers(folder)
    return generator.write(folder, cases=rule.cases, seed=rule.seed, progress=progress, jobs=options.at_once)


def generate(
    generator: Generator, out: Path, cases: int, seed: int, options: RunOptions, progress: Progress
) -> Path:
    """Write a sample, or what is missing of it, with its mark; gives its folder.

    Raises:
        DataError: A number is out of range, the folder holds other files, or a process ended unexpectedly.
    """
    clear_leftovers(out)
    others = begin_sample(out)
    made = generator.write(out, cases=cases, seed=seed, progress=progress, jobs=options.at_once)
    mark_sample(made, others)
    return made


def check_data(
    manifest: Manifest,
    channels: tuple[str, ...],
    root: Path,
    options: RunOptions,
    progress: Progress,
    *,
    generated: bool = False,
    reference: str | None = None,
) -> Report:
    """List and read every case; what was read before and has not changed is not read again.

    Names in the pipeline's own sample hide nobody: they stay as they are, so that it is shared out alike everywhere.
    Of a sample in a folder that was given they are what the manifest says, as of all that is given.

    Args:
        manifest: Of the data.
        channels: Which channels to read.
        root: Folder of the data.
        options: Of the run.
        progress: Where it is shown.
        generated: Whether `root` is the pipeline's own sample.
        reference: The channel onto whose grid the others are resampled; None where other grids are refused.
    """
    clear_cache_leftovers()
    root = root.absolute() if options.on else root  # a worker is in a folder of its own
    manifest = manifest.model_copy(update={"ids": "pseudonyms"}) if generated else manifest
    listing = scan(manifest, root, only=channels, allowed=options.allowed, progress=progress)
    with working(options, progress) as crew:
        report = check(
            listing,
            manifest,
            channels,
            jobs=crew,
            progress=progress,
            remember=cache_folder() / "checked",
            reference=reference,
        )
    return replace(report, made_up=frozenset(_made_up(report, generated=generated)))


def _made_up(report: Report, *, generated: bool) -> Iterator[str]:
    """Cases whose images were generated, each by its own mark or its sample's; who drew on them does not matter."""
    marks, facts = Marks(), {each.case: each for each in report.facts}
    for case in report.listing.cases:
        known = facts[case.id]
        images = {part: each for part, each in known.contents.items() if part in case.images}
        if generated or marks.hold(case.files, images, known.made_up):
            yield case.id


CHANGED = "The run had none when it began: put the data back as they were and resume, or begin a new run."
"""What to do about faults that a run meets only as it goes on: to leave cases out would make another run of it."""


def gather(report: Report, *, skip_bad: bool, otherwise: str = "") -> Gathered:
    """The cases that can be learned from.

    Args:
        report: What the check found.
        skip_bad: Whether to leave out cases with faults.
        otherwise: What to do about faults; empty for commands that have --skip-bad.

    Raises:
        DataError: There are faults and `skip_bad` is not set, or nothing is left.
    """
    faults = report.faults
    good = tuple(report.good)
    named = tuple(sorted({fault.case for fault in (*faults, *report.skipped) if fault.case}))
    if faults and not skip_bad:
        count, them = (f"{len(faults)} faults", "them") if len(faults) > 1 else ("1 fault", "it")
        go_on = "go on without these cases" if any(each.case for each in faults) else "go on all the same"
        mend = f"Mend {them}, or {go_on}: --skip-bad." if labelled(good) else f"Mend {them}."
        remedy = otherwise or mend
        raise DataError(
            f"{count} in the data, {len(good)} case{'' if len(good) == 1 else 's'} without. {remedy}", faults
        )
    if not labelled(good):
        raise DataError("no case can be used.", faults)
    return Gathered(report, good, named)


def without_text(gathered: Gathered) -> str:
    """What a run goes on without, and in spite of what, as a sentence without a full stop."""
    faults = gathered.report.faults
    count, others = len({each.case for each in faults} - {""}), sum(not each.case for each in faults)
    have, are = (
        "case that has" if count == 1 else "cases that have",
        "fault is" if others == 1 else "faults are",
    )
    cases = f"Going on without {count} {have} faults" if count else ""
    whole = f"{others} {are} of the data set itself, so more may be missing"
    return f"{cases}. {whole}" if cases and others else cases or f"Going on, though {whole}"
