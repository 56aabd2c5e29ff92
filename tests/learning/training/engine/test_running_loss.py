from __future__ import annotations

import math

import pytest
import torch

from medseg.errors import TrainingError
from medseg.learning.training.engine.running_loss import RunningLoss

CPU = torch.device("cpu")


def refuse(loss, place, batch):
    return TrainingError(f"{loss} at batch {place}, slices {batch['index'].tolist()}")


def batch(*index):
    return {"index": torch.tensor(index)}


@pytest.mark.parametrize("every", [1, 2, 3, 5, 100])
def test_the_mean_counts_each_slice_however_many_batches_are_read_at_once(every: int) -> None:
    losses = RunningLoss(CPU, refuse, every=every)
    for loss, index in ((1.0, (0, 1)), (2.0, (2, 3)), (4.0, (4,)), (0.5, (5, 6)), (3.0, (7,))):
        losses.add(torch.tensor(loss), batch(*index))
    losses.read()

    assert losses.mean == (2 * 1.0 + 2 * 2.0 + 4.0 + 2 * 0.5 + 3.0) / 8
    assert losses.slices == 8


def test_a_cpu_reads_each_loss_as_it_comes() -> None:
    losses = RunningLoss(CPU, refuse)
    assert math.isnan(losses.mean)

    losses.add(torch.tensor(0.25), batch(0))

    assert losses.mean == 0.25


def added(losses, wrong, batches):
    """Adds losses of which the fourth is wrong, two slices a batch, and reads the rest."""
    for place in range(1, batches + 1):
        losses.add(torch.tensor(wrong if place == 4 else 1.0), batch(2 * place - 2, 2 * place - 1))
    losses.read()


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("every", [1, 3, 100])
def test_a_loss_that_is_not_finite_is_refused_by_its_own_batch(wrong: float, every: int) -> None:
    losses = RunningLoss(CPU, refuse, every=every)
    with pytest.raises(TrainingError, match=r"at batch 4, slices \[6, 7\]"):
        added(losses, wrong, batches=9)


def test_no_graph_is_kept_of_a_loss() -> None:
    weight = torch.ones(3, requires_grad=True)
    losses = RunningLoss(CPU, refuse, every=4)
    losses.add((weight * 2).sum(), batch(0))

    assert all(not each.loss.requires_grad for each in losses._waiting)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_reads_behind_the_device_and_loses_nothing() -> None:
    losses = RunningLoss(torch.device("cuda"), refuse, every=3)
    for place in range(10):
        losses.add(torch.tensor(float(place), device="cuda"), batch(place))
        assert losses.slices <= max(place - 2, 0)
    losses.read()

    assert (losses.mean, losses.slices) == (4.5, 10)
