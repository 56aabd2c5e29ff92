"""Reductions and clusters of scikit-learn: learned from training and unlabelled cases, applied to the others."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from medseg.errors import DataError, DefinitionError
from medseg.learning.features.table import FITTED, fitted, numbers

Ask = Literal["transform", "predict"]
"""What is asked of an estimator: coordinates of cases, or their clusters."""

_ANY_TWO = 2  # of one case there is nothing to learn


@dataclass(frozen=True)
class Found:
    """What an estimator says of cases.

    Attributes:
        estimator: As it was fitted.
        cases: (M,) which rows of the table it says something of: all, or those that it was fitted on.
        given: (M, D) coordinates, or (M,) clusters.
        applies: Whether it can be applied to cases that it was not fitted on; else it only describes.
        notes: What the library warned of.
    """

    estimator: Any
    cases: NDArray[np.intp]
    given: NDArray[Any]
    applies: bool
    notes: tuple[str, ...]


def refuse_other(estimator: Any, ask: Ask) -> None:
    """Refuse an estimator that does not do what is asked, or whose settings it refuses itself.

    Raises:
        DefinitionError: It is of another kind, or a setting is out of its range.
    """
    if not hasattr(estimator, f"fit_{ask}"):
        kind = "a reduction (fit_transform)" if ask == "transform" else "a clustering of cases (fit_predict)"
        raise DefinitionError(
            f"method: {_name(estimator)} is no {kind.removeprefix('a ')}. Name another class."
        )
    if not hasattr(estimator, "_parameter_constraints"):  # of another library, such as UMAP
        return
    try:
        # scikit-learn looks at settings when it fits, which is after an hour of features
        getattr(estimator, "_validate_params", lambda: None)()
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"method: {_name(estimator)} refuses its settings: {error}") from error


def learn(estimator: Any, frame: pd.DataFrame, *, ask: Ask, standardise: bool) -> Found:
    """Fit on the cases of training and the unlabelled, and apply to the others where that can be done.

    Args:
        estimator: Of scikit-learn's form, unfitted.
        frame: A row a case: keys and numbers.
        ask: What for.
        standardise: Whether numbers first get a mean of 0 and a standard deviation of 1, over the same cases.

    Raises:
        DataError: There are too few cases, they are all the same, or the estimator refuses them.
    """
    mine, table = fitted(frame), numbers(frame)
    if mine.sum() < _ANY_TWO:
        raise DataError(
            f"{_name(estimator)} needs two cases or more with the role {' or '.join(FITTED)}, and got {mine.sum()}."
        )
    if (np.ptp(table[mine], axis=0) == 0).all():
        raise DataError(
            f"all {table.shape[1]} numbers are the same in all {mine.sum()} cases, so that there is nothing to tell "
            "them apart. Take another layer in the step Embed, or other weights."
        )
    if standardise:
        table = standardised(table, mine)
    applies, rest = hasattr(estimator, ask), np.flatnonzero(~mine)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            values = np.asarray(getattr(estimator, f"fit_{ask}")(table[mine]))
            if applies and rest.size:
                values = np.concatenate([values, np.asarray(getattr(estimator, ask)(table[rest]))])
        except Exception as error:  # estimators raise anything at data that do not suit them
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise DataError(
                f"{_name(estimator)} cannot be fitted on {mine.sum()} cases of {table.shape[1]} numbers: {reason}"
            ) from error
    cases = np.flatnonzero(mine)
    if applies:
        order = np.argsort(np.concatenate([cases, rest]), kind="stable")
        cases, values = np.arange(len(frame)), values[order]
    notes = dict.fromkeys(" ".join(str(each.message).split()) for each in heard)
    return Found(estimator, cases, values, applies, tuple(notes))


def standardised(table: NDArray[np.float64], mine: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, F) with a mean of 0 and a standard deviation of 1 over some cases; what does not vary stays."""
    found: NDArray[np.float64] = StandardScaler().fit(table[mine]).transform(table)
    return found


def _name(estimator: Any) -> str:
    return type(estimator).__name__
