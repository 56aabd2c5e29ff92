from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss, DiceFocalLoss, DiceLoss, FocalLoss, TverskyLoss
from sklearn.metrics import f1_score
from torch.nn import functional

from medseg.component import build
from medseg.errors import DefinitionError
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.testing.contracts import MaskTaskContract

CLASSES = ("outside", "oedema", "core")


class TestClassMasks(MaskTaskContract):
    def make(self):
        return ClassMasks(CLASSES, regions={"tumour": [1, 2]}, select=["tumour", "core"])


class TestClassMasksWithWeights(MaskTaskContract):
    def make(self):
        task = ClassMasks(CLASSES, loss=torch.nn.CrossEntropyLoss, class_weights="frequency")
        return task.weighted(np.array([900, 90, 10]))


class TestTwoClasses(MaskTaskContract):
    def make(self):
        return ClassMasks(["background", "lesion"])


@pytest.fixture
def batch():
    random = np.random.default_rng(3)
    logits = torch.from_numpy(random.normal(size=(2, 3, 6, 5))).float()
    labels = torch.from_numpy(random.integers(0, 3, (2, 1, 6, 5))).to(torch.uint8)
    return logits, labels


def one_hot(labels):
    return functional.one_hot(labels[:, 0].long(), 3).permute(0, 3, 1, 2).float()


def soft_dice(logits, labels):
    """MONAI's Dice, written down: mean over slices and classes of 1 - (2 overlap + s) / (sums + s)."""
    p, t = logits.softmax(1), one_hot(labels)
    overlap, sums = (p * t).sum((2, 3)), (p + t).sum((2, 3))
    return (1 - (2 * overlap + 1e-5) / (sums + 1e-5)).mean()


def cross_entropy(logits, labels, weight=None):
    """Weighted mean, as of torch: each pixel counts by the weight of its class."""
    picked = -(logits.log_softmax(1) * one_hot(labels)).sum(1)
    each = torch.ones_like(picked) if weight is None else torch.tensor(weight)[labels[:, 0].long()]
    return (picked * each).sum() / each.sum()


def test_the_loss_when_none_is_given_is_dice_plus_cross_entropy(batch):
    expected = soft_dice(*batch) + cross_entropy(*batch)
    torch.testing.assert_close(ClassMasks(CLASSES).loss()(*batch), expected)


def test_a_monai_loss_that_encodes_labels_gets_indices(batch):
    task = ClassMasks(CLASSES, loss=lambda: DiceCELoss(to_onehot_y=True, softmax=True))
    torch.testing.assert_close(task.loss()(*batch), soft_dice(*batch) + cross_entropy(*batch))


def test_a_monai_loss_that_does_not_gets_them_encoded(batch):
    task = ClassMasks(CLASSES, loss=lambda: DiceLoss(softmax=True))
    torch.testing.assert_close(task.loss()(*batch), soft_dice(*batch))


def test_a_torch_loss_gets_class_indices(batch):
    task = ClassMasks(CLASSES, loss=torch.nn.CrossEntropyLoss)
    torch.testing.assert_close(task.loss()(*batch), cross_entropy(*batch))


@pytest.mark.parametrize(
    "make",
    [
        lambda: DiceFocalLoss(to_onehot_y=True, softmax=True),
        lambda: DiceFocalLoss(softmax=True),
        lambda: FocalLoss(to_onehot_y=True, use_softmax=True),
        lambda: TverskyLoss(to_onehot_y=True, softmax=True),
        lambda: TverskyLoss(softmax=True),
    ],
)
def test_other_monai_losses_are_small_for_the_truth_and_large_for_its_opposite(make, batch):
    _, labels = batch
    loss = ClassMasks(CLASSES, loss=make).loss()
    right = 20 * one_hot(labels) - 10
    assert loss(right, labels) < 0.01
    assert loss(-right, labels) > 0.3


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_logits_of_reduced_precision_are_compared_in_full(half, batch):
    logits, labels = batch
    loss = ClassMasks(CLASSES).loss()
    assert loss(logits.to(half), labels).dtype == torch.float32
    torch.testing.assert_close(loss(logits.to(half), labels), loss(logits.to(half).float(), labels))


