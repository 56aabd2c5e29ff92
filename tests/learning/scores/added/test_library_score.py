from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from monai.metrics import DiceMetric, HausdorffDistanceMetric, SurfaceDiceMetric, compute_surface_dice

from medseg.errors import DefinitionError
from medseg.learning.scores.added.case_score import computed
from medseg.learning.scores.added.cases import MaskCase
from medseg.learning.scores.added.library_score import LibraryScore
from medseg.learning.scores.counts import dice

MEMBERS = {"rest": (0,), "core": (1,), "lost": (2,), "nowhere": (3,)}


def case(spacing=(1.0, 1.0, 3.0)):
    truth, predicted = np.zeros((2, 12, 12, 8), dtype=np.uint8)
    truth[3:8, 3:8, 2:6] = 1
    predicted[4:9, 3:8, 3:6] = 1
    truth[10:, 10:, :2] = 2
    return MaskCase("P1", MEMBERS, truth, predicted, spacing)


def test_a_metric_of_monai_is_that_of_each_class_in_millimetres():
    score = LibraryScore(SurfaceDiceMetric(class_thresholds=[2.0]), "surface_dice", missed=0.0)
    found = computed(score, case())
    assert set(found) == {"rest", "core", "lost"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of MONAI, at itself
        for name in ("rest", "core"):
            masks = [
                torch.from_numpy(mask.astype(np.float32))[None, None] for mask in reversed(case().masks(name))
            ]
            expected = compute_surface_dice(*masks, [2.0], include_background=True, spacing=[1, 1, 3])
            assert found[name] == pytest.approx(float(expected))
    assert found["core"] != computed(score, case(spacing=None))["core"]


def test_metrics_without_spacing_get_none_and_forget_what_they_saw():
    score = LibraryScore(DiceMetric(), "monai_dice", missed=0.0)
    for _ in range(2):
        found = computed(score, case())
        assert found["core"] == pytest.approx(float(dice(*case().counts("core"))))
    assert score.metric.get_buffer() is None


def test_a_distance_says_what_a_missed_class_costs():
    metric = HausdorffDistanceMetric(percentile=95)
    with pytest.raises(DefinitionError, match=r"gives nan where .* alone has lost; say in `missed`"):
        computed(LibraryScore(metric, "distance"), case())
    found = computed(LibraryScore(metric, "distance", missed=50, larger_is_better=False), case())
    assert found["lost"] == 50
    assert 0 < found["core"] < 50


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI warns about itself
@pytest.mark.parametrize("axis", range(3))
def test_a_metric_gets_a_volume_of_one_slice_as_that_slice(axis):
    flat = np.zeros((2, 40, 50), dtype=np.uint8)
    flat[0, 5:25, 5:25] = flat[1, 5:25, 5:25] = flat[1, 35:39, 45:49] = 1
    truth, predicted = np.expand_dims(flat, axis + 1)
    metric = HausdorffDistanceMetric(percentile=95)
    masks = [torch.from_numpy(mask)[None, None].float() for mask in reversed(flat)]
    spacing = tuple(np.insert([0.5, 2.0], axis, 5.0))

    found = computed(
        LibraryScore(metric, "distance", missed=50), MaskCase("P1", MEMBERS, truth, predicted, spacing)
    )

    metric(*masks, spacing=[0.5, 2.0])
    assert found["core"] == pytest.approx(float(metric.aggregate()))
    assert found["core"] > 20


def test_other_metrics_get_the_prediction_first_and_whole_numbers():
    class Recall:
        """As those of TorchMetrics: called with predictions and targets."""

        def __init__(self):
            self.seen = 0

        def __call__(self, preds, target):
            assert preds.dtype == target.dtype == torch.uint8
            self.seen += 1
            return (preds * target).sum() / target.sum()

        def reset(self):
            self.seen = 0

    score = LibraryScore(Recall(), "theirs", missed=0.0)
    counts = case().counts("core")
    assert computed(score, case())["core"] == pytest.approx(counts.tp / (counts.tp + counts.fn))
    assert score.metric.seen == 0


def test_several_numbers_of_one_class_are_refused():
    class Pair:
        def __call__(self, *_):
            return [0.5, 0.5]

    with pytest.raises(DefinitionError, match=r"pair .*Pair gave 2 numbers of one class"):
        computed(LibraryScore(Pair(), "pair"), case())
