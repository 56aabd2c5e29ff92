"""The U-Net of the notebook on brain tumours that `brats2d` continues, on MONAI's convolutions."""

from __future__ import annotations

import torch
from monai.networks.blocks import Convolution
from torch import nn

from medseg.errors import ModelError
from medseg.learning.networks.arguments import whole
from medseg.learning.networks.as_in_training import BatchStatistics2d, SeededDropout
from medseg.learning.networks.keras_layers import refuse_indivisible

_SLOPE = 0.2  # of LeakyReLU
_DROPPED = 0.2
_DEVIATION = 0.02  # of the first weights

#: Filters, in units of the first block's, and stride of each block.
_ENCODING = ((1, 2), (2, 2), (4, 2), (8, 2), (8, 3))
_DECODING = ((8, 1), (8, 3), (8, 2), (4, 2), (2, 2))
_WITH_DROPOUT = 2
_REDUCTION = 48  # what the strides divide


class NotebookUNet(nn.Module):
    """Five encoding blocks, a bottleneck of three convolutions, five decoding blocks with skips, and a head.

    For f = `filters`, 64 in the original:

    - e1 to e5: convolutions of f, 2f, 4f, 8f and 8f filters with strides 2, 2, 2, 2 and 3 and kernels of
      stride + 2, each followed by batch normalisation (not in e1) and LeakyReLU of slope 0.2;
    - the bottleneck: three 3x3 convolutions of 8f filters with ReLU;
    - d1 to d5: transposed convolutions of 8f, 8f, 8f, 4f and 2f filters with strides 1, 3, 2, 2 and 2 and kernels of
      stride + 2, each followed by batch normalisation, dropout of 0.2 (d1 and d2), concatenation with the output of
      e5, e4, e3, e2 and e1, and ReLU;
    - the head: a transposed 4x4 convolution of stride 2.

    A convolution with kernel k from i to o channels has k * k * i * o + o parameters, transposed or not, batch
    normalisation 2 a filter. With four channels, five classes and f = 64 these are

        encoding     4,160 + 131,456 + 525,056 + 2,098,688 + 6,555,136 = 9,314,496
        bottleneck   3 * 2,359,808 = 7,079,424
        decoding     2,360,832 + 13,108,736 + 8,390,144 + 3,146,496 + 786,816 = 27,793,024
        head         15,365

    which is 44,202,309 in all. Weights of convolutions start from N(0, 0.02), biases at zero, batch normalisation as
    the identity.

    As the original, it predicts as it is trained: normalised by the statistics of the batch, with active dropout.
    What is predicted of a slice then depends on the slices beside it in the batch: see docs/brats2d_notebook.md.

    Args:
        in_channels: Channels of the images.
        out_channels: Logits a pixel: the number of classes. The task applies the softmax.
        filters: f.
        as_in_training: Whether it predicts as it is trained. Otherwise it predicts as networks usually do, by running
            statistics and without dropout.
        seed: Of what dropout sets to zero in prediction.

    Raises:
        ValueError: An argument is none of these.
    """

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 5,
        filters: int = 64,
        as_in_training: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        whole("filters", filters)
        if not isinstance(as_in_training, bool):
            raise ValueError(f"as_in_training is {as_in_training!r}, expected true or false")  # noqa: TRY004
        whole("seed", seed, least=0)
        norm = BatchStatistics2d if as_in_training else nn.BatchNorm2d
        drop = (lambda: SeededDropout(_DROPPED, seed)) if as_in_training else (lambda: nn.Dropout(_DROPPED))

        self.encoder = nn.ModuleList()
        channels, beside = whole("in_channels", in_channels), list[int]()
        for units, stride in _ENCODING:
            width = units * filters
            parts: list[nn.Module] = [_convolution(channels, width, stride, transposed=False)]
            parts += [norm(width)] if beside else []
            self.encoder.append(nn.Sequential(*parts, nn.LeakyReLU(_SLOPE)))
            channels = width
            beside.append(width)

        self.bottleneck = nn.Sequential(
            *(
                part
                for _ in range(3)
                for part in (_convolution(channels, channels, 1, transposed=False), nn.ReLU())
            )
        )

        self.decoder = nn.ModuleList()
        for place, ((units, stride), skipped) in enumerate(zip(_DECODING, reversed(beside), strict=True)):
            width = units * filters
            dropout = [drop()] if place < _WITH_DROPOUT else []
            self.decoder.append(
                nn.Sequential(_convolution(channels, width, stride, transposed=True), norm(width), *dropout)
            )
            channels = width + skipped
        self.head = _convolution(channels, whole("out_channels", out_channels), 2, transposed=True)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=_DEVIATION)
                nn.init.zeros_(layer.bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give logits (B, out_channels, H, W) of images (B, in_channels, H, W).

        Raises:
            ModelError: H or W is no multiple of 48, or both are 48: of a single pixel there are no statistics.
        """
        refuse_indivisible(image, _REDUCTION)
        if tuple(image.shape[-2:]) == (_REDUCTION, _REDUCTION):
            raise ModelError(
                f"the network takes images larger than {_REDUCTION} x {_REDUCTION}, of which its strides leave one "
                "pixel. Choose another slices.size."
            )
        beside = []
        for block in self.encoder:
            image = block(image)
            beside.append(image)
        image = self.bottleneck(image)
        for block, skipped in zip(self.decoder, reversed(beside), strict=True):
            image = nn.functional.relu(torch.cat([block(image), skipped], dim=1))
        return self.head(image)


def _convolution(channels: int, width: int, stride: int, *, transposed: bool) -> Convolution:
    """A convolution with a kernel of stride + 2, padded by 1: it divides, or multiplies, a size by its stride."""
    return Convolution(
        2,
        channels,
        width,
        strides=stride,
        kernel_size=stride + 2,
        padding=1,
        output_padding=0 if transposed else None,
        is_transposed=transposed,
        conv_only=True,
    )
