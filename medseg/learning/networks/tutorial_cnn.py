"""The convolutional network of the radiologists' tutorial, with all its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from medseg.errors import ModelError
from medseg.learning.networks.arguments import height_and_width, share, whole


def _glorot(weight: torch.Tensor) -> None:
    nn.init.xavier_uniform_(weight)


def _lecun(weight: torch.Tensor) -> None:
    nn.init.kaiming_normal_(weight, nonlinearity="linear")  # variance 1 / fan in


@dataclass(frozen=True)
class _Activation:
    """A non-linearity, and what Keras wants to stand beside it."""

    make: Callable[[], nn.Module]
    start: Callable[[torch.Tensor], None] = _glorot
    dropout: Callable[[float], nn.Module] = nn.Dropout


_ACTIVATIONS: Mapping[str, _Activation] = {
    "relu": _Activation(nn.ReLU),
    "selu": _Activation(nn.SELU, _lecun, nn.AlphaDropout),
    "leaky_relu": _Activation(lambda: nn.LeakyReLU(0.3)),
}


class TutorialCNN(nn.Module):
    """Blocks of convolution, activation and pooling, then one dense layer and the logits.

    A block is a convolution that keeps the size, batch normalisation where asked for, the activation, and max
    pooling of 2x2, which halves both sides and drops an odd last row or column. Each block has twice as many
    feature maps as the one before it. What is left is flattened: a dense layer, the activation, dropout, and
    a dense layer to the logits.

    With c channels, kernel size k, maps f, b blocks, dense size d, K classes and an image of H x W there are

        blocks    sum over i = 0 .. b - 1 of k * k * f(i - 1) * f(i) + f(i), with f(i) = f * 2^i, f(-1) = c
        dense     f(b - 1) * floor(H / 2^b) * floor(W / 2^b) * d + d
        logits    d * K + K

    parameters, and with batch normalisation 2 * f(i) more in each block.

    Weights start as in Keras: Glorot's uniform ones, biases zero. `selu` keeps its promise, means of 0 and
    variances of 1 through all layers, only beside LeCun's normal initialisation and alpha dropout, as
    Klambauer et al., "Self-normalizing neural networks", NIPS 2017, derive and Keras advises: it gets both.
    `leaky_relu` has the slope 0.3 of Keras' layer LeakyReLU.

    Args:
        image_size: Height and width of the images, which the dense layer depends on.
        in_channels: Channels of the images.
        out_channels: Logits an image: the number of classes.
        conv_blocks: Number of convolution blocks.
        feature_maps: Of the first block.
        kernel_size: Side of the convolutions.
        activation: `relu`, `selu` or `leaky_relu`.
        dropout: Share of the dense layer's values set to zero in training.
        batch_norm: Whether to normalise between each convolution and its activation.
        dense: Size of the dense layer.

    Raises:
        ValueError: An argument is none of these, or nothing of the image is left after the pooling.
    """

    def __init__(
        self,
        image_size: Sequence[int],
        in_channels: int = 1,
        out_channels: int = 2,
        conv_blocks: int = 2,
        feature_maps: int = 32,
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.5,
        batch_norm: bool = False,
        dense: int = 64,
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation is {activation!r}, expected one of {', '.join(_ACTIVATIONS)}")
        if not isinstance(batch_norm, bool):
            raise ValueError(f"batch_norm is {batch_norm!r}, expected true or false")  # noqa: TRY004
        chosen = _ACTIVATIONS[activation]
        self.image_size = height_and_width("image_size", image_size)
        cells = _left_after(self.image_size, whole("conv_blocks", conv_blocks))
        first = whole("feature_maps", feature_maps)
        widths = [whole("in_channels", in_channels), *(first * 2**block for block in range(conv_blocks))]
        side = whole("kernel_size", kernel_size)
        self.features = nn.Sequential(*(_block(*pair, side, chosen, batch_norm) for pair in pairwise(widths)))
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(widths[-1] * cells, whole("dense", dense)),
            chosen.make(),
            chosen.dropout(share("dropout", dropout)),
        )
        self.classifier = nn.Linear(dense, whole("out_channels", out_channels))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                chosen.start(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give logits (B, out_channels) of images (B, in_channels, *image_size).

        Raises:
            ModelError: The images have another size.
        """
        got = tuple(image.shape[-2:])
        if got != self.image_size:
            raise ModelError(
                f"the network was made for images of {self.image_size[0]} x {self.image_size[1]}, got {got[0]} x "
                f"{got[1]}. Give image_size and slices.size the same numbers."
            )
        return self.classifier(self.dense(self.features(image)))

    def head(self) -> nn.Module:
        """The last layer, which depends on the classes; all before it are features."""
        return self.classifier


def _left_after(size: tuple[int, int], blocks: int) -> int:
    height, width = (side // 2**blocks for side in size)
    if not height * width:
        raise ValueError(
            f"nothing is left of images of {size[0]} x {size[1]} after {blocks} poolings, each of which halves "
            f"them: with conv_blocks {blocks}, image_size must be {2**blocks} x {2**blocks} or more"
        )
    return height * width


def _block(given: int, width: int, side: int, activation: _Activation, batch_norm: bool) -> nn.Sequential:
    # an even kernel sees one row more below than above, as in Keras
    before, after = (side - 1) // 2, side // 2
    return nn.Sequential(
        *([] if before == after else [nn.ZeroPad2d((before, after, before, after))]),
        nn.Conv2d(given, width, side, padding=before if before == after else 0),
        *([nn.BatchNorm2d(width)] if batch_norm else []),
        activation.make(),
        nn.MaxPool2d(2),
    )


build_cnn = TutorialCNN
"""What the tutorial calls it."""
