"""Losses where some pixels are not annotated: by brute force over the pixels that are."""

from __future__ import annotations

from functools import partial

import monai.losses
import numpy as np
import pytest
import torch
from torch.nn import functional

from medseg.datasets.unannotated import UNANNOTATED
from medseg.errors import DefinitionError
from medseg.learning.tasks.binary_mask import BinaryMask
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.partial_loss import PartialLoss, loss_of

CLASSES = ("background", "core", "rim")


def squared(logits, target):
    """A loss of a stranger: of probabilities against one-hot maps."""
    return ((torch.softmax(logits, dim=1) - target) ** 2).mean()


class Squared(torch.nn.Module):
    forward = staticmethod(squared)


def of_monai(name, **settings):
    return partial(getattr(monai.losses, name), to_onehot_y=True, **settings)


MANY = {
    "usual": None,
    "dice": of_monai("DiceLoss", softmax=True),
    "dice of the batch": of_monai("DiceLoss", softmax=True, batch=True),
    "dice without background": of_monai("DiceLoss", softmax=True, include_background=False),
    "dice and cross-entropy of the batch": of_monai("DiceCELoss", softmax=True, batch=True),
    "generalised": of_monai("GeneralizedDiceLoss", softmax=True),
    "tversky": of_monai("TverskyLoss", softmax=True, alpha=0.3, beta=0.7),
    "focal": of_monai("FocalLoss", use_softmax=True),
    "dice and focal": of_monai("DiceFocalLoss", softmax=True),
    "cross-entropy": torch.nn.CrossEntropyLoss,
    "stranger": Squared,
}
ONE = {
    "usual": None,
    "cross-entropy": torch.nn.BCEWithLogitsLoss,
    "dice": partial(monai.losses.DiceLoss, sigmoid=True),
    "focal": partial(monai.losses.FocalLoss),
}
TASKS = [
    *(pytest.param(ClassMasks(CLASSES, loss=loss), id=name) for name, loss in MANY.items()),
    pytest.param(ClassMasks(CLASSES, class_weights=(1, 3, 2), loss=torch.nn.CrossEntropyLoss), id="weighted"),
    *(pytest.param(BinaryMask(loss=loss), id=f"binary {name}") for name, loss in ONE.items()),
    pytest.param(BinaryMask(class_weights=(1, 4), dice=0), id="binary weighted"),
]


def batch(task, seed=0):
    """Logits and labels of three slices: one without gaps, one half annotated, one nowhere."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, task.out_channels, 6, 7, generator=generator)
    label = torch.randint(len(task.classes), (3, 1, 6, 7), generator=generator).to(torch.uint8)
    label[1, 0, :, 3:] = label[2] = UNANNOTATED
    return logits.requires_grad_(), label


@pytest.mark.parametrize("task", TASKS)
def test_no_gradient_reaches_pixels_that_nobody_annotated_and_what_is_there_changes_no_loss(task) -> None:
    logits, label = batch(task)
    loss = PartialLoss(task)
    value = loss(logits, label)
    value.backward()
    unknown = (label == UNANNOTATED).expand_as(logits)
    other = torch.where(unknown, 50 * torch.randn(logits.shape), logits.detach())

    assert not logits.grad[unknown].any()
    assert logits.grad[~unknown].any()
    assert torch.equal(loss(other, label), value)


@pytest.mark.parametrize("task", TASKS)
def test_of_annotated_pixels_alone_it_is_the_loss_of_the_task(task) -> None:
    logits, label = batch(task)
    every = label.clone()
    every[label == UNANNOTATED] = 1

    assert torch.equal(PartialLoss(task)(logits, every), task.loss()(logits, every))


@pytest.mark.parametrize("task", TASKS)
def test_cutting_away_what_nobody_annotated_gives_the_same(task) -> None:
    logits, label = batch(task)
    kept, known = logits[1:2, :, :, :3], label[1:2, :, :, :3]

    assert torch.allclose(PartialLoss(task)(logits[1:2], label[1:2]), task.loss()(kept, known), atol=1e-6)


def test_the_mean_of_cross_entropy_is_over_annotated_pixels_as_that_of_torch() -> None:
    task = ClassMasks(CLASSES, loss=torch.nn.CrossEntropyLoss)
    logits, label = batch(task)
    expected = functional.cross_entropy(logits, label[:, 0].long(), ignore_index=UNANNOTATED)

    assert torch.allclose(PartialLoss(task)(logits, label), expected)


def test_dice_and_cross_entropy_by_brute_force() -> None:
    """Dice of each slice with annotated pixels, the background's too; cross-entropy of each annotated pixel."""
    task = ClassMasks(CLASSES)
    logits, label = batch(task)
    chances = torch.softmax(logits.detach(), dim=1).numpy()
    dice, entropies = [], []
    for chance, truth in zip(chances[:2], label.numpy()[:2, 0], strict=True):
        known = truth != UNANNOTATED
        entropies += [-np.log(chance[truth[place], *place]) for place in map(tuple, np.argwhere(known))]
        for index in range(3):
            p, t = chance[index][known], truth[known] == index
            dice.append(1 - (2 * (p * t).sum() + 1e-5) / (p.sum() + t.sum() + 1e-5))

    found = PartialLoss(task)(logits, label).item()
    assert found == pytest.approx(np.mean(dice) + np.mean(entropies), abs=1e-5)


def test_a_batch_that_nobody_annotated_has_no_loss_and_moves_no_weight() -> None:
    logits, label = batch(ClassMasks(CLASSES))
    loss = PartialLoss(ClassMasks(CLASSES))(logits, torch.full_like(label, UNANNOTATED))
    loss.backward()

    assert loss.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        (partial(monai.losses.NACLLoss, classes=3, dim=2), "compares each with its neighbours"),
        (of_monai("HausdorffDTLoss", softmax=True), "compares each with its neighbours"),
        (partial(monai.losses.SSIMLoss, spatial_dims=2), "does not take the others alone"),
    ],
)
def test_a_loss_that_looks_at_neighbours_is_refused_with_a_remedy(loss, why) -> None:
    with pytest.raises(DefinitionError, match=f"'ignore'.*{why}.*DiceCELoss") as refused:
        PartialLoss(ClassMasks(CLASSES, loss=loss))
    assert "take 'ignore' out" in str(refused.value)


def test_a_loss_that_joins_slices_in_its_own_way_is_refused() -> None:
    class Worst(torch.nn.Module):
        def forward(self, logits, target):
            return ((torch.softmax(logits, dim=1) - target) ** 2).mean(dim=(1, 2, 3)).amax()

    with pytest.raises(DefinitionError, match="neither that of all its pixels nor the mean or the sum"):
        PartialLoss(ClassMasks(CLASSES, loss=Worst))


def test_where_all_is_annotated_the_task_has_its_own_loss() -> None:
    assert not isinstance(loss_of(BinaryMask(), partly=False), PartialLoss)
    assert isinstance(loss_of(BinaryMask(), partly=True), PartialLoss)
