"""A U-Net in one line."""

from __future__ import annotations

from monai.networks import nets

from medseg.learning.networks.arguments import whole

_CHANNELS = (16, 32, 64, 128, 256)


def unet(in_channels: int, classes: int) -> nets.UNet:
    """Build MONAI's U-Net for images (B, in_channels, H, W), H and W multiples of 16: logits (B, classes, H, W).

    Five levels of 16 to 256 channels, instance norm, and two residual units a level. For a single class there
    is one logit a pixel, to be compared with 0, and no residual units: theirs would normalise the only output
    map, and give every image the same mean logit.

    Raises:
        ValueError: An argument is no whole number, 1 or more.
    """
    return nets.UNet(
        spatial_dims=2,
        in_channels=whole("in_channels", in_channels),
        out_channels=whole("classes", classes),
        channels=_CHANNELS,
        strides=(2,) * (len(_CHANNELS) - 1),
        num_res_units=2 if classes > 1 else 0,
    )
