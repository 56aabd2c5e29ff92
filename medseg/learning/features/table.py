"""A table of numbers for each case, as a file: features, or what they were reduced to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medseg.errors import RunError
from medseg.places import written_whole

KEYS = ("case", "group", "role")
"""The first columns of each table: public names of the case and of its patient, and the role."""

FITTED = ("train", "unlabelled")
"""The roles from whose cases scalers, reductions and clusters are learned."""


@dataclass(frozen=True)
class NumberTable:
    """A parquet file with a row for each case.

    Attributes:
        path: Of the file: the columns of `KEYS`, then numbers.
        step: The step that made it.
        facts: What else is known of it, such as the layer that features are of.
    """

    path: Path
    step: str
    facts: Mapping[str, Any]

    def read(self) -> pd.DataFrame:
        """The table.

        Raises:
            RunError: The file is gone, or is no such table.
        """
        try:
            frame = pd.read_parquet(self.path, engine="pyarrow")
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.path.name} of the run cannot be read. Start the pipeline again."
            ) from error
        if tuple(frame.columns[: len(KEYS)]) != KEYS or frame.duplicated(["case", "role"]).any():
            raise RunError(f"{self.path.name} of the run is damaged. Start the pipeline again.")
        return frame


def write_table(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table as parquet, whole or not at all."""
    with written_whole(path) as target:
        frame.to_parquet(target, engine="pyarrow", index=False)
    return path


def number_table(keys: pd.DataFrame, values: NDArray[Any], names: Sequence[str]) -> pd.DataFrame:
    """Put numbers (N, F) beside the keys of their N cases, as float32."""
    columns = pd.DataFrame(values.astype(np.float32), columns=list(names), index=keys.index)
    return pd.concat([keys[list(KEYS)], columns], axis=1)


def numbers(frame: pd.DataFrame) -> NDArray[np.float64]:
    """(N, F) of a table, without its keys."""
    found: NDArray[np.float64] = frame.drop(columns=list(KEYS)).to_numpy(np.float64, copy=True)
    return found


def fitted(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """(N,) of a table: which cases scalers, reductions and clusters are learned from."""
    found: NDArray[np.bool_] = frame["role"].isin(FITTED).to_numpy()
    return found
