"""Looking at a folder that no manifest describes, and drafting a pipeline for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.pipeline.options import RunOptions
from medseg.places import cache_folder
from medseg.progress import LOADING, Progress, Silent

if TYPE_CHECKING:
    from medseg.datasets.scanning.look import Look


@dataclass(frozen=True)
class NewPipeline:
    """A manifest and a definition that were drafted.

    Attributes:
        name: Of both.
        look: At the folder that they are for.
        manifest: Where the manifest was written.
        definition: Where the definition was written.
        questions: What a person must decide, each marked TODO in the manifest.
    """

    name: str
    look: Look
    manifest: Path
    definition: Path
    questions: tuple[str, ...]


def scan(folder: str | Path, *, progress: Progress | None = None, jobs: int | None = None) -> Look:
    """Look at a folder that no manifest describes: its files, its layout, and what images and label maps hold.

    Nothing is written but what is remembered in the cache; what did not change since is not read again. Of large
    data sets 40 cases are read whole, and the label maps of 1000.

    Args:
        folder: The folder.
        progress: Where it is shown.
        jobs: Cases that are read at a time.

    Raises:
        DataError: It is no folder, or holds several data sets; says what to name instead.
    """
    from medseg.datasets.scanning.look import look  # noqa: PLC0415  # imports nibabel and SciPy

    at_once = RunOptions.of(jobs=jobs).at_once
    return look(Path(folder), jobs=at_once, progress=progress, remember=cache_folder() / "checked")


def new_pipeline(
    name: str,
    data: str | Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> NewPipeline:
    """Draft a manifest and a definition for a folder, `data_manifests/NAME.yaml` and `pipelines/NAME.yaml`.

    Args:
        name: Of both: letters, digits and `_`, with a letter first.
        data: The folder.
        force: Overwrite what is there.
        progress: Where it is shown.
        jobs: Cases that are read at a time.

    Raises:
        DefinitionError: The name can be none, or is taken.
        DataError: There is nothing in the folder that could be learned from; says what to do.
    """
    from medseg.pipeline.drafting.draft import drafted, places, refuse_to_overwrite, write  # noqa: PLC0415
    from medseg.pipeline.drafting.plan import Machine  # noqa: PLC0415

    places(name)
    if not force:
        refuse_to_overwrite(name)
    seen = scan(data, progress=progress, jobs=jobs)
    _ = seen.fields  # refuses what cannot be learned from, before torch is loaded
    with (progress or Silent()).bar(LOADING, 1) as bar:
        import torch  # noqa: PLC0415

        bar.advance()
    draft = drafted(name, seen, Machine(gpu=torch.cuda.is_available()))
    manifest, definition = write(draft)
    return NewPipeline(name, seen, manifest, definition, draft.questions)
