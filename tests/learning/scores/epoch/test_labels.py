from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics

from medseg.learning.scores.epoch.labels import EPOCH_SCORES, EpochClassScorer
from medseg.learning.tasks.exclusive import OneClass
from medseg.learning.tasks.multilabel import AnyClasses


class Exclusive:
    classes = ("a", "low", "c")
    decision = OneClass()

    def probabilities(self, logits):
        return torch.softmax(logits.float(), dim=1)


class Several:
    classes = ("a", "b")
    decision = AnyClasses(0.25)

    def probabilities(self, logits):
        return torch.sigmoid(logits.float())


def batches(task, cases=20, seed=0):
    """Slices in any order, 1 to 4 a case; each has the label of its case."""
    rng = np.random.default_rng(seed)
    k = len(task.classes)
    if task.decision.exclusive:
        labels = np.eye(k, dtype=np.uint8)[rng.integers(k, size=cases)]
    else:
        labels = (rng.random((cases, k)) < 0.4).astype(np.uint8)
    places = rng.permutation(np.repeat(np.arange(cases), rng.integers(1, 5, size=cases)))
    logits = rng.normal(size=(len(places), k)) + 1.5 * labels[places]
    for part in np.array_split(np.arange(len(places)), 4):
        yield (
            [f"case{places[i]}" for i in part],
            torch.tensor(logits[part], dtype=torch.float32),
            torch.tensor(labels[places[part]]),
        )


def updated(task, parts, select="balanced_accuracy"):
    scorer = EpochClassScorer(task, select)
    for part in parts:
        scorer.update(*part)
    return scorer


def averaged(task, parts):
    """Truth and the mean probability of each case, case by case."""
    found = {}
    for cases, logits, label in parts:
        for case, p, t in zip(cases, task.probabilities(logits).numpy(), label.numpy(), strict=True):
            found.setdefault(case, ([], t))[0].append(p)
    names = list(found)
    p = np.stack([np.mean(found[name][0], axis=0, dtype=float) for name in names])
    return names, np.stack([found[name][1] for name in names]), p


def expected_calibration_error(sure, right, bins=15):
    """By the definition of Guo et al.: the mean, by its cases, of |accuracy - confidence| of each bin."""
    places = np.ceil(sure * bins)
    inside = [places == place for place in np.unique(places)]
    return sum(each.mean() * abs(right[each].mean() - sure[each].mean()) for each in inside)


def test_cases_are_scored_by_the_mean_over_their_slices():
    task = Exclusive()
    parts = list(batches(task))
    names, truth, p = averaged(task, parts)
    y, said = truth.argmax(1), p.argmax(1)
    found = updated(task, parts).compute()
    recalls, precisions = (
        metrics.recall_score(y, said, average=None),
        metrics.precision_score(y, said, average=None),
    )
    f2, ranked = (
        metrics.fbeta_score(y, said, beta=2, average=None),
        metrics.average_precision_score(truth, p, average=None),
    )
    always = [metrics.fbeta_score(y == k, np.ones(len(y)), beta=2) for k in range(3)]
    names_of = {"a": 0, "class low": 1, "c": 2}
    lists = {
        "recall": recalls,
        "precision": precisions,
        "f2": f2,
        "f2_always": always,
        "average_precision": ranked,
    }
    by_class = {f"{score}/{name}": each[k] for score, each in lists.items() for name, k in names_of.items()}
    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(y, said),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, said),
            "f1": metrics.f1_score(y, said, average="macro"),
            "f2": metrics.fbeta_score(y, said, beta=2, average="macro"),
            "precision": precisions.mean(),
            "calibration_error": expected_calibration_error(p.max(1), said == y),
            "auroc": metrics.roc_auc_score(y, p, multi_class="ovr"),
            "average_precision": metrics.average_precision_score(truth, p),
            **by_class,
            "score": metrics.balanced_accuracy_score(y, said),
        }
    )
    assert updated(task, parts).by_case() == pytest.approx(dict(zip(names, p[truth > 0], strict=True)))


