"""The files by which the original notebook on BraTS kept which slices it learned from."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.api.data import prepare_data
from medseg.api.opening import open_pipeline
from medseg.component import Allowed, build
from medseg.datasets.roles import Role
from medseg.errors import DataError, DefinitionError
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.options import RunOptions
from medseg.places import written_whole
from medseg.progress import Progress
from medseg.splits.by_slice import Place
from medseg.splits.counts import counts_of, shrunk_note
from medseg.splits.index_file import COLUMNS, index_rows
from medseg.splits.parameters_file import COLUMNS as PARAMETERS
from medseg.splits.parameters_file import Parameters, read_parameters


@dataclass(frozen=True)
class Subdivided:
    """What was written, and how a run takes it.

    Attributes:
        parameters: `parameters.csv`.
        index: `index.csv`.
        made: Whether the index was made now.
        settings: `path=value` strings for the definition of a run on these slices: all that it needs, those of the
            call among them.
        shrunk: That there are fewer slices than the parameters ask for, as a sentence; empty where there are enough,
            or the index was not made now.
    """

    parameters: Path
    index: Path
    made: bool
    settings: tuple[str, ...]
    shrunk: str = ""


def subdivide(
    name: str | Path,
    folder: str | Path,
    data: str | Path | None = None,
    *,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    reuse: bool = False,
    rebuild: bool = False,
    allow: Sequence[str] = (),
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Subdivided:
    """Write `parameters.csv` and `index.csv`: the settings, and every slice for training and validation.

    The slices are drawn one by one, so that those of one patient are in both: this leaks, and runs on them say so.

    Args:
        name: A pipeline of volumes, whose `split` is by slice with counts for train and val.
        folder: Folder of the two files.
        data: Folder of the data; None for the generated sample.
        set: `path=value` strings that change the definition.
        reuse: Take the settings of the `parameters.csv` that is there, over those of the definition and of `set`;
            and the `index.csv` that is there.
        rebuild: Make `index.csv` anew where it is there.
        allow: Packages that declared objects may come from, beside the usual ones.
        progress: Where it is shown.
        jobs: Cases at a time.

    Raises:
        DataError: A file is there and neither `reuse` nor `rebuild` is set, or cannot be read; or the data have
            faults.
        DefinitionError: The split is not by slice, or has no counts.
    """
    place = Path(folder)
    parameters, index = place / "parameters.csv", place / "index.csv"
    there = [path.name for path in (parameters, index) if path.exists()]
    if there and not (reuse or rebuild):
        raise DataError(
            f"{' and '.join(there)} are there already. Take the settings that they hold: --reuse; make the index "
            "anew: --rebuild; or name another folder."
        )
    opened = open_pipeline(name, assignments=set, sample=data is None)
    known = read_parameters(parameters, opened.manifest.channels) if reuse and parameters.exists() else None
    asked = _parameters(opened.definition) if known is None else known
    made, shrunk = rebuild or not index.exists(), ""
    everything = _over(set, asked.settings())
    definition = open_pipeline(name, assignments=everything, sample=data is None).definition
    if made:
        store = prepare_data(name, data, set=everything, allow=allow, progress=progress, jobs=jobs)
        found: dict[Role, list[Place]] = {}
        for role in ("train", "val"):
            found[role] = [(sample.case, sample.position) for sample in store.role(role)]
        _write(index, [COLUMNS, *index_rows(found, definition.seed)])
        shrunk = shrunk_note(counts_of(definition.split), len(store.samples), "slices")
    if known is None:
        _write(parameters, [PARAMETERS, asked.row()])
    taken = [*asked.settings()[:-1], f"split={{file: {json.dumps(str(index.resolve()))}}}"]
    taken += _scored_by_validation(definition, RunOptions.of(allow=allow).allowed)
    return Subdivided(parameters, index, made, tuple(_over(set, taken)), shrunk)


def _over(given: Sequence[str], others: Sequence[str]) -> list[str]:
    """Settings with others over them: without those that the others set, or set as a whole."""
    paths = tuple(f"{_path(each)}." for each in others)
    return [*(each for each in given if not f"{_path(each)}.".startswith(paths)), *others]


def _path(setting: str) -> str:
    return setting.partition("=")[0].strip()


def _scored_by_validation(definition: PipelineDefinition, allowed: Allowed) -> list[str]:
    """The settings by which steps that score the test part score validation: the list has no test part."""
    built = {
        name: build(spec, at=f"steps.{name}", kind=None, allowed=allowed)
        for name, spec in definition.steps.items()
    }
    return [f"steps.{name}.role=val" for name, step in built.items() if getattr(step, "role", None) == "test"]


def _parameters(definition: PipelineDefinition) -> Parameters:
    rule, cut = definition.split, definition.slices
    if rule.by != "slice" or rule.train is None or not isinstance(rule.val, int):
        raise DefinitionError(
            "split expected counts of slices for training and validation: "
            "--set 'split={by: slice, train: 4000, val: 800, test: 0}'"
        )
    return Parameters(cut.axis, definition.channels, cut.size, rule.train, rule.val / rule.train)


def _write(path: Path, rows: Sequence[Sequence[object]]) -> None:
    with written_whole(path) as target, target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
