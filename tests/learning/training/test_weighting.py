"""Weights of samples are those of a loss that is weighted explicitly."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from medseg.learning.training.weighting import weighted


def gradient(loss, shape=(6, 3)):
    logits = torch.linspace(-2, 2, 6 * 3).reshape(shape).requires_grad_()
    loss(logits).backward()
    return logits.grad


WEIGHTS = torch.tensor([1.0, 0.5, 0.0, 2.0, 1.0, 0.25])
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def test_the_gradient_is_that_of_the_weighted_cross_entropy():
    found = gradient(lambda logits: cross_entropy(weighted(logits, WEIGHTS), LABELS))
    expected = gradient(lambda logits: (WEIGHTS * cross_entropy(logits, LABELS, reduction="none")).mean())
    torch.testing.assert_close(found, expected)


def test_so_is_that_of_label_maps():
    truth = (torch.arange(18).reshape(6, 1, 3, 1) % 2).float()
    found = gradient(
        lambda logits: binary_cross_entropy_with_logits(weighted(logits, WEIGHTS), truth), (6, 1, 3, 1)
    )
    each = WEIGHTS.reshape(6, 1, 1, 1)
    expected = gradient(
        lambda logits: (each * binary_cross_entropy_with_logits(logits, truth, reduction="none")).mean(),
        (6, 1, 3, 1),
    )
    torch.testing.assert_close(found, expected)


def test_the_value_of_the_loss_is_that_without_weights():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(weighted(logits, WEIGHTS), logits)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_weights_of_one_change_nothing(kind):
    logits = torch.randn(6, 3).to(kind)
    assert weighted(logits, torch.ones(6, dtype=torch.float64)) is logits
