from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from monai.losses import (
    AsymmetricUnifiedFocalLoss,
    DiceCELoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    GeneralizedDiceLoss,
    GeneralizedWassersteinDiceLoss,
    HausdorffDTLoss,
    NACLLoss,
    TverskyLoss,
)

from medseg.errors import DefinitionError
from medseg.learning import BinaryMask, ClassMasks, ImageClasses, ImageTags
from medseg.pipeline.checks.loss_check import check_loss

SIZE = (16, 20)
THREE = ("background", "edge", "core")


def masks(loss=None):
    return ClassMasks(THREE) if loss is None else ClassMasks(THREE, loss=loss)


class NegativeDice(torch.nn.Module):
    """Right, though below 0: it ends at -1."""

    def __init__(self, **more):
        super().__init__()
        self.loss = DiceLoss(softmax=True, to_onehot_y=True, **more)

    def forward(self, logits, label):
        return self.loss(logits, label) - 1


@pytest.mark.parametrize(
    "loss",
    [
        None,
        partial(DiceLoss, to_onehot_y=True, softmax=True),
        partial(DiceLoss, to_onehot_y=True, sigmoid=True, include_background=False),
        partial(DiceFocalLoss, to_onehot_y=True, softmax=True),
        partial(TverskyLoss, to_onehot_y=True, softmax=True),
        partial(GeneralizedDiceLoss, to_onehot_y=True, softmax=True),
        partial(HausdorffDTLoss, to_onehot_y=True, softmax=True),
        partial(FocalLoss, to_onehot_y=True),
        torch.nn.CrossEntropyLoss,
        partial(torch.nn.CrossEntropyLoss, label_smoothing=0.2),
        partial(torch.nn.CrossEntropyLoss, label_smoothing=0.8),
        NegativeDice,
    ],
)
@pytest.mark.filterwarnings("ignore")  # MONAI's, of include_background and of itself
def test_losses_of_logits_are_taken(loss):
    check_loss(masks(loss), SIZE)


@pytest.mark.parametrize(
    "task",
    [
        BinaryMask(("background", "cell")),
        ImageClasses(("a", "b")),
        ImageClasses(("a", "b"), label_smoothing=0.9),
        ImageTags(("a", "b", "c")),
    ],
    ids=lambda task: type(task).__name__,
)
def test_each_task_has_a_loss_that_tells_right_from_wrong(task):
    check_loss(task, SIZE)


