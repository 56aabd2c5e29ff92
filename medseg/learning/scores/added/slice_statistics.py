"""The statistics of the original notebook on BraTS: of each image and class, weighted by the pixels of the class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medseg.errors import DefinitionError
from medseg.learning.scores.counts import Counts, dice, precision, recall

if TYPE_CHECKING:
    from pandas import DataFrame

SCORES = {"precision": precision, "sensitivity": recall, "f1": dice}
ALL = "all"
"""What the table calls all classes together."""


class SliceTable(Protocol):
    """A table of all slices together; objects of this form are named in `tables` of the step `Evaluate`."""

    @property
    def name(self) -> str:
        """What follows the role in the name of its file, and in keys."""

    def check(self, classes: Sequence[str], regions: Mapping[str, Sequence[int]]) -> None:
        """Refuse classes or regions that it cannot tell of.

        Raises:
            DefinitionError: There are such.
        """

    def table(
        self, matrices: NDArray[np.int64], classes: Sequence[str], regions: Mapping[str, Sequence[int]]
    ) -> DataFrame:
        """The table.

        Args:
            matrices: (S, K, K) pixels of each slice by true (rows) and predicted class.
            classes: Names of the K classes.
            regions: Class indices that each region joins.
        """

    def metrics(self, table: DataFrame) -> Mapping[str, float]:
        """What a tracker keeps of it, by name."""


class SliceStatistics:
    """Precision, sensitivity and F1 of each slice and class, averaged with the class's true pixels as weights.

    Of slices i with N_i true pixels of a class and the score X_i:

        mean                sum(N X) / sum(N)
        deviation           sqrt(sum(N^2 X^2) / sum(N^2) - (sum(N X) / sum(N))^2)
        weighted_deviation  sqrt(sum(N (X - mean)^2) / sum(N))

    The deviation is that of the original. Its two terms have different weights, so that the radicand may be negative:
    then it is 0, and `negative_radicand` says so. The weighted deviation is the usual one. A slice without the class
    has no weight; where a class is there and nowhere predicted, precision and F1 are 0, as scikit-learn has them with
    `zero_division=0`, and not left out as in the scores of patients.

    Rows: every class; all classes together, over all pairs of slice and class; and one region against the rest.

    Args:
        binary: The region, or class, that is told from the rest, such as the whole tumour.
        name: What the table is called.

    Raises:
        ValueError: One of them is no text.
    """

    def __init__(self, binary: str, name: str = "slice_statistics") -> None:
        for key, value in (("binary", binary), ("name", name)):
            if not isinstance(value, str) or not value.isidentifier():
                raise ValueError(f"{key} is {value!r}, expected a name of letters, digits and _")
        self.binary, self.name = binary, name

    def check(self, classes: Sequence[str], regions: Mapping[str, Sequence[int]]) -> None:
        """Refuse a name that is no class or region.

        Raises:
            DefinitionError: It is none.
        """
        if self.binary not in (*classes, *regions):
            raise DefinitionError(
                f"tables: binary is {self.binary!r}, expected one of {', '.join([*classes, *regions])}"
            )

    def table(
        self, matrices: NDArray[np.int64], classes: Sequence[str], regions: Mapping[str, Sequence[int]]
    ) -> DataFrame:
        """The statistics.

        Returns:
            A row for each name and score: name, score, pixels (true ones), slices (that have some), mean, deviation,
            negative_radicand, weighted_deviation. Without true pixels the numbers are NaN.
        """
        from pandas import DataFrame  # noqa: PLC0415 - half a second that other evaluations do without

        members = regions.get(self.binary) or (list(classes).index(self.binary),)
        inside = np.isin(np.arange(len(classes)), list(members)).astype(np.int64)
        joined = np.stack([1 - inside, inside])  # (2, K)
        either = joined @ matrices @ joined.T
        rows = [
            *_rows(_counts(matrices), [*classes, ALL]),
            *_rows(_counts(either), [f"not_{self.binary}", self.binary, f"{self.binary}_or_not"]),
        ]
        columns = (
            "name",
            "score",
            "pixels",
            "slices",
            "mean",
            "deviation",
            "negative_radicand",
            "weighted_deviation",
        )
        return DataFrame(rows, columns=list(columns))

    def metrics(self, table: DataFrame) -> Mapping[str, float]:
        """`<score>/<name>` and `<score>/<name>/deviation`, where there are true pixels."""
        found: dict[str, float] = {}
        for row in table[table["pixels"] > 0].to_dict("records"):
            key = f"{row['score']}/{row['name']}"
            found |= {key: float(row["mean"]), f"{key}/deviation": float(row["deviation"])}
        return found


def _counts(matrices: NDArray[np.int64]) -> Counts[NDArray[np.int64]]:
    """Counts (S, K) of each slice and class."""
    tp = np.diagonal(matrices, axis1=1, axis2=2)
    truth, predicted = matrices.sum(axis=2), matrices.sum(axis=1)
    total = matrices.sum(axis=(1, 2))[:, None]
    return Counts(tp, predicted - tp, truth - tp, total - truth - predicted + tp)


def _rows(counts: Counts[NDArray[np.int64]], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of each class, and of all of them together, for which the last name is."""
    pixels = (counts.tp + counts.fn).astype(float)
    for score, formula in SCORES.items():
        values = np.nan_to_num(formula(*counts))
        each = [(pixels[:, k], values[:, k]) for k in range(pixels.shape[1])]
        for name, (weights, scored) in zip(names, [*each, (pixels.ravel(), values.ravel())], strict=True):
            yield {"name": name, "score": score, **statistics(weights, scored)}


def statistics(pixels: NDArray[np.float64], values: NDArray[np.float64]) -> dict[str, Any]:
    """The statistics of a score; see `SliceStatistics`.

    Args:
        pixels: (n,) N, the weights.
        values: (n,) X, the scores.
    """
    total = float(pixels.sum())
    found: dict[str, Any] = {"pixels": int(total), "slices": int(np.count_nonzero(pixels))}
    if not total:
        unknown = dict.fromkeys(("mean", "deviation", "weighted_deviation"), np.nan)
        return {**found, **unknown, "negative_radicand": False}
    mean = float(pixels @ values) / total
    squares = pixels**2
    radicand = float(squares @ values**2 / squares.sum()) - mean**2
    return {
        **found,
        "mean": mean,
        "deviation": float(np.sqrt(max(radicand, 0.0))),
        "negative_radicand": radicand < 0,
        "weighted_deviation": float(np.sqrt(pixels @ (values - mean) ** 2 / total)),
    }
