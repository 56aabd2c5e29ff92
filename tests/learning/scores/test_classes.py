from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from medseg.learning.scores.classes import ClassScorer
from medseg.learning.tasks.exclusive import OneClass
from medseg.learning.tasks.multilabel import AnyClasses

RARE = settings(max_examples=25, deadline=None)


def scored(truth, probabilities, *, exclusive=True, groups=None, top_k=None, **options):
    classes = [f"c{k}" for k in range(truth.shape[1])]
    decision = OneClass() if exclusive else AnyClasses()
    scorer = ClassScorer(classes, decision.with_top(top_k, len(classes)), **options)
    for i, (t, p) in enumerate(zip(truth, probabilities, strict=True)):
        scorer.add(f"case{i:03}", groups[i] if groups else f"patient{i:03}", t, p)
    return scorer


def values(scorer):
    measures = scorer.measures
    return {
        ("" if k is None else scorer.classes[k], score): float(value[0])
        for (k, score), value in measures.point.items()
    }


@st.composite
def exclusive(draw):
    """Truth and probabilities in eighths, with ties; classes may be missing."""
    classes, images = draw(st.integers(2, 6)), draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    weights = rng.dirichlet(np.ones(classes))
    truth = np.eye(classes, dtype=np.uint8)[rng.choice(classes, size=images, p=weights)]
    return truth, (rng.multinomial(8, (truth + 0.4) / (1 + 0.4 * classes)) / 8).astype(np.float32)


@st.composite
def tags(draw):
    classes, images = draw(st.integers(1, 5)), draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    truth = (rng.random((images, classes)) < rng.random(classes)).astype(np.uint8)
    noise = rng.integers(0, 6, size=truth.shape)
    return truth, ((noise + 2 * truth) / 8).astype(np.float32)


def one_class(truth, probability, said, beta=2):
    """scikit-learn's scores of one class against the rest, by the rule that 0/0 is NaN."""
    nan = {"zero_division": np.nan}
    both = 0 < truth.sum() < len(truth)
    return {
        "precision": metrics.precision_score(truth, said, **nan),
        "recall": metrics.recall_score(truth, said, **nan),
        "specificity": metrics.recall_score(truth, said, pos_label=0, **nan),
        "f1": metrics.f1_score(truth, said, **nan),
        f"f{beta:g}": metrics.fbeta_score(truth, said, beta=beta, **nan),
        f"f{beta:g}_always": metrics.fbeta_score(truth, np.ones_like(truth), beta=beta, **nan),
        "auroc": metrics.roc_auc_score(truth, probability) if both else np.nan,
        "average_precision": metrics.average_precision_score(truth, probability) if truth.any() else np.nan,
        "brier": ((probability.astype(float) - truth) ** 2).mean(),
        "calibration_error": calibration_error(probability, truth),
    }


def calibration_error(probability, outcome, bins=15):
    """By brute force: image by image into bins that hold their right edge."""
    members, edges = [[] for _ in range(bins)], np.linspace(0, 1, bins + 1)
    for p, y in zip(probability.astype(float), outcome, strict=True):
        place = next(b for b in range(bins) if p <= edges[b + 1] or b == bins - 1)
        members[place].append((p, float(y)))
    gaps = [abs(np.mean([y for _, y in m]) - np.mean([p for p, _ in m])) * len(m) for m in members if m]
    return sum(gaps) / len(probability)


def mean_of_defined(numbers):
    defined = [number for number in numbers if not np.isnan(number)]
    return np.mean(defined) if defined else np.nan


def of_classes(truth, probabilities, said, **options):
    return [
        one_class(*(part[:, k] for part in (truth, probabilities, said)), **options)
        for k in range(truth.shape[1])
    ]