@pytest.mark.parametrize(
    ("loss", "met"),
    [
        (partial(DiceLoss, to_onehot_y=True), "expected the least for right logits"),
        (partial(DiceCELoss, to_onehot_y=True), "expected the least for right logits"),
        (partial(GeneralizedDiceLoss, to_onehot_y=True), "expected the least for right logits"),
        (torch.nn.NLLLoss, "falls without end"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_losses_of_probabilities_are_refused_with_what_to_do(loss, met):
    with pytest.raises(DefinitionError, match=rf"task\.loss gives .*{met}.*softmax: true"):
        check_loss(masks(loss), SIZE)


def test_a_loss_that_cuts_logits_to_the_range_of_probabilities_is_refused():
    """Beyond it, nothing would be learned."""
    binary = BinaryMask(("background", "cell"), loss=AsymmetricUnifiedFocalLoss)
    with pytest.raises(DefinitionError, match=r"a training would stand still there.*made for probabilities"):
        check_loss(binary, SIZE)


def test_a_loss_that_gives_no_number_is_refused():
    class Log(torch.nn.Module):
        def forward(self, logits, label):
            return logits.log().mean() + label.float().mean()

    with pytest.raises(DefinitionError, match=r"gives nan .*expected finite numbers"):
        check_loss(masks(Log), SIZE)


def test_the_classes_of_images_are_checked_as_well():
    with pytest.raises(DefinitionError, match="falls without end"):
        check_loss(ImageClasses(("a", "b"), loss=torch.nn.NLLLoss), SIZE)


RIGHT = {
    "Dice": partial(DiceLoss, to_onehot_y=True, softmax=True),
    "Dice of sigmoids": partial(DiceLoss, to_onehot_y=True, sigmoid=True),
    "Dice without background": partial(DiceLoss, to_onehot_y=True, softmax=True, include_background=False),
    "Jaccard": partial(DiceLoss, to_onehot_y=True, softmax=True, jaccard=True),
    "Dice of squares": partial(DiceLoss, to_onehot_y=True, softmax=True, squared_pred=True),
    "Dice and cross-entropy": partial(DiceCELoss, to_onehot_y=True, softmax=True),
    "Dice and cross-entropy, weighed": partial(DiceCELoss, to_onehot_y=True, softmax=True, lambda_ce=0.1),
    "Dice and focal": partial(DiceFocalLoss, to_onehot_y=True, softmax=True),
    "Tversky": partial(TverskyLoss, to_onehot_y=True, softmax=True, alpha=0.3, beta=0.7),
    "generalised": partial(GeneralizedDiceLoss, to_onehot_y=True, softmax=True),
    "focal": partial(FocalLoss, to_onehot_y=True),
    "focal of softmax": partial(FocalLoss, to_onehot_y=True, use_softmax=True),
    "cross-entropy": torch.nn.CrossEntropyLoss,
    "smoothed": partial(torch.nn.CrossEntropyLoss, label_smoothing=0.5),
}
OF_PROBABILITIES = {
    name: partial(make, to_onehot_y=True, **more)
    for name, make, more in (
        ("Dice", DiceLoss, {}),
        ("Dice without background", DiceLoss, {"include_background": False}),
        ("Jaccard", DiceLoss, {"jaccard": True}),
        ("Dice and cross-entropy", DiceCELoss, {}),
        ("Dice and focal", DiceFocalLoss, {}),
        ("Tversky", TverskyLoss, {}),
        ("generalised", GeneralizedDiceLoss, {}),
    )
}


@pytest.mark.parametrize("classes", [2, 5, 12, 30])
@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.filterwarnings("ignore")  # MONAI's, of include_background
def test_any_number_of_classes_is_learned_with_losses_of_logits(name, classes):
    check_loss(ClassMasks(tuple(f"c{n}" for n in range(classes)), loss=RIGHT[name]), SIZE)


@pytest.mark.parametrize("classes", [2, 5, 12, 30])
@pytest.mark.parametrize("name", OF_PROBABILITIES)
@pytest.mark.filterwarnings("ignore")
def test_any_number_of_classes_is_refused_with_losses_of_probabilities(name, classes):
    with pytest.raises(DefinitionError, match=r"task\.loss gives .*softmax: true"):
        check_loss(ClassMasks(tuple(f"c{n}" for n in range(classes)), loss=OF_PROBABILITIES[name]), SIZE)


@pytest.mark.parametrize("classes", [2, 4, 8])
def test_losses_of_monai_that_take_indices_alone_are_given_them(classes):
    apart = 1 - np.eye(classes)
    for loss in (
        partial(GeneralizedWassersteinDiceLoss, dist_matrix=apart),
        partial(GeneralizedWassersteinDiceLoss, dist_matrix=apart, weighting_mode="GDL"),
        partial(NACLLoss, classes=classes, dim=2),
    ):
        check_loss(ClassMasks(tuple(f"c{n}" for n in range(classes)), loss=loss), SIZE)


@pytest.mark.parametrize("make", [DiceLoss, DiceCELoss, DiceFocalLoss])
@pytest.mark.parametrize("classes", [2, 4, 8, 12, 30])
@pytest.mark.filterwarnings("ignore")
def test_dice_of_squared_logits_is_refused_which_is_least_at_the_labels_themselves(make, classes):
    names = tuple(f"c{n}" for n in range(classes))
    with pytest.raises(DefinitionError, match=r"task\.loss gives .*softmax: true"):
        check_loss(ClassMasks(names, loss=partial(make, to_onehot_y=True, squared_pred=True)), SIZE)
    check_loss(ClassMasks(names, loss=partial(make, to_onehot_y=True, squared_pred=True, softmax=True)), SIZE)


@pytest.mark.filterwarnings("ignore")
def test_dice_of_squared_logits_is_refused_of_a_binary_mask_as_well():
    with pytest.raises(DefinitionError, match=r"task\.loss gives .*sigmoid: true"):
        check_loss(BinaryMask(("background", "foreground"), loss=partial(DiceLoss, squared_pred=True)), SIZE)
    check_loss(
        BinaryMask(("background", "foreground"), loss=partial(DiceLoss, squared_pred=True, sigmoid=True)),
        SIZE,
    )


@pytest.mark.parametrize("classes", [2, 5, 12, 30])
@pytest.mark.parametrize(
    ("loss", "taken"),
    [
        (torch.nn.BCEWithLogitsLoss, True),
        (torch.nn.MultiLabelSoftMarginLoss, True),
        (FocalLoss, True),
        (torch.nn.CrossEntropyLoss, False),
        (torch.nn.SoftMarginLoss, False),
        (torch.nn.MSELoss, False),
        (torch.nn.BCELoss, False),
        (partial(FocalLoss, use_softmax=True), False),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_any_number_of_classes_of_an_image_want_a_loss_of_each_by_itself(loss, taken, classes):
    task = ImageTags(tuple(f"c{n}" for n in range(classes)), loss=loss)
    if taken:
        check_loss(task, SIZE)
    else:
        with pytest.raises(DefinitionError, match=r"task\.loss"):
            check_loss(task, SIZE)


def test_what_to_take_in_place_of_cross_entropy_is_said():
    with pytest.raises(
        DefinitionError, match=r"an image with no class; .*BCEWithLogitsLoss, or leave task\.loss out"
    ):
        check_loss(ImageTags(("a", "b", "c"), loss=torch.nn.CrossEntropyLoss), SIZE)
    check_loss(ImageTags(("a", "b", "c"), loss=torch.nn.BCEWithLogitsLoss), SIZE)  # the remedy


SMOOTHED = {
    "one class": ImageClasses(
        ("a", "b"),
        loss=partial(torch.nn.CrossEntropyLoss, label_smoothing=0.1),
        class_weights="frequency",
    ),
    "masks": ClassMasks(
        THREE,
        loss=partial(DiceCELoss, to_onehot_y=True, softmax=True, label_smoothing=0.1),
        class_weights="frequency",
    ),
}


@pytest.mark.parametrize("task", SMOOTHED.values(), ids=SMOOTHED)
def test_weights_by_frequency_and_label_smoothing_are_refused_before_the_counts_are_known(task):
    with pytest.raises(DefinitionError, match=r"weights of classes and label_smoothing"):
        check_loss(task, SIZE)


WEIGHTED = {
    "one class": lambda weights: ImageClasses(("a", "b"), class_weights=weights),
    "torch's": lambda weights: ImageClasses(
        ("a", "b"), loss=partial(torch.nn.CrossEntropyLoss, weight=torch.tensor(weights))
    ),
    "masks": lambda weights: ClassMasks(("a", "b"), class_weights=weights),
}


@pytest.mark.parametrize("make", WEIGHTED.values(), ids=WEIGHTED)
def test_a_class_without_weight_is_refused_where_a_batch_of_it_alone_has_no_loss(make):
    with pytest.raises(
        DefinitionError, match=r"gives nan for a batch that holds the class 'a' alone.*above 0"
    ):
        check_loss(make((0.0, 1.0)), SIZE)
    check_loss(make((0.001, 1.0)), SIZE)  # the remedy


def test_a_class_without_weight_is_taken_where_the_loss_is_a_mean_over_all():
    check_loss(ImageTags(("a", "b"), class_weights=(0.0, 1.0)), SIZE)
    check_loss(BinaryMask(class_weights=(0.5, 1.0)), SIZE)
