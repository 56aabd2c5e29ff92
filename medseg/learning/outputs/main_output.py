"""Networks of several outputs, of which one counts: deep supervision by lower levels, nested decoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from monai.networks.nets import BasicUNetPlusPlus
from torch import nn

Outputs: TypeAlias = torch.Tensor | list[torch.Tensor]
"""What a network gives of a batch as it trains: its output, or all of several, that which counts first."""

_STACKED = 5
"""Axes of outputs of one size that stand in one tensor: (B, outputs, K, H, W), as MONAI's DynUNet gives them."""


def with_main_output(network: nn.Module) -> nn.Module:
    """The same network, which from now on gives one tensor in evaluation, and `Outputs` as it trains.

    Of several outputs the first counts, as of MONAI's DynUNet and SegResNetDS; of BasicUNetPlusPlus the last, which
    has passed all its levels and is the one that it gives without deep supervision. Whatever holds no tensors alone
    is left as the network gives it. Weights and their names stay what they are; a second call changes nothing.
    """
    if _main_first not in network._forward_hooks.values():  # noqa: SLF001 - torch does not tell hooks otherwise
        network.register_forward_hook(_main_first)
    return network


def main_of(outputs: Outputs) -> torch.Tensor:
    """The output that counts."""
    return outputs if isinstance(outputs, torch.Tensor) else outputs[0]


def of_each(change: Callable[[torch.Tensor], torch.Tensor], outputs: Outputs) -> Outputs:
    """Each output changed alike."""
    return change(outputs) if isinstance(outputs, torch.Tensor) else [change(each) for each in outputs]


@torch.compiler.disable  # traced by itself, it would ask for gradients of what is no parameter
def _main_first(network: nn.Module, _: Any, output: Any) -> Any:
    """Put what a network gave into the form of `with_main_output`; None leaves it."""
    if isinstance(output, torch.Tensor):
        found = list(output.unbind(1)) if output.ndim == _STACKED else []
    elif isinstance(output, list | tuple) and all(isinstance(each, torch.Tensor) for each in output):
        found = list(output)
    else:
        found = []
    if not found:
        return None
    if isinstance(network, BasicUNetPlusPlus):
        found.reverse()
    return found if network.training and len(found) > 1 else found[0]
