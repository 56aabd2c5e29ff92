from __future__ import annotations

import numpy as np
import pytest

from medseg.learning.scores.counts import confusion
from medseg.learning.scores.volumes import RATIOS, VolumeScorer

CLASSES = ["outside", "healthy", "core", "oedema"]
REGIONS = {"tumour": [2, 3]}


def two_label_maps(seed: int, shape: tuple[int, ...] = (9, 10, 7), classes: int = 4):
    random = np.random.default_rng(seed)
    truth = random.integers(classes, size=shape)
    changed = random.random(shape) < 0.4
    return truth, np.where(changed, random.integers(classes, size=shape), truth)


def test_a_perfect_prediction_scores_one_in_every_ratio_and_zero_millimetres():
    truth, _ = two_label_maps(3)
    scorer = VolumeScorer(CLASSES, REGIONS)
    scorer.add("a", "a", truth, truth.copy(), (1.0, 0.5, 3.0))
    frame = scorer.frame()
    assert frame["name"].tolist() == [*CLASSES, "tumour"]
    assert (frame[list(RATIOS)] == 1).all(axis=None)
    assert (frame[["hd95", "volume_difference_ml"]] == 0).all(axis=None)


def empties() -> dict[str, dict[str, float]]:
    truth, predicted = np.zeros((4, 6, 8), np.uint8), np.zeros((4, 6, 8), np.uint8)
    truth[1, 1:3, 1:4] = 1  # healthy: truth alone
    predicted[2, 2, 2] = 2  # core: prediction alone; oedema: nowhere
    scorer = VolumeScorer(CLASSES, REGIONS)
    scorer.add("a", "a", truth, predicted, (2.0, 1.0, 0.5))
    return scorer.frame().set_index("name").to_dict("index")


def test_a_class_empty_in_both_is_left_out_of_every_mean_but_its_volumes_are_known():
    row = empties()["oedema"]
    assert all(np.isnan(row[score]) for score in ("dice", "iou", "precision", "recall", "f1", "hd95"))
    assert row["specificity"] == 1
    assert row["volume_truth_ml"] == row["volume_predicted_ml"] == row["volume_difference_ml"] == 0


def test_a_class_predicted_where_there_is_none_scores_zero_and_has_no_recall():
    row = empties()["core"]
    assert row["dice"] == row["iou"] == row["precision"] == row["f1"] == 0
    assert np.isnan(row["recall"])
    assert row["hd95"] == pytest.approx(np.sqrt(8**2 + 6**2 + 4**2))
    assert row["volume_difference_ml"] == pytest.approx(0.001)


def test_a_class_that_was_missed_altogether_scores_zero_and_has_no_precision():
    row = empties()["healthy"]
    assert row["dice"] == row["iou"] == row["recall"] == row["f1"] == 0
    assert np.isnan(row["precision"])
    assert row["hd95"] == pytest.approx(np.sqrt(8**2 + 6**2 + 4**2))
    assert row["volume_difference_ml"] == pytest.approx(-0.006)
    assert row["volume_absolute_difference_ml"] == pytest.approx(0.006)


def test_a_region_forgives_a_mistake_of_one_of_its_classes_for_another():
    truth = np.zeros((3, 3, 3), np.uint8)
    truth[1, 1, :] = (0, 2, 3)
    predicted = np.where(truth == 2, 3, np.where(truth == 3, 2, truth))
    scorer = VolumeScorer(CLASSES, REGIONS)
    scorer.add("a", "a", truth, predicted, (1, 1, 1))
    dice = scorer.frame().set_index("name")["dice"]
    assert dice["core"] == dice["oedema"] == 0
    assert dice["tumour"] == 1


def test_the_pooled_matrix_is_that_of_all_voxels_together():
    first, second = two_label_maps(4), two_label_maps(5, shape=(3, 4, 5))
    scorer = VolumeScorer(CLASSES, REGIONS)
    for case, (truth, predicted) in zip("ab", (first, second), strict=True):
        scorer.add(case, case, truth, predicted, (1, 1, 1), distances=False)
    pooled = [np.concatenate([one.ravel(), other.ravel()]) for one, other in zip(first, second, strict=True)]
    assert np.array_equal(scorer.matrix, confusion(*pooled, 4))
    assert scorer.frame()["hd95"].isna().all()


def test_a_case_is_scored_once_and_its_name_is_not_told():
    truth, predicted = two_label_maps(6)
    scorer = VolumeScorer(CLASSES, REGIONS)
    scorer.add("secret", "secret", truth, predicted, (1, 1, 1))
    with pytest.raises(ValueError, match="scored twice") as caught:
        scorer.add("secret", "secret", truth, predicted, (1, 1, 1))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "spacing", [(1, 1), (1, 0, 1), (1, -1, 1), (1, float("nan"), 1), (1, float("inf"), 1)]
)
def test_a_spacing_must_be_positive_along_every_axis(spacing):
    truth, predicted = two_label_maps(7)
    with pytest.raises(ValueError, match="spacing"):
        VolumeScorer(CLASSES, REGIONS).add("a", "a", truth, predicted, spacing)


@pytest.mark.parametrize(
    ("classes", "regions"),
    [
        ([], {}),
        (["a", "a"], {}),
        (["a"], {"a": [0]}),
        (["a"], {"b": [1]}),
        (["a"], {"b": []}),
        (["a"], {"b": [-1]}),
    ],
)
def test_contradictory_names_are_refused(classes, regions):
    with pytest.raises(ValueError, match=r"expected|give it another"):
        VolumeScorer(classes, regions)


def test_a_table_without_cases_has_the_columns_of_one_with_cases():
    scorer = VolumeScorer(CLASSES, REGIONS)
    columns = list(scorer.frame().columns)
    scorer.add("a", "a", *two_label_maps(8), (1, 1, 1))
    assert columns == list(scorer.frame().columns)


def test_volumes_of_leaning_voxels_are_theirs_and_not_those_of_upright_ones():
    scorer = VolumeScorer(("rest", "organ"), {})
    labels = np.ones((10, 10, 10), np.uint8)
    scorer.add("P1", "P1", labels, labels, (1, 2, 3.2), voxel_volume=6)
    scorer.add("P2", "P2", labels, labels, (1, 2, 3.2))
    found = scorer.frame().query("name == 'organ'").set_index("case")["volume_truth_ml"]
    assert found.to_dict() == pytest.approx({"P1": 6.0, "P2": 6.4})
