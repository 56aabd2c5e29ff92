from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medseg.learning.scores.counts import COUNT_SCORES, Counts, confusion, counts_of, fbeta


def two_label_maps(seed: int, shape: tuple[int, ...] = (9, 10, 7), classes: int = 4):
    random = np.random.default_rng(seed)
    truth = random.integers(classes, size=shape)
    changed = random.random(shape) < 0.4
    return truth, np.where(changed, random.integers(classes, size=shape), truth)


label_maps = st.integers(1, 5).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        *[arrays(np.uint8, (4, 5), elements=st.integers(0, classes - 1)) for _ in range(2)],
    )
)


@settings(max_examples=50, deadline=None)
@given(label_maps)
def test_confusion_rows_sum_to_the_truth_and_columns_to_the_prediction(maps):
    classes, truth, predicted = maps
    matrix = confusion(truth, predicted, classes)
    assert matrix.sum(axis=1).tolist() == [np.sum(truth == index) for index in range(classes)]
    assert matrix.sum(axis=0).tolist() == [np.sum(predicted == index) for index in range(classes)]
    assert np.array_equal(matrix.T, confusion(predicted, truth, classes))


@settings(max_examples=50, deadline=None)
@given(label_maps, st.data())
def test_counts_of_a_region_are_the_counts_of_its_mask(maps, data):
    classes, truth, predicted = maps
    members = data.draw(st.lists(st.integers(0, classes - 1), min_size=1, unique=True))
    counts = counts_of(confusion(truth, predicted, classes), members)
    in_truth, in_prediction = np.isin(truth, members), np.isin(predicted, members)
    assert counts == Counts(
        tp=np.sum(in_truth & in_prediction),
        fp=np.sum(~in_truth & in_prediction),
        fn=np.sum(in_truth & ~in_prediction),
        tn=np.sum(~in_truth & ~in_prediction),
    )
    assert counts.tp + counts.fp + counts.fn + counts.tn == truth.size


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64, np.uint64])
def test_confusion_agrees_with_scikit_learn_for_any_integer_type(kind):
    from sklearn.metrics import confusion_matrix

    truth, predicted = two_label_maps(1)
    expected = confusion_matrix(truth.ravel(), predicted.ravel(), labels=range(4))
    matrix = confusion(truth.astype(np.uint8), predicted.astype(kind), 4)
    assert matrix.dtype == np.int64
    assert np.array_equal(matrix, expected)


def test_ratios_agree_with_scikit_learn():
    from sklearn.metrics import jaccard_score, precision_recall_fscore_support

    truth, predicted = two_label_maps(2)
    matrix = confusion(truth, predicted, 4)
    for members in ([0], [2], [2, 3]):
        masks = np.isin(truth, members).ravel(), np.isin(predicted, members).ravel()
        counts = counts_of(matrix, members)
        precision, recall, f1, _ = precision_recall_fscore_support(*masks, average="binary")
        assert COUNT_SCORES["precision"](*counts) == pytest.approx(precision, abs=1e-12)
        assert COUNT_SCORES["recall"](*counts) == pytest.approx(recall, abs=1e-12)
        assert COUNT_SCORES["f1"](*counts) == pytest.approx(f1, abs=1e-12)
        assert COUNT_SCORES["dice"](*counts) == pytest.approx(f1, abs=1e-12)
        assert COUNT_SCORES["iou"](*counts) == pytest.approx(jaccard_score(*masks), abs=1e-12)
        unlike = precision_recall_fscore_support(~masks[0], ~masks[1], average="binary")
        assert COUNT_SCORES["specificity"](*counts) == pytest.approx(unlike[1], abs=1e-12)


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([[0, 4]], [[0, 0]], "truth holds class indices 0..4"),
        ([[0, 0]], [[0, -1]], "prediction holds class indices -1..0"),
        ([[0, 1]], [[0, 1, 1]], "one grid"),
        ([[0, 1]], [[0.0, 1.0]], "class indices are integers"),
    ],
)
def test_confusion_refuses_what_is_no_class_index(truth, predicted, message):
    with pytest.raises(ValueError, match=message):
        confusion(np.array(truth), np.array(predicted), 4)


@pytest.mark.parametrize("score", COUNT_SCORES)
def test_scores_are_those_of_scikit_learn(score):
    from sklearn import metrics

    oracles = {
        "f1": metrics.f1_score,
        "dice": metrics.f1_score,
        "iou": metrics.jaccard_score,
        "precision": metrics.precision_score,
        "recall": metrics.recall_score,
        "specificity": lambda t, y: metrics.recall_score(t, y, pos_label=0),
        "accuracy": metrics.accuracy_score,
        "balanced_accuracy": metrics.balanced_accuracy_score,
        "youden": lambda t, y: metrics.balanced_accuracy_score(t, y, adjusted=True),
        "mcc": metrics.matthews_corrcoef,
    }
    rng = np.random.default_rng(0)
    for _ in range(5):
        t, y = rng.random((2, 50)) < 0.4
        cells = (t & y).sum(), (~t & y).sum(), (t & ~y).sum(), (~t & ~y).sum()
        assert float(COUNT_SCORES[score](*cells)) == pytest.approx(oracles[score](t, y))


EMPTY = {  # tp, fp, fn of 10: what the rule for what is empty says of Dice and IoU, of precision, of recall
    (0, 0, 0): (np.nan, np.nan, np.nan),
    (0, 3, 0): (0, 0, np.nan),
    (0, 0, 3): (0, np.nan, 0),
}


@pytest.mark.parametrize("cells", EMPTY)
def test_scores_follow_the_rule_for_what_is_empty(cells):
    counts = Counts(*cells, tn=10 - sum(cells))
    for expected, names in zip(
        EMPTY[cells], (("dice", "f1", "iou"), ("precision",), ("recall",)), strict=True
    ):
        for name in names:
            assert float(COUNT_SCORES[name](*counts)) == pytest.approx(expected, nan_ok=True), name


@pytest.mark.parametrize("beta", [0.5, 1, 2])
def test_the_f_beta_score_is_that_of_scikit_learn(beta):
    from sklearn.metrics import fbeta_score

    t, y = np.random.default_rng(1).random((2, 60)) < 0.4
    cells = (t & y).sum(), (~t & y).sum(), (t & ~y).sum()
    assert float(fbeta(*cells, beta=beta)) == pytest.approx(fbeta_score(t, y, beta=beta))


def test_scores_of_arrays_are_those_of_their_elements():
    cells = np.random.default_rng(2).integers(0, 3, size=(4, 3, 5))
    for name, score in COUNT_SCORES.items():
        each = [[float(score(*cells[:, i, j])) for j in range(5)] for i in range(3)]
        np.testing.assert_array_equal(score(*cells), each, err_msg=name)


def test_mcc_of_many_pixels_does_not_overflow():
    n = 10**10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert float(COUNT_SCORES["mcc"](*(np.int64(k * n) for k in (3, 1, 1, 3)))) == pytest.approx(0.5)
