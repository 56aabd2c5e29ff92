"""Pixels of every slice by true and predicted class: what tables of all slices are made of, also over folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.added.slice_statistics import SliceTable
from medseg.learning.tasks.task import MaskTask

if TYPE_CHECKING:
    from pandas import DataFrame

ENDING = "_slice_counts"
"""What follows the role in the name of the table that holds them."""

KEY = ("case", "slice", "truth", "predicted")
"""Columns that tell a row of it from all others."""


class SliceCounts:
    """Confusion matrices of slices, and the tables that are made of them.

    Args:
        tables: What makes each; none: nothing is kept.
        task: Of K classes.
    """

    def __init__(self, tables: Sequence[SliceTable], task: MaskTask) -> None:
        self._made, self._task = tuple(tables), task
        self._counted: list[tuple[str, NDArray[np.intp], NDArray[np.int64]]] = []

    def __bool__(self) -> bool:
        """Whether there is any table."""
        return bool(self._made)

    def add(self, case: str, places: NDArray[np.intp], matrices: NDArray[np.int64]) -> None:
        """Take the slices of one case.

        Args:
            case: Its name.
            places: (S,) where in the volume they lie.
            matrices: (S, K, K) pixels of each by true (rows) and predicted class.
        """
        self._counted.append((case, places, matrices))

    def tables(self) -> Mapping[str, DataFrame]:
        """The counts, and every table of all slices, by what follows the role in the names of their files."""
        return self._of(self._frame()) if self else {}

    def pooled(self, frame: DataFrame) -> Mapping[str, DataFrame]:
        """The same of counts that other evaluations have tabled."""
        return self._of(frame) if self else {}

    def metrics(self, tables: Mapping[str, DataFrame], role: str) -> dict[str, float]:
        """`<role>/<table>/...` of every table."""
        return {
            f"{role}/{each.name}/{key}": value
            for each in self._made
            for key, value in each.metrics(tables[f"_{each.name}"]).items()
        }

    def _of(self, frame: DataFrame) -> Mapping[str, DataFrame]:
        matrices, task = _matrices(frame, self._task.classes), self._task
        made = {f"_{each.name}": each.table(matrices, task.classes, task.regions) for each in self._made}
        return {ENDING: frame, **made}

    def _frame(self) -> DataFrame:
        """A row for each slice and pair of classes that has pixels: case, slice, truth, predicted, pixels."""
        from pandas import DataFrame, concat  # noqa: PLC0415 - half a second that other evaluations do without

        names, parts = np.asarray(self._task.classes, dtype=object), []
        for case, places, matrices in self._counted:
            which, truth, predicted = np.nonzero(matrices)
            columns = (case, places[which], names[truth], names[predicted], matrices[which, truth, predicted])
            parts.append(DataFrame(dict(zip((*KEY, "pixels"), columns, strict=True))))
        return concat(parts, ignore_index=True)


def _matrices(frame: DataFrame, classes: Sequence[str]) -> NDArray[np.int64]:
    """(S, K, K) pixels of each slice of a table by true (rows) and predicted class."""
    place = {name: index for index, name in enumerate(classes)}
    slices = frame.groupby(["case", "slice"], sort=False).ngroup().to_numpy()
    found = np.zeros((slices.max(initial=-1) + 1, len(classes), len(classes)), dtype=np.int64)
    pairs = (frame[name].map(place).to_numpy() for name in ("truth", "predicted"))
    found[(slices, *pairs)] = frame["pixels"].to_numpy()
    return found
