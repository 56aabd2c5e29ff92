"""Tasks of whole images: one class each, or any number at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from medseg.component import build
from medseg.errors import DefinitionError
from medseg.learning.tasks.image_classes import ImageClasses, ImageTags
from medseg.learning.tasks.multilabel import AnyClasses
from medseg.learning.tasks.task import TASK, LabelTask, MaskTask
from medseg.testing.contracts import LabelTaskContract

NAMES = ("10_x", "2_y", "A", "é")


class TestImageClasses(LabelTaskContract):
    def make(self):
        return ImageClasses(NAMES)


class TestImageClassesWithWeights(LabelTaskContract):
    def make(self):
        return ImageClasses(NAMES, class_weights="frequency").weighted(np.array([1, 2, 3, 4]))


class TestImageClassesByAccuracy(LabelTaskContract):
    def make(self):
        return ImageClasses(NAMES, select="accuracy")


class TestImageTags(LabelTaskContract):
    def make(self):
        return ImageTags(NAMES)


class TestImageTagsWithWeights(LabelTaskContract):
    def make(self):
        return ImageTags(NAMES, class_weights=[1.0, 2.0, 0.5, 1.0])


class TestImageTagsAtAnotherThreshold(LabelTaskContract):
    def make(self):
        return ImageTags(NAMES, threshold=0.9)


def declared(name="ImageClasses", **settings):
    spec = {"_target_": f"medseg.learning.{name}", "classes": list(NAMES), **settings}
    return build(spec, at="task", kind=TASK)


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(3)
    logits = torch.randn(12, 4, generator=random)
    index = torch.randint(4, (12,), generator=random)
    return logits, index, functional.one_hot(index, 4).to(torch.uint8)


def test_a_task_of_images_is_no_task_of_masks():
    for task in (ImageClasses(NAMES), ImageTags(NAMES)):
        assert isinstance(task, LabelTask)
        assert not isinstance(task, MaskTask)


def test_the_loss_is_cross_entropy(batch):
    logits, index, label = batch

    assert torch.isclose(ImageClasses(NAMES).loss()(logits, label), functional.cross_entropy(logits, index))


def test_weights_weigh_the_cross_entropy(batch):
    logits, index, label = batch
    given = (0.5, 2.0, 1.0, 0.0)
    expected = functional.cross_entropy(logits, index, weight=torch.tensor(given))

    assert torch.isclose(ImageClasses(NAMES, class_weights=given).loss()(logits, label), expected)


def test_smoothing_is_that_of_the_cross_entropy(batch):
    logits, index, label = batch
    expected = functional.cross_entropy(logits, index, label_smoothing=0.2)

    assert torch.isclose(ImageClasses(NAMES, label_smoothing=0.2).loss()(logits, label), expected)


def test_weights_by_frequency_are_inverse_with_a_mean_of_one():
    weights = ImageClasses(NAMES, class_weights="frequency").weighted(np.array([10, 20, 40, 0])).class_weights

    assert np.mean(weights[:3]) == pytest.approx(1)
    np.testing.assert_allclose(np.array(weights[:3]) * [10, 20, 40], weights[0] * 10)
    assert weights[3] == 0


def test_a_declared_loss_of_torch_gets_indices(batch):
    logits, index, label = batch
    task = declared(loss={"_target_": "torch.nn.MultiMarginLoss"})

    assert torch.isclose(task.loss()(logits, label), functional.multi_margin_loss(logits, index))


def test_a_declared_loss_of_monai_gets_a_one_hot(batch):
    logits, _, label = batch
    focal = {"_target_": "monai.losses.FocalLoss", "gamma": 0.0, "use_softmax": True}
    found = declared(loss=focal).loss()(logits, label)
    expected = -(functional.log_softmax(logits, 1) * label).sum(1).mean() / 4  # a mean over classes as well

    assert torch.isclose(found, expected)


def test_a_declared_loss_of_monai_that_makes_labels_one_hot_itself_gets_indices(batch):
    logits, _, label = batch
    focal = {"_target_": "monai.losses.FocalLoss", "gamma": 2.0, "use_softmax": True}
    found = declared(loss={**focal, "to_onehot_y": True}).loss()(logits, label)

    assert torch.isclose(found, declared(loss=focal).loss()(logits, label))


def test_a_loss_that_takes_no_weights_is_told():
    task = declared(
        loss={"_target_": "torch.nn.MultiLabelSoftMarginLoss"}, class_weights=[1.0, 1.0, 1.0, 2.0]
    )
    task.loss()  # takes them
    with pytest.raises(DefinitionError, match="takes no weights"):
        declared(loss={"_target_": "torch.nn.SmoothL1Loss"}, class_weights=[1.0, 1.0, 1.0, 2.0]).loss()


def test_tags_are_chosen_each_by_itself():
    task = ImageTags(NAMES)

    assert task.chosen(np.array([0.5, 0.49, 0.9, 0.1], dtype=np.float32)) == ("10_x", "A")
    assert task.chosen(np.zeros(4, dtype=np.float32)) == ()


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_one_threshold_decides_for_predictions_and_for_the_scores_of_epochs(threshold):
    task = declared("ImageTags", threshold=threshold, select="accuracy", class_weights="frequency")
    task = task.weighted(np.arange(1, 5))  # as for training
    p = np.array([[0.2, 0.3, 0.4, 0.5], [0.6, 0.7, 0.8, 0.3]], dtype=np.float32)
    said = [
        {name for name, each in zip(NAMES, row, strict=True) if each >= np.float32(threshold)} for row in p
    ]
    assert [set(task.chosen(row)) for row in p] == said
    logits = torch.special.logit(torch.tensor(p))
    p = task.probabilities(logits).numpy()  # those that the scorer sees: rounding may cross a threshold
    scorer = task.scorer()
    truth = torch.tensor(task.decision.chosen(p)).to(torch.uint8)
    scorer.update(["x", "y"], logits, truth)
    assert scorer.compute()["score"] == 1
    assert truth.numpy().tolist() == (p >= np.float32(threshold)).astype(int).tolist()


def test_the_declaration_keeps_the_threshold_and_an_old_one_without_means_one_half():
    spec = ImageTags(NAMES, threshold=0.25).spec()
    assert build(spec, at="task", kind=TASK).decision == AnyClasses(0.25)
    del spec["threshold"]
    assert build(spec, at="task", kind=TASK).threshold == 0.5


@pytest.mark.parametrize("threshold", [0, 1, -1, 2, float("nan"), True, "half", None])
def test_a_threshold_that_decides_nothing_is_refused_by_name(threshold):
    with pytest.raises(
        DefinitionError, match=r"task\.threshold is .*, expected a number more than 0 and less than 1"
    ):
        declared("ImageTags", threshold=threshold)


def test_the_first_of_equally_probable_classes_is_chosen():
    assert ImageClasses(NAMES).chosen(np.array([0.1, 0.4, 0.4, 0.1], dtype=np.float32)) == ("2_y",)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"classes": ["a"]}, "two or more distinct classes"),
        ({"classes": ["a", "a"]}, "two or more distinct classes"),
        ({"select": "dice"}, "task.select is 'dice'"),
        ({"class_weights": [1.0, 2.0]}, "expected 4 finite numbers"),
        ({"class_weights": [1.0, 2.0, float("nan"), 1.0]}, "expected 4 finite numbers"),
        ({"class_weights": "often"}, "expected `frequency`"),
        ({"label_smoothing": 1.0}, "expected a number in"),
        ({"label_smoothing": 0.1, "loss": {"_target_": "torch.nn.CrossEntropyLoss"}}, "set it in task.loss"),
    ],
)
def test_contradictions_are_refused(settings, complaint):
    with pytest.raises(DefinitionError, match=complaint):
        declared(**settings)
