from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss, TverskyLoss
from PIL import Image
from sklearn.metrics import f1_score
from torch.nn import functional

from medseg.component import build
from medseg.datasets.case import Case
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DefinitionError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.binary_mask import BinaryMask
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.testing.contracts import MaskTaskContract
from medseg.testing.pictures import write_picture


class BinaryContract(MaskTaskContract):
    def perfect(self, labels):
        return 20.0 * labels.float() - 10.0


class TestBinaryMask(BinaryContract):
    def make(self):
        return BinaryMask()


class TestBinaryMaskAtAnotherThreshold(BinaryContract):
    def make(self):
        return BinaryMask(("ground", "particle"), threshold=0.62)


class TestBinaryMaskWithWeights(BinaryContract):
    def make(self):
        return BinaryMask(dice=0.0, class_weights="frequency").weighted(np.array([900, 100]))


class TestBinaryMaskWithAnotherLoss(BinaryContract):
    def make(self):
        return BinaryMask(loss=lambda: TverskyLoss(sigmoid=True, batch=True))


@pytest.fixture
def batch():
    random = np.random.default_rng(3)
    logits = torch.from_numpy(random.normal(0, 2, (3, 1, 6, 5))).float()
    labels = torch.from_numpy(random.integers(0, 2, (3, 1, 6, 5))).to(torch.uint8)
    return logits, labels


def cross_entropy(logits, labels, weights=(1.0, 1.0)):
    """Written down: minus the logarithm of the probability of the true class, times its weight, on average."""
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    y = labels.numpy().astype(bool)
    return float(np.where(y, -np.log(p) * weights[1], -np.log(1 - p) * weights[0]).mean())


def soft_dice(logits, labels):
    """One minus the Dice of all pixels of the batch together, smoothed as MONAI does."""
    p, y = 1 / (1 + np.exp(-logits.double().numpy())), labels.double().numpy()
    return float(1 - (2 * (p * y).sum() + 1e-5) / (p.sum() + y.sum() + 1e-5))


@pytest.mark.parametrize(("by_entropy", "by_dice"), [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.3, 2.5)])
def test_the_loss_is_the_weighted_sum_of_cross_entropy_and_dice(batch, by_entropy, by_dice):
    loss = BinaryMask(cross_entropy=by_entropy, dice=by_dice).loss()
    expected = by_entropy * cross_entropy(*batch) + by_dice * soft_dice(*batch)
    assert float(loss(*batch)) == pytest.approx(expected, rel=1e-5)


def test_each_part_is_that_of_its_library(batch):
    logits, labels = batch
    target = labels.float()
    entropy = BinaryMask(dice=0.0).loss()(logits, labels)
    torch.testing.assert_close(entropy, functional.binary_cross_entropy(logits.sigmoid(), target))
    dice = BinaryMask(cross_entropy=0.0).loss()(logits, labels)
    torch.testing.assert_close(dice, DiceLoss(sigmoid=True, batch=True)(logits, target))


@pytest.mark.parametrize("weights", [(0.4, 1.6), (1, 3), (0.0, 1.0)])
def test_class_weights_weigh_the_pixels_of_the_cross_entropy(batch, weights):
    loss = BinaryMask(dice=0.0, class_weights=weights).loss()
    assert float(loss(*batch)) == pytest.approx(cross_entropy(*batch, weights), rel=1e-5)


def test_weights_of_one_foreground_are_those_of_torch(batch):
    """Torch's `pos_weight` weighs the foreground alone, where the background counts as 1."""
    loss = BinaryMask(dice=0.0, class_weights=(1.0, 3.0)).loss()
    expected = functional.binary_cross_entropy_with_logits(
        batch[0], batch[1].float(), pos_weight=torch.tensor(3.0)
    )
    torch.testing.assert_close(loss(*batch), expected)


