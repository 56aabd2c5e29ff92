"""Which public name stands for which case: for whoever has the data, in a file that no output holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from medseg.api.opening import open_pipeline
from medseg.datasets.key_map import CASE_COLUMNS, case_rows, refuse_key_map, source_of, write_key_map
from medseg.errors import DataError, Fault, RunError
from medseg.pipeline.options import RunOptions
from medseg.progress import Progress, Silent

#: Files by which folders are known that are handed on: of runs, cross-validations, sweeps, models, predictions and
#: images without names.
_MARKS = (
    *("run.json", "folds.json", "sweep.json", "model.json", "configs/metadata.json"),
    *("volumes.csv", "areas.csv", "classes.csv", "deidentification.csv"),
)
_HOMES = ("medseg-runs", "medseg-folds", "medseg-sweeps")


def passed_on(key_map: Path, *folders: str | Path | None) -> Iterator[Path]:
    """The folders that are handed on: those given, and every one of a run or model that a file would lie in."""
    yield from (Path(folder) for folder in folders if folder is not None)
    parents = key_map.resolve().parents
    yield from (
        each for each in parents if each.name in _HOMES or any((each / mark).is_file() for mark in _MARKS)
    )


def write_late(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a key map once all else is done.

    Raises:
        RunError: It cannot be written by now; says what is whole and how to get one.
    """
    try:
        write_key_map(path, columns, rows)
    except OSError as error:
        raise RunError(
            f"{path.name}, the key map, cannot be written any more ({error.strerror}); all else is. Write one by: "
            "medseg data key-map PIPELINE FILE --data FOLDER"
        ) from error


def write_case_map(
    name: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    allow: Sequence[str] = (),
    progress: Progress | None = None,
) -> tuple[int, tuple[Fault, ...]]:
    """Write which public name stands for which case of a pipeline's data, patient and path.

    The names are those in all that a run, an evaluation or a prediction of this user writes about these data. No
    image is read.

    Args:
        name: A pipeline.
        data: Folder of the data.
        out: A new CSV with the columns `case`, `patient`, `id`, `patient_id`, `source`, readable by its user alone;
            outside of folders of runs and models.
        set: `path=value` strings that change the definition, such as its manifest.
        allow: Packages that declared objects may come from, beside the usual ones.
        progress: Where it is shown.

    Returns:
        How many cases it lists, those that lack a file among them, and what is wrong with the data by their names.

    Raises:
        DataError: There is no case.
        RunError: `out` is taken, its folder is not there, or it is handed on.
    """
    from medseg.datasets.finding.scan import scan  # noqa: PLC0415
    from medseg.pipeline import gather  # noqa: PLC0415  # imports NumPy and nibabel

    target, shown = Path(out), progress or Silent()
    refuse_key_map(target, *passed_on(target))
    options = RunOptions.of(allow=allow)
    opened = open_pipeline(name, assignments=set)
    root = gather.find_data(opened.definition, opened.manifest, Path(data), options, shown)
    manifest = gather.with_known_classes(opened.manifest, root, options.allowed)
    channels = opened.definition.channels
    listing = scan(manifest, root, only=channels, allowed=options.allowed, progress=shown)
    cases = sorted((*listing.cases, *listing.incomplete), key=lambda case: case.id)
    if not cases:
        raise DataError("there is no case to list.", listing.faults, show_paths=manifest.ids == "pseudonyms")
    sources = {case.id: source_of(case) for case in cases}
    # Those of which no file is there at all are in messages too.
    bare = [(public, "", *listing.own[public], "") for public in sorted(listing.own.keys() - sources.keys())]
    write_key_map(target, CASE_COLUMNS, [*case_rows(cases, listing.own, sources), *bare])
    return len(cases) + len(bare), listing.faults
