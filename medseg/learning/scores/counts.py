"""Counts of true and false positives and negatives, and every score that follows from them.

The one rule for what is empty, used everywhere in medseg:

    A ratio 0/0 is undefined for a patient and is left out of the mean; `patients` tells how many remain.

| truth | prediction | Dice, IoU, F1 | precision | recall   | HD95                   |
| ----- | ---------- | ------------- | --------- | -------- | ---------------------- |
| empty | empty      | left out      | left out  | left out | left out               |
| empty | some       | 0             | 0         | left out | diagonal of the volume |
| some  | empty      | 0             | left out  | 0        | diagonal of the volume |

Left out is written NaN in tables, and no key at all among metrics. Volume differences are always defined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medseg.datasets.unannotated import annotated

N = TypeVar("N")
"""int, or an array."""


class Counts(NamedTuple, Generic[N]):
    """True and false positives and negatives: voxels, pixels or images; numbers, or arrays of one shape.

    Attributes:
        tp: In truth and in prediction.
        fp: In the prediction alone.
        fn: In the truth alone.
        tn: In neither.
    """

    tp: N
    fp: N
    fn: N
    tn: N


class CountScore(Protocol):
    """A score of counts, numbers or arrays of one shape."""

    def __call__(self, tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike, /) -> NDArray[np.float64]:
        """The score, of their shape; NaN where 0/0."""


def ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Divide element by element; NaN where the whole is 0, as the rule for what is empty demands."""
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    out = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    return np.divide(part, whole, out=out, where=whole != 0)


def _real(*counts: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Counts as float64, which holds them exactly below 2^53, and whose products do not overflow."""
    return tuple(np.asarray(count, dtype=float) for count in counts)


def dice(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike = 0) -> NDArray[np.float64]:
    """Dice, "Measures of the amount of ecologic association between species", Ecology 26 (1945).

    It is the F1 score of van Rijsbergen (1979), and listed under both names since people ask for both.
    """
    return fbeta(tp, fp, fn, tn, beta=1)


def fbeta(
    tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike = 0, *, beta: float
) -> NDArray[np.float64]:
    """F-beta score: recall counts beta times as much as precision.

    van Rijsbergen, "Information Retrieval" (1979).
    """
    del tn
    tp, fp, fn = _real(tp, fp, fn)
    square = beta**2
    return ratio((1 + square) * tp, square * (tp + fn) + (tp + fp))


def iou(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike = 0) -> NDArray[np.float64]:
    """Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 11 (1912)."""
    del tn
    tp, fp, fn = _real(tp, fp, fn)
    return ratio(tp, tp + fp + fn)


def precision(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike = 0, tn: ArrayLike = 0) -> NDArray[np.float64]:
    """Precision: the share of predicted voxels that are true."""
    del fn, tn
    tp, fp = _real(tp, fp)
    return ratio(tp, tp + fp)


def recall(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike = 0) -> NDArray[np.float64]:
    """Recall, or sensitivity: the share of true voxels that are predicted."""
    del fp, tn
    tp, fn = _real(tp, fn)
    return ratio(tp, tp + fn)


def specificity(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike) -> NDArray[np.float64]:
    """Specificity: the share of voxels outside the truth that are outside the prediction."""
    del tp, fn
    fp, tn = _real(fp, tn)
    return ratio(tn, tn + fp)


def accuracy(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike) -> NDArray[np.float64]:
    """Share of all that is right."""
    tp, fp, fn, tn = _real(tp, fp, fn, tn)
    return ratio(tp + tn, tp + fp + fn + tn)


def balanced_accuracy(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike) -> NDArray[np.float64]:
    """Mean of recall and specificity."""
    return (recall(tp, fp, fn, tn) + specificity(tp, fp, fn, tn)) / 2


def youden(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike) -> NDArray[np.float64]:
    """Recall plus specificity minus 1, in [-1, 1]: Youden, "Index for rating diagnostic tests", Cancer 3 (1950)."""
    return recall(tp, fp, fn, tn) + specificity(tp, fp, fn, tn) - 1


def mcc(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike) -> NDArray[np.float64]:
    """Correlation of truth and prediction, in [-1, 1].

    Matthews, "Comparison of the predicted and observed secondary structure of T4 phage lysozyme", Biochimica et
    Biophysica Acta 405 (1975).
    """
    tp, fp, fn, tn = _real(tp, fp, fn, tn)
    sides = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    return ratio(tp * tn - fp * fn, sides)


COUNT_SCORES: Mapping[str, CountScore] = {
    "f1": dice,
    "dice": dice,
    "iou": iou,
    "precision": precision,
    "recall": recall,
    "specificity": specificity,
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "youden": youden,
    "mcc": mcc,
}
"""Scores of counts by name: the higher, the better."""


def confusion(truth: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Count voxels by true and by predicted class.

    Args:
        truth: Class indices, any integer type and any shape; voxels that are `UNANNOTATED` are not counted.
        predicted: Class indices, of the same shape.
        classes: Number of classes K.

    Returns:
        (K, K) counts; rows are the truth, columns the prediction.

    Raises:
        ValueError: The shapes differ, or a value is no class index in 0..K-1.
    """
    return confusions(np.asarray(truth)[None], np.asarray(predicted)[None], classes)[0]


def confusions(truth: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Count pixels of each slice by true and by predicted class: (S, K, K) of (S, ...), else as `confusion`."""
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape} and prediction {predicted.shape}; compare them on one grid")
    some = annotated(truth)
    known = [...] * len(truth) if some.all() else some
    for role, labels in (("truth", truth if some.all() else truth[some]), ("prediction", predicted)):
        if labels.dtype.kind not in "biu":
            raise ValueError(f"{role} holds {labels.dtype}; class indices are integers")
        if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(
                f"{role} holds class indices {labels.min()}..{labels.max()}; expected 0..{classes - 1}. "
                "Map stored label values to class indices first"
            )
    matrices = np.zeros((len(truth), classes, classes), dtype=np.int64)
    # slice by slice: what fits into a cache is counted faster
    for matrix, counted, *pair in zip(matrices, known, truth, predicted, strict=True):
        mine, theirs = (each[counted].ravel().astype(np.intp) for each in pair)  # int64 + uint64: float64
        mine *= classes
        mine += theirs
        matrix[:] = np.bincount(mine, minlength=classes * classes).reshape(classes, classes)
    return matrices


def counts_of(matrix: NDArray[np.int64], members: Sequence[int]) -> Counts[int]:
    """Read the counts of a class, or of a region that joins several, from a confusion matrix.

    Args:
        matrix: (K, K) counts; rows are the truth.
        members: Indices of the classes that make the region; a mistake of one for another is none here.
    """
    inside = np.zeros(len(matrix), dtype=bool)
    inside[list(members)] = True
    return Counts(
        tp=int(matrix[np.ix_(inside, inside)].sum()),
        fp=int(matrix[np.ix_(~inside, inside)].sum()),
        fn=int(matrix[np.ix_(inside, ~inside)].sum()),
        tn=int(matrix[np.ix_(~inside, ~inside)].sum()),
    )