def test_given_class_weights_reach_the_loss(batch):
    weights = (0.2, 1.0, 3.0)
    task = ClassMasks(CLASSES, loss=torch.nn.CrossEntropyLoss, class_weights=weights)
    torch.testing.assert_close(task.loss()(*batch), cross_entropy(*batch, weights))
    plain = ClassMasks(CLASSES, loss=torch.nn.CrossEntropyLoss)
    assert task.loss()(*batch) != plain.loss()(*batch)


def test_weights_reach_the_loss_that_is_taken_when_none_is_given(batch):
    weights = (0.2, 1.0, 3.0)
    p, t = batch[0].softmax(1), one_hot(batch[1])
    dice = 1 - (2 * (p * t).sum((2, 3)) + 1e-5) / ((p + t).sum((2, 3)) + 1e-5)
    expected = (dice * torch.tensor(weights)).mean() + cross_entropy(*batch, weights)
    torch.testing.assert_close(ClassMasks(CLASSES, class_weights=weights).loss()(*batch), expected)


def test_weights_by_frequency_are_inverse_to_it_with_a_mean_of_one_over_the_classes_that_occur():
    task = ClassMasks((*CLASSES, "never"), class_weights="frequency")
    weights = task.weighted(np.array([800, 150, 50, 0])).class_weights
    assert weights[3] == 0
    assert np.mean(weights[:3]) == pytest.approx(1)
    np.testing.assert_allclose(np.array(weights[:3]) * [800, 150, 50], weights[0] * 800)


def test_weights_that_are_given_or_none_stay():
    for weights in (None, (1.0, 2.0, 3.0)):
        task = ClassMasks(CLASSES, class_weights=weights)
        assert task.weighted(np.array([1, 2, 3])).class_weights == weights


@pytest.mark.parametrize("seed", range(5))
def test_dice_of_each_case_is_the_f1_score_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    task = ClassMasks(CLASSES, regions={"tumour": [1, 2]}, select=["oedema", "core", "tumour"])
    scorer = task.scorer()
    cases = [f"case{i}" for i in random.integers(0, 3, 12)]
    logits = torch.from_numpy(random.normal(size=(12, 3, 7, 9))).float()
    labels = torch.from_numpy(random.integers(0, 3, (12, 1, 7, 9))).to(torch.uint8)
    for start in (0, 5, 10):
        part = slice(start, min(start + 5, 12))
        scorer.update(cases[part], logits[part], labels[part])
    predicted, truth = logits.argmax(1).numpy(), labels[:, 0].numpy()
    by_name = {"oedema": [1], "core": [2], "tumour": [1, 2], "outside": [0]}
    expected = {
        name: {
            case: f1_score(
                np.isin(truth[np.array(cases) == case], members).ravel(),
                np.isin(predicted[np.array(cases) == case], members).ravel(),
            )
            for case in set(cases)
        }
        for name, members in by_name.items()
    }
    found = scorer.compute()
    for name, scores in expected.items():
        assert found[f"dice/{name}"] == pytest.approx(np.mean(list(scores.values())))
    assert found["score"] == pytest.approx(np.mean([found[f"dice/{name}"] for name in task.select]))
    for case, score in scorer.by_case().items():
        assert score == pytest.approx(np.mean([expected[name][case] for name in task.select]))


def logits_of(labels):
    return 5 * functional.one_hot(labels.long(), 3).permute(0, 3, 1, 2).float()


def test_a_case_without_a_class_in_truth_and_prediction_is_left_out_of_its_mean():
    full, empty = torch.tensor([[[0, 1], [2, 2]]]), torch.zeros(1, 2, 2, dtype=torch.int64)
    scorer = ClassMasks(CLASSES).scorer()
    scorer.update(["full"], logits_of(torch.tensor([[[0, 1], [2, 0]]])), full[:, None])
    scorer.update(["empty"], logits_of(empty), empty[:, None])
    assert scorer.compute()["dice/core"] == pytest.approx(2 / 3)
    assert scorer.by_case() == {"full": pytest.approx((1 + 2 / 3) / 2), "empty": 1.0}


def test_a_class_found_where_none_is_scores_zero():
    scorer = ClassMasks(CLASSES).scorer()
    scorer.update(["a"], logits_of(torch.ones(1, 2, 2)), torch.zeros(1, 1, 2, 2, dtype=torch.uint8))
    assert scorer.compute()["dice/oedema"] == 0
    assert "dice/core" not in scorer.compute()


