"""Opening pipelines: definition, overrides, manifest, and a check of every part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.datasets.manifest.manifest import Manifest
from medseg.named import Found, find_manifest, find_pipeline
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.declaration.overrides import apply_set, override
from medseg.pipeline.options import RunOptions
from medseg.pipeline.signature import refuse_damaged_key
from medseg.progress import LOADING, Progress, Silent
from medseg.yaml import read_yaml

if TYPE_CHECKING:
    from medseg.pipeline.resolve import Resolved


def load_pipeline(
    name: str | Path,
    *,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    sample: bool = False,  # as on the command line
) -> PipelineDefinition:
    """Read a pipeline definition by its name or path.

    Args:
        name: Such as `brats2d`, or the path of a YAML file.
        set: `path=value` strings, as on the command line.
        sample: Apply `sample.set` first, as a run without data does.

    Raises:
        DefinitionError: It is not there, or wrong.
    """
    return _load(find_pipeline(str(name)), set, sample)


def _load(found: Found, assignments: Sequence[str], sample: bool) -> PipelineDefinition:
    data = read_yaml(found.path)
    definition = PipelineDefinition.from_dict(data, str(found.path))
    if sample and definition.sample is not None:
        data = apply_set(data, definition.sample.set)
    return PipelineDefinition.from_dict(override(data, assignments), str(found.path))


def manifest_of(definition: PipelineDefinition, near: Path | None = None) -> Manifest:
    """The manifest that a definition names."""
    return Manifest.from_yaml(find_manifest(definition.manifest, near).path)


@dataclass(frozen=True)
class Opened:
    """A definition with its manifest, and where it was found."""

    definition: PipelineDefinition
    manifest: Manifest
    found: Found


def open_pipeline(name: str | Path, *, assignments: Sequence[str] = (), sample: bool = False) -> Opened:
    """A definition with its manifest.

    Raises:
        DefinitionError: The definition is not there, or wrong.
        ManifestError: The manifest is wrong.
    """
    found = find_pipeline(str(name))
    definition = _load(found, assignments, sample)
    return Opened(definition, manifest_of(definition, found.path), found)


def check_pipeline(
    name: str | Path,
    *,
    set: Sequence[str] = (),  # noqa: A002
    allow: Sequence[str] = (),
    sample: bool = False,
    data: str | Path | None = None,
    skip_bad: bool = False,
    allow_duplicates: bool = False,
    jobs: int | None = None,
    on: str = "",
    progress: Progress | None = None,
) -> Resolved:
    """Resolve every part of a pipeline, and send one blank batch through it; with data, see if a run would begin.

    Args:
        name: A pipeline.
        set: `path=value` strings that change the definition.
        allow: Packages that declared objects may come from, beside the usual ones.
        sample: Apply `sample.set` first, as a run without data does.
        data: Folder of the data. By default none are read, and classes that data tell are those of the generated
            sample.
        skip_bad: Whether the run would go on without cases that have faults.
        allow_duplicates: Whether it would go on though pictures that are one, or nearly, are in different roles.
        jobs: Cases that are read at a time.
        on: Where cases are read, such as `slurm:20` (docs/scale.md); by default on this machine.
        progress: Where it is shown.

    Raises:
        DefinitionError: Something does not exist, or does not fit.
        MedsegError: What a run would refuse of the data.
    """
    options = RunOptions.of(
        skip_bad=skip_bad, allow_duplicates=allow_duplicates, allow=allow, jobs=jobs, on=on
    )
    shown = progress or Silent()
    with shown.bar(LOADING, 1) as bar:
        from medseg.pipeline.declaration.completion import complete  # noqa: PLC0415
        from medseg.pipeline.resolve import resolve  # noqa: PLC0415

        bar.advance()
    opened, allowed = open_pipeline(name, assignments=set, sample=sample), options.allowed
    root = None if data is None else Path(data)
    whole = complete(opened.definition, opened.manifest, root, allowed)
    resolved = resolve(whole.definition, whole.manifest, allowed)
    if root is not None:
        refuse_damaged_key()
        from medseg.pipeline.checks.readiness import readiness  # noqa: PLC0415
        from medseg.pipeline.gather import check_data, gather  # noqa: PLC0415

        report = check_data(
            whole.manifest,
            whole.definition.channels,
            root,
            options,
            shown,
            reference=whole.definition.reference,
        )
        gather(report, skip_bad=skip_bad)
        ready = readiness(
            whole.definition, whole.manifest, root, report, allowed, allow_duplicates=allow_duplicates
        )
        for refusal in ready.refused:
            raise refusal
        for note in ready.notes:
            shown.say(note, loud=True)
    return resolved
