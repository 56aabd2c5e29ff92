"""Residual networks by their depth."""

from __future__ import annotations

from collections.abc import Mapping

from monai.networks import nets
from torch import nn

from medseg.learning.networks.arguments import whole

_DEPTHS: Mapping[int, tuple[str, list[int]]] = {
    18: ("basic", [2, 2, 2, 2]),
    34: ("basic", [3, 4, 6, 3]),
    50: ("bottleneck", [3, 4, 6, 3]),
    101: ("bottleneck", [3, 4, 23, 3]),
    152: ("bottleneck", [3, 8, 36, 3]),
}


class ResNet(nets.ResNet):
    """The two-dimensional residual network of He et al., built on MONAI's, whose functions fix its depths.

    "Deep residual learning for image recognition", CVPR 2016; with the stride of a bottleneck in its 3x3
    convolution, as torchvision and timm have it. Names and shapes of all tensors are theirs too, so that their
    weights fit; unlike `TimmNetwork` it normalises nothing, since it has no weights of its own.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: Channels of the images.
        out_channels: Logits an image: the number of classes.

    Raises:
        ValueError: An argument is none of these.
    """

    def __init__(self, depth: int = 18, in_channels: int = 1, out_channels: int = 2) -> None:
        if not isinstance(depth, int) or depth not in _DEPTHS:
            raise ValueError(f"depth is {depth!r}, expected one of {', '.join(map(str, _DEPTHS))}")
        block, layers = _DEPTHS[depth]
        super().__init__(
            block,
            layers,
            [64, 128, 256, 512],
            spatial_dims=2,
            n_input_channels=whole("in_channels", in_channels),
            conv1_t_stride=2,
            num_classes=whole("out_channels", out_channels),
            bias_downsample=False,
        )

    def head(self) -> nn.Module:
        """The last layer, which depends on the classes; all before it are features."""
        return self.fc