def test_weights_by_frequency_are_inverse_to_it_with_a_mean_of_one(batch):
    task = BinaryMask(dice=0.0, class_weights="frequency").weighted(np.array([900, 100]))
    background, foreground = task.class_weights
    assert background + foreground == pytest.approx(2)
    assert background * 900 == pytest.approx(foreground * 100)
    assert float(task.loss()(*batch)) == pytest.approx(cross_entropy(*batch, (0.2, 1.8)), rel=1e-5)


def test_weighing_by_frequency_leaves_all_else_as_it_was():
    task = BinaryMask(("a", "b"), 0.3, 2.0, 0.5, "frequency").weighted(np.array([3, 1]))
    assert (task.classes, task.threshold, task.cross_entropy, task.dice) == (("a", "b"), 0.3, 2.0, 0.5)


@pytest.mark.parametrize("given", [None, (1.0, 2.0), [1, 2]])
def test_weights_that_are_given_or_none_stay(given):
    task = BinaryMask(class_weights=given)
    assert task.weighted(np.array([5, 6])) is task
    assert task.class_weights == (None if given is None else tuple(given))


@pytest.mark.parametrize("voxels", [(0, 10), (10, 0)])
def test_frequencies_of_a_part_without_one_of_the_classes_are_refused(voxels):
    with pytest.raises(
        DefinitionError, match=f"{voxels[0]} pixels of background and {voxels[1]} of foreground"
    ):
        BinaryMask(class_weights="frequency").weighted(np.array(voxels))


def test_a_declared_loss_gets_real_targets_and_nothing_else_counts(batch):
    made = build(
        {"_target_": "medseg.learning.BinaryMask", "loss": {"_target_": "torch.nn.BCEWithLogitsLoss"}},
        at="task",
        kind=None,
    )
    assert float(made.loss()(*batch)) == pytest.approx(cross_entropy(*batch), rel=1e-5)
    focal = BinaryMask(loss=lambda: TverskyLoss(sigmoid=True)).loss()
    torch.testing.assert_close(focal(*batch), TverskyLoss(sigmoid=True)(batch[0], batch[1].float()))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_logits_of_reduced_precision_are_compared_in_full(batch, half):
    logits, labels = batch[0].to(half), batch[1]
    loss = BinaryMask().loss()
    torch.testing.assert_close(loss(logits, labels), loss(logits.float(), labels))
    assert BinaryMask().probabilities(logits).dtype == torch.float32


def test_large_logits_have_a_finite_loss():
    logits = torch.tensor([[[[-200.0, 200.0]]]])
    for wrong in (0, 1):
        labels = torch.tensor([[[[wrong, 1 - wrong]]]], dtype=torch.uint8)
        assert torch.isfinite(BinaryMask(class_weights=(1, 5)).loss()(logits, labels))


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.9, float(np.float32(0.123456789))])
def test_foreground_is_what_has_at_least_the_threshold(threshold):
    """The probability that equals it, and its neighbours among the float32 numbers."""
    at = np.float32(threshold)
    chances = np.array([[np.nextafter(at, np.float32(0)), at, np.nextafter(at, np.float32(1))]])
    task = BinaryMask(threshold=threshold)
    assert task.decide(chances).tolist() == [0, 1, 1]

    class Certain(BinaryMask):
        def probabilities(self, logits):
            return logits

    found = Certain(threshold=threshold).decode(torch.from_numpy(chances).view(1, 1, 1, 3))
    assert found.tolist() == [[[0, 1, 1]]]


def test_a_threshold_of_zero_takes_all_and_one_takes_what_is_certain():
    chances = np.array([[0.0, 0.5, np.nextafter(np.float32(1), np.float32(0)), 1.0]], dtype=np.float32)
    assert BinaryMask(threshold=0).decide(chances).tolist() == [1, 1, 1, 1]
    assert BinaryMask(threshold=1).decide(chances).tolist() == [0, 0, 0, 1]