def test_decoding_takes_the_first_of_equals_and_agrees_with_argmax(batch):
    logits, _ = batch
    task = ClassMasks(CLASSES)
    assert torch.equal(task.decode(logits), logits.argmax(1))
    assert torch.equal(task.decode(torch.zeros(1, 3, 2, 2)), torch.zeros(1, 2, 2, dtype=torch.int64))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"classes": ["one"]}, "two or more"),
        ({"classes": ["a", "a"]}, "distinct"),
        ({"classes": CLASSES, "regions": {"t": [1, 3]}}, r"0\.\.2"),
        ({"classes": CLASSES, "regions": {"t": [-1, 1]}}, r"0\.\.2"),
        ({"classes": CLASSES, "regions": {"t": []}}, "region 't'"),
        ({"classes": CLASSES, "regions": {"core": [1]}}, "name of its own"),
        ({"classes": CLASSES, "select": ["tumour"]}, "tumour"),
        ({"classes": CLASSES, "class_weights": [1.0, 2.0]}, "3 finite numbers"),
    ],
)
def test_contradictions_are_refused(wrong, said):
    with pytest.raises(DefinitionError, match=said):
        ClassMasks(**wrong)


def test_a_region_may_hold_the_first_class_and_the_last():
    assert ClassMasks(CLASSES, regions={"all": [0, 1, 2]}).regions == {"all": (0, 1, 2)}


def test_a_declared_loss_is_built_with_the_weights(batch):
    spec = {
        "_target_": "medseg.learning.ClassMasks",
        "classes": list(CLASSES),
        "class_weights": "frequency",
        "loss": {"_target_": "torch.nn.CrossEntropyLoss", "label_smoothing": 0.0},
    }
    task = build(spec, at="task", kind=None).weighted(np.array([10, 10, 20]))
    expected = cross_entropy(*batch, (1.2, 1.2, 0.6))
    torch.testing.assert_close(task.loss()(*batch), expected)


def test_the_declaration_for_inference_leaves_the_loss_behind():
    task = ClassMasks(CLASSES, loss=lambda: DiceLoss(softmax=True), class_weights=(1.0, 1.0, 2.0))
    assert set(task.spec()) == {"_target_", "classes", "regions", "select"}


def test_gradients_of_the_loss_are_those_of_finite_differences(batch):
    logits, labels = batch
    loss = ClassMasks(CLASSES).loss()
    logits = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, labels), logits)
    step = torch.zeros_like(logits)
    step[1, 2, 3, 4] = 1e-2
    with torch.no_grad():
        slope = (loss(logits + step, labels) - loss(logits - step, labels)) / 2e-2
    assert math.isclose(float(slope), float(gradient[1, 2, 3, 4]), rel_tol=2e-2, abs_tol=1e-5)


@pytest.mark.parametrize("name", ["TverskyLoss", "GeneralizedDiceLoss"])
def test_class_weights_that_a_loss_would_ignore_are_refused(name):
    import monai.losses

    def make(**given):
        given.pop("weight", None)
        return getattr(monai.losses, name)(softmax=True, to_onehot_y=True, **given)

    with pytest.raises(DefinitionError, match="takes no weights of classes"):
        ClassMasks(("a", "b"), loss=make, class_weights=(1.0, 2.0)).loss()


def test_class_weights_may_be_whole_numbers():
    weighted = ClassMasks(("a", "b"), loss=torch.nn.CrossEntropyLoss, class_weights=(1, 3))
    logits, label = torch.randn(2, 2, 4, 4), torch.randint(0, 2, (2, 1, 4, 4)).to(torch.uint8)

    expected = torch.nn.functional.cross_entropy(logits, label[:, 0].long(), torch.tensor([1.0, 3.0]))

    torch.testing.assert_close(weighted.loss()(logits, label), expected)


@pytest.mark.parametrize(
    "weights", [(-1.0, 1.0), (float("nan"), 1.0), (0.0, 0.0), (float("inf"), 1.0), (1.0, 10**400)]
)
def test_class_weights_that_cannot_weigh_are_refused(weights):
    with pytest.raises(DefinitionError, match="0 or more"):
        ClassMasks(("a", "b"), class_weights=weights)


def test_a_single_name_stands_for_a_list_of_it():
    assert ClassMasks(CLASSES, select=CLASSES[1]).select == (CLASSES[1],)
    with pytest.raises(DefinitionError, match=r"task\.select names \['spleen'\]"):
        ClassMasks(CLASSES, select="spleen")
