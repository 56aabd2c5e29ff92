"""The convolutional encoder-decoder without skips of the notebook on particles in electron micrographs."""

from __future__ import annotations

import torch
from torch import nn

from medseg.learning.networks.keras_layers import (
    SameConv2d,
    SameConvTranspose2d,
    glorot_uniform,
    refuse_indivisible,
)


class EncoderDecoder(nn.Module):
    """Four 3x3 convolutions down, four transposed ones up, ReLU after each, and a 1x1 convolution.

    Filters 64, 64, 128, 128 with strides 2, 1, 2, 1, then 128, 128, 64, 64 with strides 1, 2, 1, 2. A 3x3
    convolution from i to o channels has 9 * i * o + o parameters, transposed or not, so that for one channel
    in and one out there are

        down   640 +  36,928 +  73,856 + 147,584 = 259,008
        up     147,584 + 147,584 +  73,792 +  36,928 = 405,888
        out    65

    which is 664,961 in all. Weights start as in Keras: Glorot's uniform ones, biases zero.

    Args:
        in_channels: Channels of the images.
        out_channels: Logits a pixel; 1 for a binary mask.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1) -> None:
        super().__init__()
        down = [(in_channels, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1)]
        up = [(128, 128, 1), (128, 128, 2), (128, 64, 1), (64, 64, 2)]
        self.encoder = nn.Sequential(*(part for row in down for part in (SameConv2d(*row), nn.ReLU())))
        self.decoder = nn.Sequential(*(part for row in up for part in (SameConvTranspose2d(*row), nn.ReLU())))
        self.head = nn.Conv2d(64, out_channels, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                glorot_uniform(layer)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give logits (B, out_channels, H, W) of images (B, in_channels, H, W); the task applies the sigmoid.

        Raises:
            ModelError: H or W is no multiple of 4.
        """
        refuse_indivisible(image, 4)
        return self.head(self.decoder(self.encoder(image)))
