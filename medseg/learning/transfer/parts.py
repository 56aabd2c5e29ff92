"""Which tensors of a network belong to which part of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import torch
from monai.networks import nets

from medseg.errors import DefinitionError, ModelError
from medseg.learning.inspection.stages import head_names

Part = Literal["all", "encoder", "features"]
"""What is taken over: every tensor, those on the way down, or all but those of the head."""


def part_names(
    network: torch.nn.Module, part: Part, shape: tuple[int, int, int] | None = None
) -> frozenset[str]:
    """Names of the parameters and buffers of a part.

    Args:
        network: Left as it was.
        part: Which.
        shape: (C, H, W) of an image; `features` cannot be found without it.

    Raises:
        DefinitionError: It is not known what the features are.
        ModelError: It is not known what the encoder is.
    """
    if part == "encoder":
        return encoder_names(network)
    names = frozenset(network.state_dict())
    if part == "all":
        return names
    if shape is None:
        raise DefinitionError("part: features needs the shape of an image.")
    return names - head_names(network, shape)


def encoder_names(network: torch.nn.Module) -> frozenset[str]:
    """Names of the parameters and buffers on the way down, the bottom level included.

    For classifiers that is everything but what comes after the last feature maps.

    Raises:
        ModelError: It is not known which they are.
    """
    if isinstance(getattr(network, "encoder", None), torch.nn.Module):
        starts: Collection[str] = ("encoder.",)
    else:
        starts = next((find(network) for kind, find in _ENCODERS.items() if isinstance(network, kind)), ())
    names = network.state_dict().keys()
    found = {start: {name for name in names if name.startswith(start)} for start in starts}
    if not found or not all(found.values()):
        known = ", ".join(kind.__name__ for kind in _ENCODERS)
        raise ModelError(
            f"it is not known which layers of {type(network).__name__} are its encoder: known are {known}, and "
            "networks with an attribute `encoder`. Take all weights (part: all), or give the network one."
        )
    return frozenset().union(*found.values())


def _down_path(network: Any) -> tuple[str, ...]:
    """MONAI's UNet: each level is (down, skip around the level below, up), the bottom level one block."""
    levels = len(network.channels)
    downs = (f"model.{'1.submodule.' * level}0." for level in range(levels - 1))
    return (*downs, f"model.{'1.submodule.' * (levels - 1)}")


def _starting(*starts: str) -> Callable[[Any], Collection[str]]:
    return lambda _: starts


#: Where the tensors of an encoder stand, by the class of the network (MONAI 1.6).
_ENCODERS: Mapping[type, Callable[[Any], Collection[str]]] = {
    nets.UNet: _down_path,
    nets.BasicUNet: _starting("conv_0.", "down_1.", "down_2.", "down_3.", "down_4."),
    nets.DynUNet: _starting("input_block.", "downsamples.", "bottleneck."),
    nets.SegResNet: _starting("convInit.", "down_layers."),
    nets.DenseNet: _starting("features."),
    nets.ResNet: _starting("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4."),
    nets.EfficientNet: _starting("_conv_stem.", "_bn0.", "_blocks.", "_conv_head.", "_bn1."),
}
