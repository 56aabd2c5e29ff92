"""Logistic regression on features, with the penalty that cross-validation finds best."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from medseg.errors import DataError

CANDIDATES = tuple(float(f"{10 ** (exponent / 2):.3g}") for exponent in range(-12, 5))
"""The C that are tried: from 1e-6 to 100, two a decade."""

_ITERATIONS = 10_000

#: A feature whose standard deviation is below this share of its size is left out: rounded to float32, it would tell
#: the cases apart by its rounding.
_LEAST_SPREAD = 1e-3

#: So is one whose standard deviation is below this share of the median one. Features of a layer have one unit:
#: where one is next to nothing in training, a little of it elsewhere would be hundreds of standard deviations.
_LEAST_OF_MEDIAN = 1e-2


@dataclass(frozen=True)
class Logistic:
    """A fitted logistic regression of K classes.

    Attributes:
        strength: C: the larger, the less the coefficients are held small.
        curve: For each C that was tried the log loss of the folds: columns `C`, `log_loss`, `standard_error`, and
            `fold_1` and on.
        mean: (F,) that is taken from features.
        scale: (F,) that they are then divided by.
        coefficients: (K, F) of what is left.
        intercepts: (K,).
        model: Standardisation and regression, as scikit-learn has them; it knows the features of `used` alone.
        used: (F,) which features vary.
    """

    strength: float
    curve: pd.DataFrame
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    model: Pipeline
    used: NDArray[np.bool_]

    @property
    def best(self) -> Mapping[str, float]:
        """The row of the curve that was chosen."""
        return dict(self.curve[self.curve["C"] == self.strength].iloc[0])


@dataclass(frozen=True)
class Predicted:
    """Cases whose class was predicted: they count in the last fit alone, and in no choice.

    Attributes:
        features: (M, F) finite.
        classes: (M,) index of each case's class.
        counting: (M,) how much each counts, beside 1 of the others.
    """

    features: NDArray[np.float64]
    classes: NDArray[np.int64]
    counting: NDArray[np.float64]


def fit_logistic(
    features: NDArray[np.float64],
    classes: NDArray[np.int64],
    groups: Sequence[str],
    names: Sequence[str],
    *,
    weights: Sequence[float] | None = None,
    predicted: Predicted | None = None,
    candidates: Sequence[float] = CANDIDATES,
    folds: int = 5,
    seed: int = 0,
    tried: Callable[[], None] = lambda: None,
) -> Logistic:
    """Choose C by the mean log loss of folds that share no patient, and fit on all cases with it.

    Features are standardised within each fold by its own training part. The first C of equals is taken.

    Args:
        features: (N, F) finite.
        classes: (N,) index of each case's class.
        groups: (N,) patient of each case.
        names: Of the K classes.
        weights: (K,) how much a case of each class counts, in fits and in the log loss; None: all the same.
        predicted: Cases beside, whose class was predicted.
        candidates: The C to try, above 0.
        folds: How many.
        seed: Of the draw of the folds.
        tried: Called after each C.

    Raises:
        DataError: A class has no case or too few patients for the folds, or no feature varies.
    """
    used = _varying(features)
    _refuse_few(classes, groups, names, folds)
    held, balance = features[:, used], None if weights is None else np.asarray(weights, dtype=float)

    def loss(model: Any, given: NDArray[Any], truth: NDArray[Any]) -> float:
        each = None if balance is None else balance[truth]
        return -float(
            log_loss(truth, model.predict_proba(given), labels=range(len(names)), sample_weight=each)
        )

    parts = list(
        StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(held, classes, list(groups))
    )
    for train, _ in parts:
        lost = [name for index, name in enumerate(names) if index not in classes[train]]
        if lost:
            raise DataError(
                f"without one of {folds} folds of patients, training has no case of the class {lost[0]!r}: its "
                f"patients are too few. Add some, or take {'another number of' if folds == 2 else 'fewer'} folds."
            )
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a C that ends early only loses
        for strength in sorted(candidates):
            losses = -cross_val_score(
                _model(strength, balance), held, classes, cv=parts, scoring=loss, error_score="raise"
            )
            error = losses.std(ddof=1) / np.sqrt(folds)
            rows.append([strength, losses.mean(), error, *losses])
            tried()
    curve = pd.DataFrame(
        rows, columns=["C", "log_loss", "standard_error", *(f"fold_{each + 1}" for each in range(folds))]
    )
    strength = float(curve["C"].iloc[int(curve["log_loss"].argmin())])
    counting = np.ones(len(held))
    if predicted is not None:
        held = np.concatenate([held, predicted.features[:, used]])
        classes = np.concatenate([classes, predicted.classes])
        counting = np.concatenate([counting, predicted.counting])
    model = _model(strength, balance).fit(held, classes, logisticregression__sample_weight=counting)
    return _whole(model, strength, curve, used, len(names))


def _model(strength: float, balance: NDArray[np.float64] | None) -> Pipeline:
    weights = None if balance is None else dict(enumerate(balance))
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=strength, class_weight=weights, max_iter=_ITERATIONS)
    )


def _whole(
    model: Pipeline, strength: float, curve: pd.DataFrame, used: NDArray[np.bool_], count: int
) -> Logistic:
    """The model in terms of all features and all classes: of two, each has half of the difference."""
    scaler, regression = model[0], model[-1]
    rows, intercepts = regression.coef_, regression.intercept_
    if count == 2:
        rows, intercepts = np.concatenate([-rows, rows]) / 2, np.concatenate([-intercepts, intercepts]) / 2
    mean, scale = np.zeros(len(used)), np.ones(len(used))
    mean[used], scale[used] = scaler.mean_, scaler.scale_
    coefficients = np.zeros((count, len(used)))
    coefficients[:, used] = rows
    return Logistic(strength, curve, mean, scale, coefficients, intercepts, model, used)


def _varying(features: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(F,) which features tell cases apart."""
    size = np.abs(features).max(axis=0)
    spread = features.std(axis=0)
    used: NDArray[np.bool_] = spread > _LEAST_SPREAD * size
    if used.any():
        used &= spread > _LEAST_OF_MEDIAN * np.median(spread[used])
    else:
        raise DataError(
            f"all {features.shape[1]} features are (nearly) the same in all {len(features)} training cases: nothing "
            "can be learned from them. Take other weights (StartFrom), or another network."
        )
    return used


def _refuse_few(classes: NDArray[np.int64], groups: Sequence[str], names: Sequence[str], folds: int) -> None:
    """Refuse folds that some class has not enough patients for."""
    table = pd.DataFrame({"class": classes, "group": list(groups)})
    patients = table.groupby("class")["group"].nunique().reindex(range(len(names)), fill_value=0)
    rarest = int(patients.argmin())
    fewest = int(patients[rarest])
    if fewest == 0:
        raise DataError(
            f"no training case has the class {names[rarest]!r}: it cannot be learned. Add cases of it, give training "
            "a larger share, or take the class out of the data."
        )
    if fewest < folds:
        remedy = f"Set folds to {fewest}, or add patients" if fewest > 1 else "Add patients of it"
        raise DataError(
            f"{folds} folds need {folds} patients of each class in training, and the class {names[rarest]!r} has "
            f"{fewest}. {remedy}."
        )
