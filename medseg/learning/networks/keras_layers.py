"""Convolutions that pad, crop and start as those of Keras do, in which the originals were written.

With `padding="same"` and stride 2, Keras pads an even side by one row at its end, and none at its start;
PyTorch's `padding=1` pads both. The numbers of parameters are alike, the places of the pixels are not.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from medseg.errors import ModelError

#: Standard deviation of a standard normal distribution cut off at two deviations, as in Keras.
_CUT_OFF = 0.87962566103423978


class SameConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 1 or 2: (B, C, H, W) to (B, K, H / stride, W / stride), H and W even."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, 3, stride=stride, padding=1 if stride == 1 else 0)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Convolve; with stride 2 one row and one column of zeros follow the image."""
        if self.stride == (2, 2):
            image = nn.functional.pad(image, (0, 1, 0, 1))
        return super().forward(image)


class SameConvTranspose2d(nn.ConvTranspose2d):
    """A 3x3 transposed convolution of stride 1 or 2: (B, C, H, W) to (B, K, H * stride, W * stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, 3, stride=stride, padding=1 if stride == 1 else 0)

    def forward(self, image: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """Convolve; with stride 2 the last row and column, which `SameConv2d` would not see, are cut off."""
        found = super().forward(image, output_size)
        return found[..., :-1, :-1] if self.stride == (2, 2) else found


def glorot_uniform(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Draw weights uniformly within sqrt(6 / (fan in + fan out)), biases zero: the default of Keras.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010.
    """
    nn.init.xavier_uniform_(layer.weight)
    _no_bias(layer)


def he_normal(layer: nn.Conv2d) -> None:
    """Draw weights normally with variance 2 / fan in, cut off at two deviations before scaling; biases zero.

    Source: He et al., "Delving deep into rectifiers", ICCV 2015; cut off and scaled as Keras does.
    """
    fan_in = layer.weight[0].numel()
    deviation = math.sqrt(2 / fan_in) / _CUT_OFF
    nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
    _no_bias(layer)


def _no_bias(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def refuse_indivisible(image: torch.Tensor, divisor: int) -> None:
    """Compare the size of images (B, C, H, W) with what the strides divide.

    Raises:
        ModelError: Height or width is no multiple of `divisor`.
    """
    height, width = image.shape[-2:]
    if height % divisor or width % divisor:
        raise ModelError(
            f"the network takes images whose height and width are multiples of {divisor}, got {height} x {width}. "
            "Choose such a slices.size."
        )