def test_at_is_the_same_task_with_another_threshold(batch):
    task = BinaryMask(("a", "b"), 0.5, 2.0, 0.5, (1.0, 3.0))
    other = task.at(0.25)
    assert (task.threshold, other.threshold) == (0.5, 0.25)
    assert replace_threshold(other, 0.5) == replace_threshold(task, 0.5)
    assert torch.equal(task.loss()(*batch), other.loss()(*batch))
    declared = BinaryMask(loss=torch.nn.BCEWithLogitsLoss).at(0.1)
    assert declared.loss_of is torch.nn.BCEWithLogitsLoss
    with pytest.raises(DefinitionError, match="threshold"):
        task.at(1.5)


def replace_threshold(task, threshold):
    return (task.classes, threshold, task.cross_entropy, task.dice, task.class_weights, task.loss_of)


def test_the_score_is_the_mean_over_cases_of_the_f1_score_of_scikit_learn():
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.normal(size=(6, 1, 7, 9))).float()
    labels = torch.from_numpy(random.integers(0, 2, (6, 1, 7, 9))).to(torch.uint8)
    cases = ["a", "b", "b", "c", "a", "c"]
    task = BinaryMask(threshold=0.4)
    scorer = task.scorer()
    scorer.update(cases, logits, labels)
    predicted = logits.sigmoid().numpy() >= np.float32(0.4)
    expected = {}
    for case in "abc":
        rows = np.array(cases) == case
        expected[case] = f1_score(labels.numpy()[rows].ravel(), predicted[rows].ravel())
    assert scorer.by_case() == {case: pytest.approx(value) for case, value in expected.items()}
    assert scorer.compute()["score"] == pytest.approx(np.mean(list(expected.values())))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"classes": ["one"]}, "two distinct classes"),
        ({"classes": ["a", "a"]}, "two distinct classes"),
        ({"classes": ["a", "b", "c"]}, "two distinct classes"),
        ({"threshold": -0.1}, r"task\.threshold"),
        ({"threshold": 1.1}, r"probability in \[0, 1\]"),
        ({"threshold": float("nan")}, r"task\.threshold"),
        ({"threshold": "half"}, r"task\.threshold"),
        ({"threshold": True}, r"task\.threshold"),
        ({"cross_entropy": -1.0}, r"task\.cross_entropy"),
        ({"dice": float("inf")}, r"task\.dice"),
        ({"cross_entropy": 0, "dice": 0}, "nothing would be learned"),
        ({"class_weights": [1.0]}, r"task\.class_weights"),
        ({"class_weights": [1.0, 2.0, 3.0]}, r"task\.class_weights"),
        ({"class_weights": [1.0, -2.0]}, r"task\.class_weights"),
        ({"class_weights": [0.0, 0.0]}, r"task\.class_weights"),
        ({"class_weights": "often"}, r"task\.class_weights"),
        ({"class_weights": [1, 2], "cross_entropy": 0}, "weigh the cross-entropy"),
        ({"class_weights": [1, 2], "loss": torch.nn.BCEWithLogitsLoss}, "weigh the cross-entropy"),
        ({"class_weights": "frequency", "loss": torch.nn.BCEWithLogitsLoss}, "weigh the cross-entropy"),
    ],
)
def test_contradictions_are_refused(wrong, said):
    with pytest.raises(DefinitionError, match=said):
        BinaryMask(**wrong)


def test_the_declaration_keeps_the_threshold_and_leaves_the_loss_behind():
    task = BinaryMask(("a", "b"), 0.1 + 0.2, 2.0, 0.5, (1.0, 3.0))
    spec = json.loads(json.dumps(task.spec()))
    assert set(spec) == {"_target_", "classes", "threshold"}
    assert build(spec, at="task", kind=None).threshold == task.threshold


# With a predictor -------------------------------------------------------------------------------------------

MANIFEST = Manifest.from_yaml(Path(__file__).parents[3] / "data_manifests" / "emps.yaml")
NETWORK = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 1}


