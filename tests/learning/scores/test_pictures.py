from __future__ import annotations

import numpy as np
import pytest

from medseg.learning.scores import probability_store
from medseg.learning.scores.objects import connected, match_objects
from medseg.learning.scores.pictures import AMOUNTS, PICTURE_SCORES, ForegroundScorer
from medseg.learning.scores.probability_counts import ProbabilityCounts
from medseg.learning.scores.tables import metrics_of

CLASSES = ("background", "foreground")
BINARY = ("accuracy", "iou", "dice", "precision", "recall", "f1", "specificity")
OBJECT = ("object_precision", "object_recall", "object_f1", "panoptic_quality")


def image(seed, shape=(24, 30)):
    """Truth of a few rectangles, and probabilities that are right for the most part."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(shape, bool)
    for row, column in rng.integers(0, 22, size=(4, 2)):
        truth[row : row + 6, column : column + 7] = True
    logit = np.where(truth, 2, -3) + rng.normal(0, 1.5, size=shape) + rng.normal(0, 0.7)
    probability = (1 / (1 + np.exp(-logit))).astype(np.float32)
    return truth, probability, probability >= 0.5


def images(groups=4, each=2):
    return [
        (f"g{g}-{i}", f"g{g}", *image(10 * g + i, (24 + i, 30))) for g in range(groups) for i in range(each)
    ]


def scored(cases):
    scorer = ForegroundScorer(CLASSES)
    for case in cases:
        scorer.add(*case)
    return scorer


def oracle(pictures):
    """All scores of the pixels and objects of pictures together."""
    from sklearn import metrics
    from sklearn.calibration import calibration_curve

    truth, probability, predicted = (np.concatenate([one[i].ravel() for one in pictures]) for i in range(3))
    observed, mean = calibration_curve(truth, probability.astype(float), n_bins=15)
    edges = np.linspace(0, 1, 16)
    count = np.bincount(np.searchsorted(edges[1:-1], probability.astype(float)), minlength=15)
    found = [match_objects(connected(t), connected(y)) for t, _, y in pictures]
    matched, there, guessed = (
        sum(getattr(one, n) for one in found) for n in ("matched", "truth", "predicted")
    )
    return {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "iou": metrics.jaccard_score(truth, predicted),
        "dice": metrics.f1_score(truth, predicted),
        "precision": metrics.precision_score(truth, predicted),
        "recall": metrics.recall_score(truth, predicted),
        "f1": metrics.f1_score(truth, predicted),
        "specificity": metrics.recall_score(truth, predicted, pos_label=0),
        "auroc": metrics.roc_auc_score(truth, probability),
        "average_precision": metrics.average_precision_score(truth, probability),
        "brier": metrics.brier_score_loss(truth, probability.astype(float)),
        "calibration_error": (np.abs(observed - mean) * count[count > 0]).sum() / truth.size,
        "object_precision": matched / guessed,
        "object_recall": matched / there,
        "object_f1": 2 * matched / (guessed + there),
        "panoptic_quality": 2 * sum(one.iou_sum for one in found) / (guessed + there),
    }


def records(frame, *keys):
    return {tuple(row[key] for key in keys): row for row in frame.to_dict("records")}


def test_each_image_is_scored_as_scikit_learn_does():
    cases = images()
    frame = scored(cases).frame()
    assert frame.columns.tolist() == ["case", "group", "name", *PICTURE_SCORES, *AMOUNTS]
    assert (frame["name"] == "foreground").all()
    rows = records(frame, "case")
    for case, group, truth, probability, predicted in cases:
        row = rows[case,]
        assert row["group"] == group
        assert {score: row[score] for score in PICTURE_SCORES} == pytest.approx(
            oracle([(truth, probability, predicted)])
        )
        assert (row["truth_pixels"], row["predicted_pixels"]) == (truth.sum(), predicted.sum())
        assert (row["truth_objects"], row["predicted_objects"]) == (
            connected(truth).max(),
            connected(predicted).max(),
        )


def test_a_group_is_scored_over_the_pixels_of_all_its_images():
    cases = images(groups=3, each=3)
    frame = scored(cases).group_frame()
    assert frame["group"].tolist() == ["g0", "g1", "g2"]
    assert frame["images"].tolist() == [3, 3, 3]
    rows = records(frame, "group")
    for group in ("g0", "g1", "g2"):
        expected = oracle([case[2:] for case in cases if case[1] == group])
        assert {score: rows[group,][score] for score in PICTURE_SCORES} == pytest.approx(expected)
    assert frame["truth_pixels"].sum() == sum(case[2].sum() for case in cases)


def test_the_summary_has_the_mean_over_groups_and_the_score_of_all_pixels():
    cases = images()
    scorer = scored(cases)
    groups, summary = scorer.group_frame(), scorer.summary(3)
    assert summary.columns.tolist() == ["name", "score", "mean", "median", "std", "low", "high", "patients"]
    rows = records(summary, "name", "score")
    assert len(rows) == 2 * len(PICTURE_SCORES)
    expected = oracle([case[2:] for case in cases])
    for score in PICTURE_SCORES:
        row, pooled = rows["foreground", score], rows["foreground/pooled", score]
        assert row["mean"] == pytest.approx(groups[score].mean())
        assert row["median"] == pytest.approx(groups[score].median())
        assert row["std"] == pytest.approx(groups[score].std(ddof=1))
        assert row["low"] <= row["mean"] <= row["high"]
        assert pooled["mean"] == pooled["median"] == pytest.approx(expected[score])
        assert np.isnan(pooled["std"])
        assert row["patients"] == pooled["patients"] == 4


@pytest.mark.slow
def test_pooled_intervals_are_those_of_drawing_groups_by_hand():
    cases = images(groups=5)
    scorer = scored(cases)
    rows = records(scorer.summary(7), "name", "score")
    groups = [[case for case in cases if case[1] == f"g{g}"] for g in range(5)]
    drawn = np.random.default_rng(7).integers(5, size=(1000, 5))
    dice = []
    areas, precisions = [], []
    for draw in drawn:
        truth, predicted = (np.concatenate([c[i].ravel() for g in draw for c in groups[g]]) for i in (2, 4))
        dice.append(2 * (truth & predicted).sum() / (truth.sum() + predicted.sum()))
        probability = np.concatenate([c[3].ravel() for g in draw for c in groups[g]])
        counts = ProbabilityCounts.of(probability, truth)
        areas.append(counts.auroc())
        precisions.append(counts.average_precision())
    for score, values, tolerance in (
        ("dice", dice, 1e-12),
        ("auroc", areas, 1e-5),
        ("average_precision", precisions, 3e-4),
    ):
        row = rows["foreground/pooled", score]
        assert (row["low"], row["high"]) == pytest.approx(
            tuple(np.quantile(values, (0.025, 0.975))), abs=tolerance
        )


def test_metrics_have_their_keys():
    metrics = metrics_of(scored(images()).summary(), "test", PICTURE_SCORES)
    for score in PICTURE_SCORES:
        for end in ("", "/low", "/high"):
            assert f"test/{score}/foreground{end}" in metrics
            assert f"test/{score}/foreground/pooled{end}" in metrics


def test_the_order_of_images_and_reading_in_between_change_nothing():
    cases = images(groups=3, each=3)
    one, other = scored(cases), scored(cases[:4:-1])
    other.summary()
    for case in cases[4::-1]:
        other.add(*case)
    for kind in ("group_frame", "summary"):
        assert getattr(one, kind)().equals(getattr(other, kind)())
    sort = [scorer.frame().sort_values("case", ignore_index=True) for scorer in (one, other)]
    assert sort[0].equals(sort[1])


def test_empty_masks_follow_the_rule():
    nothing, some = np.zeros((4, 5), bool), np.zeros((4, 5), bool)
    some[1:3, 1:4] = True
    low = np.full((4, 5), 0.1, np.float32)
    scorer = ForegroundScorer(CLASSES)
    scorer.add("both", "a", nothing, low, nothing)
    scorer.add("truth", "b", nothing, low, some)
    scorer.add("prediction", "c", some, low, nothing)
    rows = records(scorer.frame(), "case")
    for case, undefined in {
        "both": {"iou", "dice", "f1", "precision", "recall", "auroc", "average_precision", *OBJECT},
        "truth": {"recall", "auroc", "average_precision", "object_recall"},
        "prediction": {"precision", "object_precision"},
    }.items():
        assert {score for score in PICTURE_SCORES if np.isnan(rows[case,][score])} == undefined
    assert rows["both",]["specificity"] == rows["both",]["accuracy"] == 1
    for case in ("truth", "prediction"):
        assert rows[case,]["dice"] == rows[case,]["iou"] == rows[case,]["panoptic_quality"] == 0
    summary = records(scorer.summary(), "name", "score")
    assert summary["foreground", "dice"]["patients"] == 2
    assert summary["foreground", "recall"]["patients"] == 1
    assert summary["foreground", "specificity"]["patients"] == 3
    assert summary["foreground/pooled", "dice"]["mean"] == 0


def test_an_empty_slice_does_not_hide_the_patient():
    truth, probability, predicted = image(3)
    scorer = ForegroundScorer(CLASSES)
    scorer.add("1", "p", truth, probability, predicted)
    scorer.add("2", "p", np.zeros((8, 8), bool), np.zeros((8, 8), np.float32), np.zeros((8, 8), bool))
    row = records(scorer.group_frame(), "group")["p",]
    assert row["dice"] == records(scorer.frame(), "case")["1",]["dice"]
    assert row["images"] == 2


def test_a_score_undefined_for_all_pixels_has_no_value_and_no_patients():
    nothing = np.zeros((4, 5), bool)
    scorer = ForegroundScorer(CLASSES)
    for case in "ab":
        scorer.add(case, case, nothing, np.full((4, 5), 0.1, np.float32), nothing)
    rows = records(scorer.summary(), "name", "score")
    for name in ("foreground", "foreground/pooled"):
        assert rows[name, "dice"]["patients"] == rows[name, "auroc"]["patients"] == 0
        assert np.isnan(rows[name, "dice"]["mean"])
        assert rows[name, "accuracy"]["mean"] == 1
    assert "test/dice/foreground/pooled" not in metrics_of(scorer.summary(), "test", PICTURE_SCORES)


def test_one_group_has_no_intervals():
    rows = records(scored(images(groups=1)).summary(), "name", "score")
    for score in PICTURE_SCORES:
        for name in ("foreground", "foreground/pooled"):
            assert np.isfinite(rows[name, score]["mean"])
            assert np.isnan([rows[name, score][end] for end in ("low", "high")]).all()


def test_nothing_scored_gives_empty_tables_and_no_metrics():
    scorer = ForegroundScorer(CLASSES)
    assert len(scorer.frame()) == len(scorer.group_frame()) == 0
    assert (scorer.summary()["patients"] == 0).all()
    assert scorer.matrix.tolist() == [[0, 0], [0, 0]]
    assert scorer.counts.values.size == 0


def test_matrix_and_counts_are_of_all_pixels():
    from sklearn.metrics import confusion_matrix

    cases = images()
    truth, probability, predicted = (np.concatenate([case[i].ravel() for case in cases]) for i in (2, 3, 4))
    scorer = scored(cases)
    assert scorer.matrix.tolist() == confusion_matrix(truth, predicted).tolist()
    assert scorer.matrix.dtype == np.int64
    expected = ProbabilityCounts.of(probability, truth)
    assert np.array_equal(scorer.counts.values, expected.values)
    assert np.array_equal(scorer.counts.positives, expected.positives)


def test_objects_of_the_truth_come_from_its_instances():
    truth, probability, _ = image(1)
    truth[:] = False
    truth[2:12, 2:12] = True
    instances = np.zeros(truth.shape, np.int32)
    instances[2:12, 2:7], instances[2:12, 7:12] = 4, 9  # two that touch
    scorer = ForegroundScorer(CLASSES)
    scorer.add("plain", "a", truth, probability, truth)
    scorer.add("instances", "b", truth, probability, truth, instances)
    rows = records(scorer.frame(), "case")
    assert (rows["plain",]["truth_objects"], rows["plain",]["panoptic_quality"]) == (1, 1)
    assert (rows["instances",]["truth_objects"], rows["instances",]["object_recall"]) == (2, 0)


@pytest.mark.slow
@pytest.mark.parametrize("distinct", [1 << 25, 3000])
def test_memory_is_bounded_by_grids_in_any_order(monkeypatch, distinct):
    cases = images(groups=4, each=3)
    exact = scored(cases)
    before = exact.counts
    monkeypatch.setattr(probability_store, "PIXELS", 4000)
    monkeypatch.setattr(probability_store, "SORTED", 2000)
    monkeypatch.setattr(probability_store, "DISTINCT", distinct)
    one = scored(cases)
    one.summary()  # reading in between changes nothing
    other = scored(cases[:4])
    other.summary()
    for case in cases[:3:-1]:
        other.add(*case)
    assert (exact.exact, one.exact, other.exact) == (True, False, False)
    assert one.summary().equals(other.summary())
    assert one.frame().equals(exact.frame())
    for kind in ("group_frame", "summary"):
        found, expected = (getattr(scorer, kind)().select_dtypes("number") for scorer in (one, exact))
        np.testing.assert_allclose(found, expected, atol=1e-3)
    pooled = one.counts
    assert pooled.positives.sum() + pooled.negatives.sum() == sum(case[2].size for case in cases)
    assert all(pooled.at(t) == before.at(t) for t in (0.25, 0.5, 0.75))
    assert np.array_equal(pooled.values, before.values) == (distinct > 3000)


def test_what_cannot_be_scored_is_refused():
    truth, probability, predicted = image(0)
    scorer = ForegroundScorer(CLASSES)
    scorer.add("a", "a", truth[..., None], probability[..., None], predicted[..., None])
    for bad in (
        ("a", "a", truth, probability, predicted),
        ("b", "b", truth, probability[:5], predicted),
        ("b", "b", truth, probability, predicted[:5]),
        ("b", "b", truth, probability, predicted.astype(np.uint8)),
        ("b", "b", truth, probability * 2, predicted),
        ("b", "b", truth, probability, predicted, np.zeros((3, 3), np.int32)),
        ("b", "b", *(np.stack([array] * 2) for array in (truth, probability, predicted))),
    ):
        with pytest.raises(ValueError, match=r"expected|grid|twice"):
            scorer.add(*bad)
    assert len(scorer.frame()) == 1
    assert scorer.counts.values.size > 0
    for classes in (("a",), ("a", "a"), ("a", "b", "c")):
        with pytest.raises(ValueError, match="two names"):
            ForegroundScorer(classes)
