"""How augmentation runs is said in one sentence, or with the names of what slows it."""

from __future__ import annotations

from medseg.cli.printing.checked import augmentation_line


def test_augmentation_that_runs_by_batch_is_said_in_one_sentence() -> None:
    assert augmentation_line(()) == "Augmentation runs by batch, on a GPU where the network is on one."


def test_each_transform_that_runs_slice_by_slice_is_named_once() -> None:
    line = augmentation_line(("RandBiasFieldd", "OneOf", "RandBiasFieldd"))

    assert "slice by slice on the processor for RandBiasFieldd, OneOf:" in line
