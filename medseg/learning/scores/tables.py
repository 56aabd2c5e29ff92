"""Tables of scores, and what trackers keep of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medseg.class_names import joined
from medseg.errors import RunError
from medseg.files.regular import open_regular
from medseg.learning.scores.class_measures import ClassMeasures
from medseg.learning.scores.intervals import OVER_IMAGES

if TYPE_CHECKING:
    from pandas import DataFrame


TEXTS = ("case", "group", "name", "score", "truth", "predicted")
"""Columns of tables that hold text."""

MOST_BYTES = 256_000_000
"""A table of more bytes is refused, as are those of more columns, rows or cells: somebody else may have made it."""

MOST_COLUMNS = 3_000
"""A probability for each of a thousand classes leaves room; pandas takes minutes for tens of thousands."""

MOST_ROWS = 2_000_000
MOST_CELLS = 30_000_000


def read_scores(path: Path) -> DataFrame:
    """A table of scores; names stay what they are: a class may be called `None`, all together have none.

    Raises:
        RunError: It is damaged, or larger than any table of scores.
        OSError: It cannot be read; see `open_regular`.
    """
    import pandas as pd  # noqa: PLC0415  # half a second

    with open_regular(path) as file:
        raw = file.read(MOST_BYTES + 1)
    try:
        if more := _more(raw):
            raise RunError(
                f"{path.name} is damaged: it has more than {more}, and no table of scores has so many. Put it back, "
                "or start again."
            )
        columns = pd.read_csv(io.BytesIO(raw), nrows=0).columns
        numbers = {column: [""] for column in columns if column not in TEXTS}
        texts = dict.fromkeys(TEXTS, str)
        return pd.read_csv(io.BytesIO(raw), dtype=texts, keep_default_na=False, na_values=numbers)
    except (ValueError, csv.Error) as error:  # nothing in it, lines of other lengths, or no UTF-8
        raise RunError(f"{path.name} is damaged: it holds no table. Put it back, or start again.") from error


def _more(raw: bytes) -> str:
    """The bound that a table is beyond; empty where pandas can read it."""
    if len(raw) > MOST_BYTES:
        return f"{MOST_BYTES:,} bytes"
    if raw.count(b"\n") + raw.count(b"\r") > 2 * MOST_ROWS:  # lines may end in both
        return f"{MOST_ROWS:,} rows"
    if raw.count(b",") > MOST_CELLS:
        return f"{MOST_CELLS:,} cells"
    lines = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""))
    return f"{MOST_COLUMNS:,} columns" if max(map(len, lines), default=0) > MOST_COLUMNS else ""


def read_summary(path: Path) -> DataFrame:
    """A summary: of each name and score the mean, its interval, and the number of patients.

    Raises:
        RunError: It is damaged, or another table.
    """
    from pandas.api.types import is_numeric_dtype  # noqa: PLC0415  # half a second

    found = read_scores(path)
    counts = [name for name in ("patients", "cases") if name in found or name == "patients"]
    numbers = ["mean", "low", "high", *counts]
    lacking = [name for name in ("name", "score", *numbers) if name not in found]
    if lacking:
        reason = f"it has no column {lacking[0]}"
    elif found.empty or not all(is_numeric_dtype(found[name]) for name in numbers):
        reason = "it holds no scores"
    elif not np.isfinite(found[counts].to_numpy()).all():
        reason = "it does not say of how many patients each score is"
    else:
        return found
    raise RunError(f"{path.name} is no summary of scores: {reason}. Put it back, or start again.")


def case_table(
    measures: ClassMeasures, classes: Sequence[str], cases: Sequence[str], groups: Sequence[str]
) -> DataFrame:
    """Give the predictions for each image: see `ClassScorer.frame`."""
    from pandas import DataFrame  # noqa: PLC0415 - half a second that training's validation does without

    columns: dict[str, Any] = {
        "case": list(cases),
        "group": list(groups),
        "truth": _names(measures.truth, classes),
        "predicted": _names(measures.chosen, classes),
        "confidence": measures.confidence,
        "correct": measures.correct,
    }
    probabilities = zip(classes, measures.probabilities.T, strict=True)
    columns |= {f"probability_{name}": values for name, values in probabilities}
    for (k, score), values in measures.added.items():
        columns[score if k is None else f"{score}_{classes[k]}"] = values
    return DataFrame(columns)


def summary_table(
    measures: ClassMeasures,
    classes: Sequence[str],
    groups: NDArray[np.intp],
    found: Mapping[tuple[int | None, str], Mapping[str, float]],
) -> DataFrame:
    """Arrange the scores, all classes together first: see `ClassScorer.summary`.

    Args:
        measures: Of N images.
        classes: Names.
        groups: (N,) indices of each image's group.
        found: As `intervals.over_images` gives it; what is not there is left out.
    """
    from pandas import DataFrame  # noqa: PLC0415 - as above

    added = dict.fromkeys(score for _, score in measures.added)
    rows: list[dict[str, Any]] = []
    for k, name in [(None, ""), *enumerate(classes)]:
        scores = (*(measures.of_all if k is None else measures.of_class), *added)
        rows += [{"name": name, "score": score, **found[k, score]} for score in scores if (k, score) in found]
        if k is None:
            continue
        for score, has in (("support", measures.truth[:, k]), ("predicted", measures.chosen[:, k])):
            behind = {"patients": len(np.unique(groups[has])), "cases": int(has.sum()), "resamples": 0}
            rows.append(
                {"name": name, "score": score, "mean": float(has.sum()), "low": np.nan, "high": np.nan}
                | behind
            )
    return DataFrame(rows, columns=["name", "score", *OVER_IMAGES])


def matrix_table(matrix: NDArray[np.int64], classes: Sequence[str]) -> DataFrame:
    """Give a confusion matrix (K, K) with the names of its classes; rows are the truth."""
    from pandas import DataFrame, Index  # noqa: PLC0415 - as above

    return DataFrame(matrix, index=Index(classes, name="truth"), columns=list(classes))


def metrics_of(
    summary: DataFrame, role: str, scores: Container[str], written: Callable[[str], str] = str
) -> dict[str, float]:
    """Name the figures of a summary that a tracker shows.

    Args:
        summary: As scorers give it: rows of name (of a class or region; empty for all together), score, and
            statistics.
        role: `train`, `val` or `test`.
        scores: Names of those that are shown; the tables of the run hold all.
        written: How a name is written in a key: `key_name` of classes of images, which may hold any character.

    Returns:
        `<role>/<score>/<name>`, or `<role>/<score>` of all together, is the mean; `/low` and `/high` follow it,
        the ends of its interval. What is undefined (NaN) is omitted.

    Raises:
        ValueError: Two figures would have one key.
    """
    endings = {"mean": "", "low": "/low", "high": "/high"}
    rows: Sequence[Mapping[Any, Any]] = summary[summary["score"].map(lambda score: score in scores)].to_dict(
        "records"
    )
    found: dict[str, float] = {}
    for row in rows:
        stem = "/".join(filter(None, (role, row["score"], row["name"] and written(row["name"]))))
        for statistic, ending in endings.items():
            if np.isnan(row[statistic]):
                continue
            if stem + ending in found:
                raise ValueError(f"two figures would both be kept as {stem + ending}; rename a class")
            found[stem + ending] = float(row[statistic])
    return found


def _names(indicators: NDArray[np.bool_], classes: Sequence[str]) -> list[str]:
    """The names of each row, joined."""
    names = np.asarray(classes, dtype=object)
    return [joined(names[row]) for row in indicators]
