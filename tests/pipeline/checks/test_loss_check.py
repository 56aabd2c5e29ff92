from __future__ import annotations

from functools import partial

import pytest
import torch
from monai.losses import (
    DiceCELoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    GeneralizedDiceLoss,
    HausdorffDTLoss,
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


def test_a_loss_that_gives_no_number_is_refused():
    class Log(torch.nn.Module):
        def forward(self, logits, label):
            return logits.log().mean() + label.float().mean()

    with pytest.raises(DefinitionError, match=r"gives nan .*expected finite numbers"):
        check_loss(masks(Log), SIZE)


def test_the_classes_of_images_are_checked_as_well():
    with pytest.raises(DefinitionError, match="falls without end"):
        check_loss(ImageClasses(("a", "b"), loss=torch.nn.NLLLoss), SIZE)
