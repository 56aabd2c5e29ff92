"""Looking at a folder that no manifest describes, and drafting a pipeline for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.errors import DefinitionError
from medseg.learning.settings import is_number
from medseg.pipeline.options import RunOptions, working
from medseg.places import cache_folder
from medseg.progress import LOADING, Progress, Silent

if TYPE_CHECKING:
    import torch

    from medseg.datasets.manifest.manifest import Manifest
    from medseg.datasets.scanning.look import Look
    from medseg.pipeline.declaration.definition import PipelineDefinition
    from medseg.pipeline.drafting.budget import Course, Pace
    from medseg.pipeline.drafting.draft import Clock


@dataclass(frozen=True)
class NewPipeline:
    """A manifest and a definition that were drafted.

    Attributes:
        name: Of both.
        look: At the folder that they are for.
        manifest: Where the manifest was written.
        definition: Where the definition was written.
        questions: What a person must decide, each marked TODO in the manifest.
        course: How long the training is, and what it should take.
    """

    name: str
    look: Look
    manifest: Path
    definition: Path
    questions: tuple[str, ...]
    course: Course


def scan(
    folder: str | Path, *, progress: Progress | None = None, jobs: int | None = None, on: str = ""
) -> Look:
    """Look at a folder that no manifest describes: its files, its layout, and what images and label maps hold.

    Nothing is written but what is remembered in the cache; what did not change since is not read again. Of large
    data sets 40 cases are read whole, and the label maps of 1000.

    Args:
        folder: The folder.
        progress: Where it is shown.
        jobs: Cases that are read at a time.
        on: Where cases are read, such as `slurm:20` (docs/scale.md); by default on this machine.

    Raises:
        DataError: It is no folder, or holds several data sets; says what to name instead.
    """
    from medseg.datasets.scanning.look import look  # noqa: PLC0415  # imports nibabel and SciPy

    options, root = RunOptions.of(jobs=jobs, on=on), Path(folder)
    with working(options, progress or Silent()) as crew:
        return look(
            root.absolute() if on else root, jobs=crew, progress=progress, remember=cache_folder() / "checked"
        )


def new_pipeline(
    name: str,
    data: str | Path,
    *,
    minutes: float | None = None,
    force: bool = False,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> NewPipeline:
    """Draft a manifest and a definition for a folder, `data_manifests/NAME.yaml` and `pipelines/NAME.yaml`.

    Args:
        name: Of both: letters, digits and `_`, with a letter first.
        data: The folder.
        minutes: What the training may take on this machine: a few steps are measured, and network, batch and
            epochs chosen so that it does. By default 10, on a GPU 30; 0 measures nothing, for about 3000 steps.
        force: Overwrite what is there.
        progress: Where it is shown.
        jobs: Cases that are read at a time.

    Raises:
        DefinitionError: The name can be none, or is taken.
        DataError: There is nothing in the folder that could be learned from; says what to do.
    """
    from medseg.pipeline.drafting.draft import drafted, places, refuse_to_overwrite, write  # noqa: PLC0415
    from medseg.pipeline.drafting.machine import Machine  # noqa: PLC0415

    if minutes is not None and not (is_number(minutes) and minutes >= 0):
        raise DefinitionError(f"minutes is {minutes!r}, expected a number, 0 or more")

    places(name)
    if not force:
        refuse_to_overwrite(name)
    seen = scan(data, progress=progress, jobs=jobs)
    _ = seen.fields  # refuses what cannot be learned from, before torch is loaded
    shown = progress or Silent()
    with shown.bar(LOADING, 1) as bar:
        import torch  # noqa: PLC0415

        bar.advance()
    gpu = torch.cuda.is_available()
    clock = None if minutes == 0 else _clock(Path(data), torch.device("cuda" if gpu else "cpu"), shown)
    draft = drafted(name, seen, Machine(gpu=gpu), minutes, clock)
    manifest, definition = write(draft)
    return NewPipeline(name, seen, manifest, definition, draft.questions, draft.course)


def _clock(root: Path, device: torch.device, progress: Progress) -> Clock:
    """Measures the training of a definition for a folder."""
    from medseg.allowed import SHIPPED  # noqa: PLC0415
    from medseg.pipeline.declaration.completion import complete  # noqa: PLC0415
    from medseg.pipeline.drafting.pace import measured  # noqa: PLC0415

    def clock(definition: PipelineDefinition, manifest: Manifest) -> Pace:
        with progress.bar("measuring a few steps", 1) as bar:
            whole = complete(definition, manifest, root, SHIPPED)
            pace = measured(whole.definition, whole.manifest, device)
            bar.advance()
        return pace

    return clock
