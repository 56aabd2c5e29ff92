"""Networks of the courses that medseg continues, and pretrained ones, beside those of MONAI."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medseg.learning.networks.classic_unet import ClassicUNet
    from medseg.learning.networks.efficientnet_lite import EfficientNetLite0
    from medseg.learning.networks.encoder_decoder import EncoderDecoder
    from medseg.learning.networks.ensemble import Ensemble
    from medseg.learning.networks.notebook_unet import NotebookUNet
    from medseg.learning.networks.one_line_unet import unet
    from medseg.learning.networks.resnet import ResNet
    from medseg.learning.networks.timm_network import TimmNetwork
    from medseg.learning.networks.tutorial_cnn import TutorialCNN, build_cnn

# Some are built on MONAI, which takes ten seconds to import.
_HOMES = {
    "ClassicUNet": "classic_unet",
    "EfficientNetLite0": "efficientnet_lite",
    "EncoderDecoder": "encoder_decoder",
    "Ensemble": "ensemble",
    "NotebookUNet": "notebook_unet",
    "ResNet": "resnet",
    "TimmNetwork": "timm_network",
    "TutorialCNN": "tutorial_cnn",
    "build_cnn": "tutorial_cnn",
    "unet": "one_line_unet",
}

__all__ = [
    "ClassicUNet",
    "EfficientNetLite0",
    "EncoderDecoder",
    "Ensemble",
    "NotebookUNet",
    "ResNet",
    "TimmNetwork",
    "TutorialCNN",
    "build_cnn",
    "unet",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
