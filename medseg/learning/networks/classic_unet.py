"""The classic U-Net, as courses draw it."""

from __future__ import annotations

import torch
from torch import nn

from medseg.learning.networks.keras_layers import (
    SameConv2d,
    SameConvTranspose2d,
    glorot_uniform,
    he_normal,
    refuse_indivisible,
)

_LEVELS = 5


class ClassicUNet(nn.Module):
    """A U-Net of five levels: 4n, 8n, 16n, 32n and 64n filters, for n = `filters`.

    Two 3x3 convolutions with ReLU a level; 2x2 max pooling on the way down; on the way up a 3x3 transposed
    convolution of stride 2, to half as many channels, and concatenation with the level beside it; a 1x1
    convolution to logits. After Ronneberger et al., "U-Net: convolutional networks for biomedical image
    segmentation", MICCAI 2015, padded so that the output is as large as the input.

    A 3x3 convolution from i to o channels has 9 * i * o + o parameters. With three channels, one output and
    n = 4 (filters 16 to 256) the five levels down have 2,768 + 13,888 + 55,424 + 221,440 + 885,248 =
    1,178,768, the transposed convolutions 295,040 + 73,792 + 18,464 + 4,624 = 391,920, the four levels up
    442,624 + 110,720 + 27,712 + 6,944 = 588,000, and the output 17: 2,158,705 in all. For n = 8 that is
    8,630,497. These are the numbers of the original, so every convolution of it has a bias and nothing in it is
    normalised. Batch normalisation after each of the 18 convolutions adds two numbers a filter: 2,161,649 in
    all for n = 4.

    Weights start as in Keras: He's normal ones in the convolutions of the levels, Glorot's uniform ones in
    the transposed convolutions and the output; biases zero.

    Args:
        in_channels: Channels of the images.
        out_channels: Logits a pixel; 1 for a binary mask.
        filters: n: a quarter of the filters of the first level.
        dropout: Share of values set to zero in training, after each pooling and each concatenation.
        batch_norm: Whether to normalise between each convolution of a level and its ReLU.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        filters: int = 4,
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(filters, int) or isinstance(filters, bool) or filters < 1:
            raise ValueError(f"filters is {filters!r}, expected a whole number, 1 or more")
        widths = [4 * filters * 2**level for level in range(_LEVELS)]
        pairs = list(zip([in_channels, *widths], widths, strict=False))
        self.encoder = nn.ModuleList(
            nn.Sequential(
                *([nn.MaxPool2d(2), *_dropped(dropout)] if level else []),
                *_two_convolutions(*pair, batch_norm),
            )
            for level, pair in enumerate(pairs)
        )
        self.decoder = nn.ModuleList(
            _Up(below, width, dropout, batch_norm) for width, below in reversed(pairs[1:])
        )
        self.head = nn.Conv2d(widths[0], out_channels, 1)
        glorot_uniform(self.head)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give logits (B, out_channels, H, W) of images (B, in_channels, H, W); the task applies the sigmoid.

        Raises:
            ModelError: H or W is no multiple of 16.
        """
        refuse_indivisible(image, 2 ** (_LEVELS - 1))
        beside = []
        for level in self.encoder:
            image = level(image)
            beside.append(image)
        for level, skipped in zip(self.decoder, reversed(beside[:-1]), strict=True):
            image = level(image, skipped)
        return self.head(image)


class _Up(nn.Module):
    """One level on the way up."""

    def __init__(self, below: int, width: int, dropout: float, batch_norm: bool) -> None:
        super().__init__()
        self.up = SameConvTranspose2d(below, width, stride=2)
        self.level = nn.Sequential(*_dropped(dropout), *_two_convolutions(2 * width, width, batch_norm))
        glorot_uniform(self.up)

    def forward(self, image: torch.Tensor, skipped: torch.Tensor) -> torch.Tensor:
        """Double the size of `image`, and join it with what the way down had at that size."""
        return self.level(torch.cat([self.up(image), skipped], dim=1))


def _dropped(share: float) -> list[nn.Module]:
    return [nn.Dropout(share)] if share else []


def _two_convolutions(channels: int, width: int, batch_norm: bool) -> list[nn.Module]:
    parts: list[nn.Module] = []
    for given in (channels, width):
        convolution = SameConv2d(given, width)
        he_normal(convolution)
        parts += [convolution, *([nn.BatchNorm2d(width)] if batch_norm else []), nn.ReLU()]
    return parts
