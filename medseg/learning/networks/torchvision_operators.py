"""torchvision beside a torch that its compiled library was not built for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import torch

#: Operators that torchvision describes as it is imported, as its library declares them.
_DESCRIBED = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

#: What a library declares goes when it goes.
_kept: list[Any] = []


def import_torchvision() -> None:
    """Import torchvision, whether its compiled library can be loaded or not.

    The wheels of Linux are linked against CUDA, and a torch for CPUs has none of it: then the operators for boxes
    (`torchvision.ops`) are missing, and the import fails with "operator torchvision::nms does not exist", since it
    describes two of them. Models, transforms and timm need none, so the two are declared, without a kernel: a call of
    one raises an error that names it. Where the library can be loaded nothing is changed.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: It does not fit torch for another reason.
    """
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if _kept or "operator torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        _kept.append(library)
        for schema in _DESCRIBED:
            library.define(schema)
        for name in [each for each in sys.modules if each.partition(".")[0] == "torchvision"]:
            del sys.modules[name]  # half imported
        import_module("torchvision")
