"""Networks, one line each: `medseg.networks.unet(in_channels, classes)`.

The same as `medseg.learning.networks`, under the name that scripts and the tutorial use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medseg.learning import networks as _networks

if TYPE_CHECKING:
    from medseg.learning.networks import (
        ClassicUNet,
        EfficientNetLite0,
        EncoderDecoder,
        Ensemble,
        NotebookUNet,
        ResNet,
        TimmNetwork,
        TutorialCNN,
        build_cnn,
        unet,
    )

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
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_networks, name)


def __dir__() -> list[str]:
    return sorted(__all__)