@pytest.mark.slow
@RARE
@given(exclusive())
def test_exclusive_classes_are_scored_as_scikit_learn_does(drawn):
    truth, p = drawn
    classes, y, said = truth.shape[1], truth.argmax(1), p.argmax(1)
    every = list(range(classes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, on classes that are missing
        rows = of_classes(truth, p, np.eye(classes, dtype=int)[said])
        means = {name: mean_of_defined([row[name] for row in rows]) for name in rows[0]}
        nan = {"labels": every, "average": "macro", "zero_division": np.nan}
        # of two equal probabilities, ours takes the first and scikit-learn's the last
        flipped = {"y_true": classes - 1 - y, "y_score": p[:, ::-1], "labels": every}
        tops = [k for k in (2, 3, 5) if k < classes] if classes >= 5 else []
        expected = {
            "accuracy": metrics.accuracy_score(y, said),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, said),
            "cohen_kappa": metrics.cohen_kappa_score(y, said, labels=every),
            "precision": metrics.precision_score(y, said, **nan),
            "recall": metrics.recall_score(y, said, **nan),
            "f1": metrics.f1_score(y, said, **nan),
            "f2": metrics.fbeta_score(y, said, beta=2, **nan),
            "auroc": means["auroc"],
            "average_precision": means["average_precision"],
            "brier": metrics.brier_score_loss(y, p[:, 1] if classes == 2 else p, labels=every),
            "log_loss": metrics.log_loss(y, p, labels=every),
            "calibration_error": calibration_error(p.max(1), said == y),
        } | {f"top_{k}_accuracy": metrics.top_k_accuracy_score(k=k, **flipped) for k in tops}
        if len(set(y)) == classes:
            score = p[:, 1] if classes == 2 else p
            expected["auroc"] = metrics.roc_auc_score(y, score, multi_class="ovr")
            expected["auroc_weighted"] = metrics.roc_auc_score(
                y, score, multi_class="ovr", average="weighted"
            )
            expected["average_precision"] = metrics.average_precision_score(truth, p)
    found = values(scored(truth, p))
    assert {name: found["", name] for name in expected} == pytest.approx(expected, nan_ok=True)
    assert {name for of, name in found if not of} == {*expected, "auroc_weighted"}
    for k, row in enumerate(rows):
        assert {name: found[f"c{k}", name] for name in row} == pytest.approx(row, nan_ok=True)
    assert (scored(truth, p).matrix == metrics.confusion_matrix(y, said, labels=every)).all()


@pytest.mark.slow
@RARE
@given(tags())
def test_several_classes_are_scored_as_scikit_learn_does(drawn):
    truth, p = drawn
    said = (p >= 0.5).astype(int)
    some = (truth | said).any(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = of_classes(truth, p, said, beta=0.5)
        means = {name: mean_of_defined([row[name] for row in rows]) for name in rows[0]}
        stacked = np.stack([1 - p, p], axis=-1).reshape(-1, 2)
        expected = {
            "subset_accuracy": metrics.accuracy_score(truth, said),
            "hamming_loss": metrics.hamming_loss(truth, said),
            "jaccard_samples": ((truth & said).sum(1)[some] / (truth | said).sum(1)[some]).mean()
            if some.any()
            else np.nan,
            "f1_micro": metrics.f1_score(truth.ravel(), said.ravel(), zero_division=np.nan),
            "log_loss": metrics.log_loss(truth.ravel(), stacked, labels=[0, 1]),
            "brier": ((p.astype(float) - truth) ** 2).mean(),
            "calibration_error": calibration_error(p.ravel(), truth.ravel()),
        } | {
            name: means[name] for name in ("precision", "recall", "f1", "f0.5", "auroc", "average_precision")
        }
        balanced = [(row["recall"] + row["specificity"]) / 2 for row in rows]
        expected["balanced_accuracy"] = mean_of_defined(balanced)
        if truth.shape[1] > 1:
            expected["f1_micro"] = metrics.f1_score(truth, said, average="micro", zero_division=np.nan)
            expected["f1"] = metrics.f1_score(truth, said, average="macro", zero_division=np.nan)
            if some.any():
                expected["jaccard_samples"] = metrics.jaccard_score(
                    truth[some], said[some], average="samples"
                )
            if ((truth.sum(0) > 0) & (truth.sum(0) < len(truth))).all():
                expected["auroc"] = metrics.roc_auc_score(truth, p)
                weighted = metrics.roc_auc_score(truth, p, average="weighted")
                found = values(scored(truth, p, exclusive=False))
                assert found["", "auroc_weighted"] == pytest.approx(weighted)
    found = values(scored(truth, p, exclusive=False, beta=0.5))
    assert {name: found["", name] for name in expected} == pytest.approx(expected, nan_ok=True)
    assert {name for of, name in found if not of} == {*expected, "auroc_weighted"}
    for k, row in enumerate(rows):
        row["balanced_accuracy"] = balanced[k]
        assert {name: found[f"c{k}", name] for name in row} == pytest.approx(row, nan_ok=True)


@RARE
@given(exclusive())
def test_curves_have_every_point_that_scikit_learn_has(drawn):
    truth, p = drawn
    scorer = scored(truth, p)
    for k in range(truth.shape[1]):
        curves = scorer.curves(f"c{k}")
        assert curves.prevalence == pytest.approx(truth[:, k].mean())
        if not truth[:, k].any():
            assert curves.recall.size == 0
            assert np.isnan(curves.average_precision)
            continue
        precision, recall, _ = metrics.precision_recall_curve(truth[:, k], p[:, k])
        assert curves.precision == pytest.approx(precision[::-1])
        assert curves.recall == pytest.approx(recall[::-1])
        if truth[:, k].all():
            assert curves.fpr.size == 0
            continue
        fpr, tpr, _ = metrics.roc_curve(truth[:, k], p[:, k], drop_intermediate=False)
        assert curves.fpr == pytest.approx(fpr)
        assert curves.tpr == pytest.approx(tpr)
        assert curves.auroc == pytest.approx(metrics.roc_auc_score(truth[:, k], p[:, k]))


def some_images(images=60, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=images)
    logits = rng.normal(size=(images, classes)) + 1.5 * np.eye(classes)[y]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.eye(classes, dtype=np.uint8)[y], p.astype(np.float32)


def test_reliability_shows_what_the_calibration_error_is_of():
    truth, p = some_images()
    for exclusive_classes in (True, False):
        scorer = scored(truth, p, exclusive=exclusive_classes)
        found = values(scorer)
        for name in (None, *scorer.classes):
            expected = found[name or "", "calibration_error"]
            assert scorer.counts(name).calibration_error() == pytest.approx(expected)
    assert scored(truth, p).reliability().count.sum() == len(truth)
    with pytest.raises(ValueError, match="no class 'x'"):
        scored(truth, p).counts("x")


def test_the_given_k_replaces_the_rule_for_top_k_accuracy():
    truth, p = some_images(classes=6)
    names = {name for of, name in values(scored(truth, p)) if name.startswith("top")}
    assert names == {"top_2_accuracy", "top_3_accuracy", "top_5_accuracy"}
    found = values(scored(truth, p, top_k=4))
    assert {name for _, name in found if name.startswith("top")} == {"top_4_accuracy"}
    assert found["", "top_4_accuracy"] == pytest.approx(metrics.top_k_accuracy_score(truth.argmax(1), p, k=4))
    few = values(scored(*some_images(classes=4)))
    assert not any(name.startswith("top") for _, name in few)


def test_nothing_depends_on_the_order_of_images():
    truth, p = some_images()
    groups = [f"g{i % 7}" for i in range(len(truth))]
    one, other = scored(truth, p, groups=groups), ClassScorer(["c0", "c1", "c2"], OneClass())
    for i in np.random.default_rng(1).permutation(len(truth)):
        other.add(f"case{i:03}", groups[i], truth[i], p[i])
    assert one.frame().equals(other.frame())
    assert one.summary(3).equals(other.summary(3))


def test_the_table_tells_what_was_said_of_each_image():
    scorer = ClassScorer(["a", "b", "c"], OneClass())
    scorer.add("y", "p1", np.array([0, 1, 0]), np.float32([0.25, 0.5, 0.25]))
    scorer.add("x", "p2", np.array([0, 0, 1]), np.float32([0.375, 0.375, 0.25]))
    rows = scorer.frame().to_dict("records")
    assert rows == [
        {"case": "x", "group": "p2", "truth": "c", "predicted": "a", "confidence": 0.375, "correct": False}
        | {"probability_a": 0.375, "probability_b": 0.375, "probability_c": 0.25},
        {"case": "y", "group": "p1", "truth": "b", "predicted": "b", "confidence": 0.5, "correct": True}
        | {"probability_a": 0.25, "probability_b": 0.5, "probability_c": 0.25},
    ]


def test_several_names_are_joined_and_none_is_empty():
    scorer = ClassScorer(["a", "b", "c"], AnyClasses(0.75))
    scorer.add("x", "p", np.array([1, 0, 1]), np.float32([0.75, 0.5, 0.875]))
    scorer.add("y", "p", np.array([0, 0, 0]), np.float32([0.25, 1.0, 0.0]))
    frame = scorer.frame()
    assert frame["truth"].tolist() == ["a; c", ""]
    assert frame["predicted"].tolist() == ["a; c", "b"]
    assert frame["correct"].tolist() == [True, False]
    assert frame["confidence"].tolist() == [0.5, 0.75]
    with pytest.raises(ValueError, match="exclusive"):
        _ = scorer.matrix


def test_notes_tell_of_one_patient_and_of_missing_classes():
    truth, p = some_images()
    assert scored(truth, p).notes() == ()
    kept = truth[:, 2] == 0
    notes = scored(truth[kept], p[kept], groups=["g"] * kept.sum()).notes()
    assert len(notes) == 2
    assert "one patient" in notes[0]
    assert "c2" in notes[1]


GOOD = (np.array([1, 0]), np.float32([0.75, 0.25]))


@pytest.mark.parametrize(
    ("truth", "p", "says"),
    [
        (np.array([1, 0, 0]), GOOD[1], "expected"),
        (GOOD[0], np.float32([1]), "expected"),
        (GOOD[0], np.float64([0.75, 0.25]), "float64"),
        (np.array([1.0, 0.0]), GOOD[1], "float64"),
        (np.array([2, 0]), GOOD[1], "truth holds"),
        (GOOD[0], np.float32([np.nan, 1]), "nan"),
        (GOOD[0], np.float32([1.25, -0.25]), "0, 1"),
        (GOOD[0], np.float32([0.5, 0.25]), "sum to 0.75"),
        (np.array([1, 1]), GOOD[1], "2 classes"),
        (np.array([0, 0]), GOOD[1], "0 classes"),
    ],
)
def test_what_is_no_answer_to_a_truth_is_refused(truth, p, says):
    with pytest.raises(ValueError, match=says):
        ClassScorer(["a", "b"], OneClass()).add("x", "p", truth, p)


@pytest.mark.parametrize("p", [[1.25, 0.5], [-0.25, 0.5], [0.5, np.nan], [np.inf, 0.5]])
def test_probabilities_beyond_either_end_are_refused_of_classes_that_are_no_alternatives_too(p):
    """Their sum tells nothing, so that each end must be looked at."""
    with pytest.raises(ValueError, match=r"expected numbers in \[0, 1\]"):
        ClassScorer(["a", "b"], AnyClasses()).add("x", "p", GOOD[0], np.float32(p))


def test_an_image_is_scored_once_and_kept_as_it_was():
    scorer, p = ClassScorer(["a", "b"], OneClass()), GOOD[1].copy()
    scorer.add("x", "p", GOOD[0], p)
    p[:] = 0
    assert scorer.frame()["confidence"].tolist() == [0.75]
    with pytest.raises(ValueError, match="twice"):
        scorer.add("x", "p", *GOOD)
    scorer.add("z", "p", *GOOD)
    assert len(scorer.frame()) == 2


@pytest.mark.parametrize(
    ("classes", "decision", "options"),
    [
        (["a"], OneClass(), {}),
        (["a", "a"], OneClass(), {}),
        (["a", ""], OneClass(), {}),
        ([], AnyClasses(), {}),
        (["a", "b"], OneClass(), {"beta": 0}),
    ],
)
def test_classes_and_settings_that_make_no_sense_are_refused(classes, decision, options):
    with pytest.raises(ValueError, match="expected"):
        ClassScorer(classes, decision, **options)


@pytest.mark.parametrize(
    ("decision", "classes", "k", "said"),
    [
        (OneClass(), 2, 2, "of two there is none: leave it out"),
        (OneClass(), 3, 1, r"expected 2\.\.2"),
        (OneClass(), 3, 3, r"expected 2\.\.2"),
        (AnyClasses(), 3, 2, "of exclusive classes; leave it out"),
    ],
)
def test_a_top_k_that_says_nothing_is_refused(decision, classes, k, said):
    with pytest.raises(ValueError, match=said):
        decision.with_top(k, classes)


@pytest.mark.parametrize("threshold", [0, 1, -0.1, 1.5, float("nan"), 1e-60, 1 - 1e-12, 10**400, "0.5", True])
def test_a_threshold_by_which_all_or_none_would_be_said_is_refused(threshold):
    with pytest.raises(ValueError, match=r"threshold is .*, expected a number more than 0 and less than 1"):
        AnyClasses(threshold)


def test_without_images_there_is_nothing_to_score():
    with pytest.raises(ValueError, match="no image"):
        ClassScorer(["a", "b"], OneClass()).summary()
