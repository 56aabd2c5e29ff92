"""Images as a pretrained network has learned to see them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import nn


class Prepared(nn.Module):
    """Resizes images to the size of a network, and normalises them by its mean and standard deviation.

    It stands inside the network, so that every network takes the same images: (B, C, H, W), with intensities
    from 0 for black to 1 for white. It holds constants alone; none is among the weights that are saved.

    Another size is stretched, bilinear and with antialiasing, each side by its own factor: give images of the
    same proportions where these matter. An image of the very size is left as it is.

    Where the number of channels is another than that of the published numbers, each channel gets the averages
    of these: the three colours of a grey image are one and the same, and so is their filters' sum then.

    Args:
        mean: Of the channels that the weights were learned from, for intensities in [0, 1].
        std: Likewise.
        channels: Channels of the images.
        size: Height and width to resize to.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], *, channels: int, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.size = size
        for name, values in (("mean", mean), ("std", std)):
            each = list(values) if len(values) == channels else [fmean(values)] * channels
            self.register_buffer(name, torch.tensor(each).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Turn images (B, C, H, W) in [0, 1] into (B, C, *size), about 0."""
        if tuple(image.shape[-2:]) != self.size:
            image = nn.functional.interpolate(
                image, size=self.size, mode="bilinear", antialias=True, align_corners=False
            )
        return (image - self.mean) / self.std

    def extra_repr(self) -> str:
        """Say the numbers where the network is printed."""
        return f"size={self.size}, mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"
