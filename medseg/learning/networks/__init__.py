"""Networks of the courses that medseg continues, beside those of MONAI."""

from __future__ import annotations

from medseg.learning.networks.classic_unet import ClassicUNet
from medseg.learning.networks.encoder_decoder import EncoderDecoder

__all__ = ["ClassicUNet", "EncoderDecoder"]
