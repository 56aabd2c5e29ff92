"""The loss of several outputs, against sums that are written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import avg_pool2d

from medseg.learning.outputs.deep_supervision import DeepSupervision, output_weights, supervision_note
from medseg.learning.tasks.binary_mask import BinaryMask
from medseg.learning.tasks.class_masks import ClassMasks

DRAW = torch.Generator().manual_seed(0)


@pytest.mark.parametrize("count", range(1, 7))
def test_weights_sum_to_one_and_each_is_half_of_the_one_before(count):
    weights = output_weights(count)

    assert sum(weights) == pytest.approx(1)
    assert weights[1:] == pytest.approx([each / 2 for each in weights[:-1]])


def test_the_note_says_the_weights_and_nothing_of_one_output():
    assert supervision_note(1) == ""
    assert (
        "4 outputs as it trains: the loss is taken on each, weights 0.53, 0.27, 0.13, 0.07"
        in supervision_note(4)
    )


@pytest.mark.parametrize(
    ("task", "channels"),
    [(ClassMasks(("a", "b", "c")), 3), (BinaryMask(), 1)],
    ids=["classes", "binary"],
)
def test_it_is_the_weighted_sum_of_the_losses_against_the_label_of_each_size(task, channels):
    small = torch.randint(0, len(task.classes), (2, 1, 4, 4), generator=DRAW).to(torch.uint8)
    label = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)  # whichever pixel is the nearest
    large_logits = torch.randn((2, channels, 8, 8), generator=DRAW)
    small_logits = avg_pool2d(large_logits, 2)
    loss = task.loss()

    expected = (2 * loss(large_logits, label) + loss(small_logits, small)) / 3

    assert torch.allclose(DeepSupervision(task.loss())([large_logits, small_logits], label), expected)
    assert torch.equal(DeepSupervision(task.loss())(large_logits, label), loss(large_logits, label))


def test_a_loss_may_be_a_plain_function():
    given = torch.ones(1, 1, 4, 4)

    found = DeepSupervision(lambda logits, label: (logits - label).mean())([given, 3 * given], given)

    assert found.item() == pytest.approx(2 / 3)
