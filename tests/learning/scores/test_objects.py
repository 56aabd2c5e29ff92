from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medseg.learning.scores.objects import ObjectCounts, connected, match_objects, truth_objects

maps = arrays(np.int32, (5, 6), elements=st.sampled_from([0, 0, 1, 2, 3, 60000]))


def brute_force(truth, predicted, iou):
    found = []
    for t in set(truth.ravel().tolist()) - {0}:
        for p in set(predicted.ravel().tolist()) - {0}:
            union = ((truth == t) | (predicted == p)).sum()
            value = ((truth == t) & (predicted == p)).sum() / union
            if value > iou:
                found.append(value)
    sizes = (len(set(labels.ravel().tolist()) - {0}) for labels in (truth, predicted))
    return len(found), *sizes, sum(found)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(maps, maps, st.booleans(), st.sampled_from([0.5, 0.7]))
def test_matching_is_that_of_comparing_each_pair(truth, predicted, alike, iou):
    if alike:  # independent maps hardly ever match
        predicted = np.where(np.arange(30).reshape(5, 6) % 7 == 0, predicted, truth)
    found = match_objects(truth, predicted, iou)
    matched, in_truth, in_prediction, iou_sum = brute_force(truth, predicted, iou)
    assert (found.matched, found.truth, found.predicted) == (matched, in_truth, in_prediction)
    assert found.iou_sum == pytest.approx(iou_sum)


def test_half_an_object_is_no_match():
    truth = np.zeros((4, 4), np.int32)
    truth[0] = 1
    half = truth.copy()
    half[0, :2] = 0
    assert match_objects(truth, half).matched == 0  # IoU exactly 0.5
    half[0, 1] = 1
    assert match_objects(truth, half).iou_sum == 0.75


def test_an_iou_whose_matching_is_not_unique_is_refused():
    plain = np.ones((2, 2), np.int32)
    for iou in (0.49, 0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"0\.5"):
            match_objects(plain, plain, iou)


def test_scores_are_those_of_the_counts():
    scores = ObjectCounts(matched=3, truth=4, predicted=6, iou_sum=2.4).scores()
    assert scores["object_precision"] == 3 / 6
    assert scores["object_recall"] == 3 / 4
    assert scores["object_f1"] == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert scores["segmentation_quality"] == pytest.approx(0.8)
    assert scores["panoptic_quality"] == pytest.approx(2.4 / (3 + 3 / 2 + 1 / 2))
    assert scores["panoptic_quality"] == pytest.approx(scores["segmentation_quality"] * scores["object_f1"])


def test_no_objects_leave_scores_undefined():
    empty, some = np.zeros((3, 3), np.int32), np.eye(3, dtype=np.int32)
    assert np.isnan(list(match_objects(empty, empty).scores().values())).all()
    missed, invented = match_objects(some, empty).scores(), match_objects(empty, some).scores()
    assert (missed["object_recall"], missed["panoptic_quality"]) == (0, 0)
    assert (invented["object_precision"], invented["panoptic_quality"]) == (0, 0)
    assert np.isnan([missed["object_precision"], invented["object_recall"]]).all()


def test_pixels_that_touch_at_a_corner_are_one_object():
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 1]], bool)
    labels = connected(mask)
    assert labels.dtype == np.int32
    assert (labels > 0).tolist() == mask.tolist()
    assert labels.max() == 4
    assert labels[0, 0] == labels[1, 1]


@pytest.mark.parametrize("value", [1, 255, 65535])
def test_a_map_of_a_single_value_is_a_mask_of_components(value):
    mask = np.array([[value, 0, value], [0, 0, value]], np.uint16)
    assert truth_objects(mask).max() == 2
    assert truth_objects(mask > 0).max() == 2


def test_each_of_several_values_is_one_object():
    instances = np.array([[7, 0, 7], [7, 9, 9]], np.uint16)  # 7 in two pieces; 9 touches both
    assert truth_objects(instances).tolist() == instances.tolist()
    assert match_objects(truth_objects(instances), instances).matched == 2


def test_a_last_axis_of_one_is_taken_off():
    instances = np.array([[1, 0], [2, 2]], np.int32)
    volume = instances[..., None]
    assert truth_objects(volume).shape == connected(volume > 0).shape == (2, 2)
    assert match_objects(volume, instances) == match_objects(instances, instances)


def test_what_is_no_map_of_objects_is_refused():
    good = np.ones((2, 2), np.int32)
    for bad in (-good, good.astype(float), np.ones((2, 2, 2), np.int32), np.ones((2, 3), np.int32)):
        with pytest.raises(ValueError, match=r"expected|grid"):
            match_objects(good, bad)
