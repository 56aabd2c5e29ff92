"""Batch normalisation by the statistics of a batch that several processes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from medseg.machine.ranks.ranks import Ranks


@contextmanager
def over_ranks(network: torch.nn.Module, ranks: Ranks, own: Callable[[], int]) -> Iterator[None]:
    """Let each layer of batch normalisation use the statistics of the whole batch in the block.

    torch's SyncBatchNorm does so on CUDA alone, and counts a slice that only stands in (see `Share`).

    Args:
        network: Its layers stay what they are; their `forward` is put back afterwards.
        ranks: The processes that share a batch.
        own: How many slices of the batch at hand count in this process.
    """
    layers = [each for each in network.modules() if isinstance(each, _BatchNorm)]
    for layer in layers:
        layer.forward = partial(_normalised, layer, ranks, own)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


@torch.compiler.disable
def _normalised(
    layer: _BatchNorm, ranks: Ranks, own: Callable[[], int], images: torch.Tensor
) -> torch.Tensor:
    """What the layer gives of images (B, C, ...), of which the first `own()` count in the statistics.

    Two passes, mean and then squares of what is left of it, as one process computes them: less is lost to rounding
    than with the mean of squares.
    """
    if not layer.training:  # `statistics: still` puts layers into this mode too
        found: torch.Tensor = type(layer).forward(layer, images)
        return found
    layer._check_input_dim(images)  # noqa: SLF001 - as its forward does
    axes = [0, *range(2, images.ndim)]
    shape = [1, -1, *[1] * (images.ndim - 2)]
    values = images.float()
    counted = values[: own()]
    here = counted.new_tensor([counted.numel() / images.shape[1]])
    sums = ranks.total(torch.cat([counted.sum(axes), here]))
    number = sums[-1].detach()
    mean = sums[:-1] / number
    spread = ranks.total((counted - mean.view(shape)).square().sum(axes)) / number
    if layer.track_running_stats and layer.running_mean is not None:
        _move(layer, mean.detach(), spread.detach() * number / (number - 1).clamp(min=1))
    scale = (spread + layer.eps).rsqrt()
    if layer.affine:
        scale = scale * layer.weight
    given = (values - mean.view(shape)) * scale.view(shape)
    if layer.affine:
        given = given + layer.bias.view(shape)
    return given.to(images.dtype)


@torch.no_grad()
def _move(layer: _BatchNorm, mean: torch.Tensor, variance: torch.Tensor) -> None:
    """Move the running statistics; without a momentum they are the mean over all batches."""
    layer.num_batches_tracked.add_(1)
    by = 1.0 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean.to(layer.running_mean), by)
    layer.running_var.lerp_(variance.to(layer.running_var), by)
