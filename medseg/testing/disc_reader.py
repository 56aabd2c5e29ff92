"""A network that tells the class of the pictures of `medseg.testing.labelled` without having learned anything."""

from __future__ import annotations

from math import cos, pi, sin

import torch
from torch import nn

_MIDDLE, _HALF = 125.0, 65.0  # grey between ground and disc, and from there to the disc


class DiscReader(nn.Module):
    """Tells from the place of bright discs which classes a picture has.

    Its one map of features is how far a pixel is above the grey between ground and disc. The logit of a class
    is the mean of this map, weighted by how far a pixel lies in the direction in which `disc` draws the class.

    Args:
        in_channels: Of the pictures, whose mean is read.
        out_channels: The number of classes.
        gain: The larger, the surer it is.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 2, gain: float = 30.0) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(in_channels, 1, 1), nn.ReLU())
        convolution = self.features[0]
        nn.init.constant_(convolution.weight, 1 / (_HALF * in_channels))
        nn.init.constant_(convolution.bias, -_MIDDLE / _HALF)
        self.angles = [pi - 2 * pi * number / out_channels for number in range(out_channels)]
        self.gain = gain

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) of greys in 0..255 to logits (B, K); 0 separates one disc alone from none."""
        maps = self.features(image)[:, 0]
        height, width = maps.shape[1:]
        rows = torch.linspace(-1, 1, height, device=maps.device)[:, None]
        columns = torch.linspace(-1, 1, width, device=maps.device)[None]
        places = torch.stack([1.2 - rows * sin(angle) + columns * cos(angle) for angle in self.angles])
        return self.gain * torch.einsum("bhw,khw->bk", maps, places) / (height * width) - 2.5