def make_predictor(task, *, size=(60, 100), fit="pad", steep=0.05):
    """The logit of a pixel is how much brighter than 100 it is."""
    network = build(NETWORK, at="network", kind=torch.nn.Module).eval()
    with torch.no_grad():
        network.weight.fill_(steep)
        network.bias.fill_(-100.0 * steep)
    rule = SliceRule(size=size, fit=fit)
    files = MANIFEST.files()
    return Predictor(network, NETWORK, task, Preparation(MANIFEST.channels, rule, files=files), MANIFEST)


@pytest.fixture
def ramp(tmp_path):
    """60x100 that grows brighter to the right, and a little downwards."""
    rows, columns = np.mgrid[:60, :100]
    grey = (2 * columns + rows // 10).astype(np.uint8)
    return Case("a", "a", {"micrograph": write_picture(tmp_path / "a.png", grey)}, position=1), grey


def rows_first(volume):
    return volume[:, :, 0].T


@pytest.mark.parametrize(("fit", "size"), [("pad", (64, 128)), ("tile", (24, 40)), ("resize", (60, 100))])
def test_the_threshold_is_saved_with_the_model_and_used_by_predict(ramp, tmp_path, fit, size):
    case, grey = ramp
    chances = 1 / (1 + np.exp(-0.05 * (grey.astype(np.float64) - 100)))
    seen = []
    for threshold in (0.2, 0.5, 0.8):
        task = BinaryMask(("background", "foreground"), threshold)
        folder = make_predictor(task, fit=fit, size=size).save(tmp_path / f"model{threshold}")
        loaded = Predictor.load(folder)
        assert loaded.task.threshold == threshold
        found = loaded.predict(case, probabilities=True)
        np.testing.assert_allclose(rows_first(found.probabilities[0]), chances, atol=1e-5)
        np.testing.assert_array_equal(
            found.labels, found.probabilities[0] >= np.float32(threshold), err_msg=f"{fit} at {threshold}"
        )
        np.testing.assert_array_equal(rows_first(found.labels), chances >= threshold)
        np.testing.assert_array_equal(found.labels, loaded.predict(case).labels)
        seen.append(int(found.labels.sum()))
    assert seen == sorted(set(seen), reverse=True)
    assert json.loads((folder / "model.json").read_text())["maps"] == ["foreground"]


def test_only_the_threshold_changes_what_a_model_says(ramp):
    case, _ = ramp
    predictor = make_predictor(BinaryMask())
    lower = replace(predictor, task=predictor.task.at(0.1))
    one, other = (each.predict(case, probabilities=True) for each in (predictor, lower))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert (other.labels >= one.labels).all()
    assert (other.labels > one.labels).any()


def test_resized_probabilities_are_interpolated_and_then_decided(ramp):
    case, grey = ramp
    predictor = make_predictor(BinaryMask(), fit="resize", size=(30, 25))
    found = predictor.predict(case, probabilities=True)
    assert found.labels.shape == found.probabilities[0].shape == (100, 60, 1)
    small = Image.fromarray(grey.astype(np.float32)).resize((25, 30), Image.Resampling.BILINEAR)
    chances = 1 / (1 + np.exp(-0.05 * (np.asarray(small) - 100)))
    expected = Image.fromarray(chances.astype(np.float32)).resize((100, 60), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(rows_first(found.probabilities[0]), np.asarray(expected), atol=2e-3)
    np.testing.assert_array_equal(found.labels == 1, found.probabilities[0] >= np.float32(0.5))


@pytest.mark.parametrize("size", [(30, 25), (37, 61), (74, 41), (128, 128)])
def test_certain_probabilities_stay_within_zero_to_one_when_they_are_resized(ramp, size):
    """Interpolation adds weights up to a bit more than one; what counts probabilities refuses that."""
    case, _ = ramp
    found = make_predictor(BinaryMask(), fit="resize", size=size, steep=100.0).predict(
        case, probabilities=True
    )
    assert found.probabilities.max() == pytest.approx(1)
    assert found.probabilities.max() <= 1
    assert found.probabilities.min() >= 0