def test_several_classes_are_decided_by_the_threshold_of_the_task():
    task = Several()
    parts = list(batches(task))
    names, truth, p = averaged(task, parts)
    said = p >= 0.25
    found = updated(task, parts, "accuracy").compute()
    assert found["score"] == found["subset_accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    expected = np.where(truth > 0, p, 1 - p).mean(axis=1)
    assert updated(task, parts).by_case() == pytest.approx(dict(zip(names, expected, strict=True)))


@pytest.mark.parametrize("select", EPOCH_SCORES)
@pytest.mark.parametrize("present", [[0], [1], [0, 2], [0, 1, 2]])
def test_a_perfect_prediction_scores_one_whatever_classes_are_missing(select, present):
    for task in (Exclusive(), Several()):
        labels = torch.eye(3, dtype=torch.uint8)[present][:, : len(task.classes)]
        scorer = EpochClassScorer(task, select)
        scorer.update([f"x{i}" for i in present], 60 * labels.float() - 30, labels)
        assert scorer.compute()["score"] == 1
        assert all(value == pytest.approx(1) for value in scorer.by_case().values())
        worst = EpochClassScorer(task, select)
        worst.update([f"x{i}" for i in present], 30 - 60 * labels.float(), labels)
        # the average precision of a class that all cases have is 1, whatever is said
        assert worst.compute()["score"] < 1 or (select, len(present)) == ("average_precision", 1)


def test_the_score_that_stands_in_for_one_that_is_undefined_is_named():
    for task, stands_in in ((Exclusive(), "accuracy"), (Several(), "subset_accuracy")):
        k = len(task.classes)
        labels = torch.eye(3, dtype=torch.uint8)[[0, 0]][:, :k]
        scorer = EpochClassScorer(task, "auroc")
        scorer.update(["x", "y"], torch.zeros(2, k), labels)
        found = scorer.compute()
        assert found["score"] == found[stands_in]
        assert scorer.score_name == f"{stands_in}, since the cases do not define auroc"
        scorer.update(["z"], torch.zeros(1, k), torch.eye(3, dtype=torch.uint8)[1:2, :k])
        assert scorer.compute()["score"] == scorer.compute()["auroc"]
        assert scorer.score_name == "auroc"
        plain = EpochClassScorer(task, "accuracy")
        plain.update(["x"], torch.zeros(1, k), labels[:1])
        plain.compute()
        assert plain.score_name == stands_in


@pytest.mark.parametrize("select", EPOCH_SCORES)
def test_nan_counts_as_wrong_and_the_score_is_a_number(select):
    for task in (Exclusive(), Several()):
        labels = torch.eye(3, dtype=torch.uint8)[:, : len(task.classes)]
        scorer = EpochClassScorer(task, select)
        scorer.update(["x", "y", "z"], torch.full(labels.shape, torch.nan), labels)
        found = scorer.compute()
        assert not np.isnan(list(found.values())).any()
        assert found["score"] < 0.6
        assert found.get("accuracy", found.get("subset_accuracy")) == 0
        assert set(scorer.by_case().values()) == {0}


def test_nothing_at_all_scores_zero():
    scorer = EpochClassScorer(Exclusive(), "f1")
    assert scorer.compute() == {"score": 0.0}
    assert scorer.by_case() == {}


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="dice"):
        EpochClassScorer(Exclusive(), "dice")
    scorer = EpochClassScorer(Exclusive(), "f1")
    with pytest.raises(ValueError, match="expected \\(1, 3\\)"):
        scorer.update(["x"], torch.zeros(1, 2), torch.zeros(1, 3))
    scorer.update(["x", "x"], torch.zeros(2, 3), torch.eye(3)[:2])
    with pytest.raises(ValueError, match="different classes"):
        scorer.compute()
