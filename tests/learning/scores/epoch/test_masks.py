"""Dice after each epoch: a score that no case defines is not there."""

from __future__ import annotations

import pytest
import torch

from medseg.learning.scores.epoch.masks import DiceByCase
from medseg.learning.tasks.binary_mask import BinaryMask

EMPTY, FULL = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)


def scored(predicted: torch.Tensor, truth: torch.Tensor) -> DiceByCase:
    scorer = DiceByCase(BinaryMask(("background", "foreground")))
    scorer.update(["a", "b"], 18 * predicted - 9, truth)
    return scorer


def test_masks_that_are_rightly_empty_have_no_score() -> None:
    scorer = scored(EMPTY, EMPTY)

    assert scorer.compute() == {"dice/background": 1.0}
    assert scorer.by_case() == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(
    ("predicted", "truth", "score"), [(FULL, EMPTY, 0), (EMPTY, FULL, 0), (FULL, FULL, 1)]
)
def test_any_other_masks_have_one(predicted: torch.Tensor, truth: torch.Tensor, score: float) -> None:
    assert scored(predicted, truth).compute()["score"] == score
