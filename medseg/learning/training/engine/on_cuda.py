"""How a CUDA device computes a training; on a CPU nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch.nn.modules.instancenorm import _InstanceNorm

from medseg.errors import TrainingError

_SLOWER = (_InstanceNorm, torch.nn.GroupNorm, torch.nn.LayerNorm)
"""Their kernels want each channel in one piece. Measured on an H200 in bfloat16, slices a second with channels last
against without, batches of 128: MONAI's UNet with instance normalisation 3,007 against 3,146, DenseNet121 with batch
normalisation 1,918 against 1,601 (batches of 256: 2,912 against 1,693)."""

_WITH_FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)
_OWN_WAYS = ("fused", "foreach", "capturable", "differentiable")


def layout(network: torch.nn.Module, device: torch.device) -> torch.memory_format:
    """The order in memory in which convolutions of a network are quickest: channels last on a CUDA device.

    Not so where it normalises by instance, group or layer.
    """
    slower = any(isinstance(each, _SLOWER) for each in network.modules())
    return torch.channels_last if device.type == "cuda" and not slower else torch.contiguous_format


def fused(
    make: Callable[..., torch.optim.Optimizer], device: torch.device
) -> Callable[..., torch.optim.Optimizer]:
    """The same optimiser in one kernel for all weights, where it has that and nothing else was declared.

    Args:
        make: Makes the optimiser from `params`.
        device: Of the weights.
    """
    kind, given = (make.func, make.keywords) if isinstance(make, partial) else (make, {})
    if device.type != "cuda" or kind not in _WITH_FUSED or any(name in given for name in _OWN_WAYS):
        return make
    return partial(make, fused=True)


def as_it_computes(optimiser: torch.optim.Optimizer) -> Callable[[], None]:
    """Remember how an optimiser computes, for what a state brings from another device says it otherwise.

    Returns:
        Call it when the state was loaded.
    """
    ways = [{name: group[name] for name in _OWN_WAYS if name in group} for group in optimiser.param_groups]

    def again() -> None:
        for group, way in zip(optimiser.param_groups, ways, strict=True):
            group.update(way)

    return again


def is_lost(error: Exception) -> bool:
    """Whether a device failed in the middle of its work: every further call of this process to it fails too."""
    return isinstance(error, torch.AcceleratorError) or str(error).startswith("CUDA error:")


def device_lost(device: torch.device, error: Exception) -> TrainingError:
    """The error for it."""
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return TrainingError(
        f"{device} failed in the middle of the training: {reason}. What was trained is kept: look at the device with "
        "nvidia-smi, then go on with medseg pipeline resume (with --device cpu if it does not come back)."
    )
