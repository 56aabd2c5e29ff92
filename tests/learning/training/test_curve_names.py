"""What a tracker calls the numbers of an epoch."""

from __future__ import annotations

from medseg.learning.training.curve_names import curve_names


def test_curves_are_below_epoch_and_rate_and_speed_come_after_them() -> None:
    row = {"epoch": 3.0, "train/loss": 0.5, "val/dice/core": 0.7, "learning_rate": 0.1}

    assert curve_names(row) == {
        "epoch/train/loss": 0.5,
        "epoch/val/dice/core": 0.7,
        "epoch/work/learning_rate": 0.1,
    }
