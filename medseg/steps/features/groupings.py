"""What is known of the cases of a table beside their features: class, and source of the image; and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medseg.class_names import joined
from medseg.errors import DataError, DefinitionError
from medseg.figures.classes.scatter import scatter
from medseg.figures.saving import save_figure
from medseg.learning.features.agreement import NOISE, GroupScore
from medseg.learning.features.table import NumberTable, write_table
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.image_classes import ImageClasses
from medseg.places import written_whole
from medseg.steps.step import Run, Work
from medseg.text import many

FEATURES, REDUCED, CLUSTERS = "features", "reduced", "clusters"
"""What `Work.artifacts` calls the table of features, what they were reduced to, and the clusters of cases."""

_MISSING = {"cluster": "noise", "label": "no label", "source": "not known"}


def table_of(work: Work, *names: str) -> NumberTable:
    """The first table that the work has of these names.

    Raises:
        DefinitionError: There is none.
    """
    for name in names:
        found = work.artifacts.get(name)
        if isinstance(found, NumberTable):
            return found
    raise DefinitionError(
        "there are no features yet. Put a step {_target_: medseg.steps.Embed} before this one."
    )


def class_task(predictor: Predictor, step: str) -> ImageClasses:
    """The task, if every image has one of its classes.

    Raises:
        DefinitionError: It is another one.
    """
    if not isinstance(predictor.task, ImageClasses):
        raise DefinitionError(
            f"medseg.steps.{step} is for the task medseg.learning.ImageClasses, and the task is "
            f"{type(predictor.task).__name__}. Take the step out, or train with medseg.steps.Fit."
        )
    return predictor.task


def refuse_unknown_source(predictor: Predictor, source: str | None) -> None:
    """Refuse a column that the data set does not have.

    Raises:
        DefinitionError: With the columns that it has.
    """
    known = predictor.manifest.column_names
    if source is not None and source not in known:
        raise DefinitionError(
            f"source is {source!r}, and the columns of the data set {predictor.manifest.name} are "
            f"{list(known) or 'none'}. Name one of them, or leave source out."
        )


def known_groups(work: Work, frame: pd.DataFrame, source: str | None) -> pd.DataFrame:
    """Class and source of each case of a table: columns `label` and, where a column is named, `source`.

    What is not known is missing. Where ids are identifying, so may be what a column holds: sources are then numbered.

    Raises:
        DataError: No case has a value in that column.
    """
    cases = [work.cases[name] for name in frame["case"]]
    labels = [None if case.labels is None else joined(case.labels, "none") for case in cases]
    found = pd.DataFrame({"label": pd.Series(labels, dtype=object, index=frame.index)})
    if source is None:
        return found
    values = [case.extra.get(source) or None for case in cases]
    if not any(values):
        raise DataError(
            f"no case has a value in the column {source!r}, which source names. Leave source out, or mend the column "
            "in the manifest."
        )
    if work.predictor.manifest.ids == "identifying":
        number = {name: f"source {place}" for place, name in enumerate(sorted(filter(None, set(values))), 1)}
        values = [None if value is None else number[value] for value in values]
    return found.assign(source=pd.Series(values, dtype=object, index=frame.index))


def draw(
    points: NDArray[Any], groups: Mapping[str, pd.Series], axes: tuple[str, str], what: str, run: Run
) -> None:
    """Draw cases by their first two coordinates, a panel for each grouping, and record the picture."""
    points = points if points.shape[1] > 1 else np.column_stack([points, np.zeros(len(points))])
    shown = {name: each.where(each != NOISE, None) for name, each in groups.items()}
    figure = scatter(
        points[:, :2], shown, axes=axes, heading=f"{what}: {many(len(points), 'case')}", missing=_MISSING
    )
    run.recorder.artifact(save_figure(figure, run.figures / f"{run.step}_scatter.png"), "figures")


def record_scores(scores: Sequence[GroupScore], run: Run, epoch: int) -> None:
    """Write scores as a table, record those that are defined, and say all."""
    path = run.place / f"{run.step}_scores.csv"
    rows = [[each.name, each.value, each.cases, each.why] for each in scores]
    with written_whole(path) as target:
        pd.DataFrame(rows, columns=["name", "value", "cases", "note"]).to_csv(target, index=False)
    run.recorder.artifact(path, "tables")
    defined = {f"{run.step}/{each.name}": each.value for each in scores if each.value is not None}
    run.recorder.metrics(defined, epoch)
    for each in scores:
        if each.value is None:
            run.progress.say(f"{run.step}: {each.text()}.", loud=True)
    told = ", ".join(each.text() for each in scores if each.value is not None)
    if told:
        run.progress.say(f"{run.step}: {told}.")


def keep_table(frame: pd.DataFrame, run: Run, name: str) -> None:
    """Write a table into the folder of the step, and record it."""
    run.recorder.artifact(write_table(frame, place_of(run, name).path), "tables")


def place_of(run: Run, name: str, facts: Mapping[str, Any] | None = None) -> NumberTable:
    """A table of this step, by what it holds."""
    return NumberTable(run.place / f"{run.step}_{name}.parquet", run.step, dict(facts or {}))
