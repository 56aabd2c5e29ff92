"""Tables of several test parts as one: each case was tested once, by a model that had not seen it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from medseg.errors import RunError

if TYPE_CHECKING:
    from pandas import DataFrame

Part = Mapping[str, "DataFrame"]
"""The tables of one test part, as `Evaluation.tables` gives them."""


@dataclass(frozen=True)
class Pooled:
    """Scores of several test parts together.

    Attributes:
        tables: As `Evaluation.tables` gives those of one.
        figures: What draws each figure, by its name.
    """

    tables: Mapping[str, DataFrame]
    figures: Mapping[str, Callable[[], Figure]]


def joined(parts: Sequence[Part], ending: str, key: Sequence[str]) -> DataFrame:
    """The rows of a table of all parts, sorted by their key.

    Args:
        parts: Of the tests.
        ending: Which table.
        key: Columns that tell a row from all others.

    Raises:
        RunError: Two parts have rows of one key: they did not share the cases out.
    """
    import pandas as pd  # noqa: PLC0415 - half a second

    frame = pd.concat([part[ending] for part in parts], ignore_index=True)
    if frame.duplicated(list(key)).any():
        raise RunError("two folds tested the same case, so that their scores cannot be put together")
    return frame.sort_values(list(key), kind="stable", ignore_index=True)


def summed(parts: Sequence[Part], classes: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """(K, K) the confusion matrices of all parts added up; rows are the truth."""
    names = list(classes)
    matrices = [part["_confusion"].set_index("truth").loc[names, names] for part in parts]
    return np.sum(matrices, axis=0).astype(np.int64)
