"""A torch network as an ONNX graph, by torch's exporter that traces.

torch has two exporters. The one that traces needs 0.2 to 4 s for most networks that medseg ships, and onnx alone.
The newer one (`dynamo`) needs 30 to 65 s and onnxscript, gives numbers as near to torch's, and refuses as well what
predicts as it is trained (torch 2.13).
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from medseg.errors import ModelError
from medseg.learning.inference.export.packages import import_onnx
from medseg.learning.networks.as_in_training import BatchStatistics2d, SeededDropout

OPSET = 18
"""Version of ONNX's operators that is written."""

INPUT, OUTPUT = "image", "logits"
"""Names of the one input and the one output."""

_ANTIALIASED = "aten::_upsample_bilinear2d_aa"

_AXES = {0: "batch", 2: "height", 3: "width"}


def traced(network: torch.nn.Module, example: torch.Tensor, free: tuple[int, ...]) -> bytes:
    """The content of an ONNX file with the network and its weights.

    Args:
        network: In eval mode, on the CPU.
        example: What it is traced with, (B, C, H, W).
        free: Axes of the input that may have any length: of 0, 2 and 3.

    Raises:
        ModelError: onnx is not installed, or the network cannot be written as ONNX: says why.
    """
    import_onnx()
    _refuse_as_in_training(network)
    held = io.BytesIO()
    names = {INPUT: {axis: _AXES[axis] for axis in free}, OUTPUT: {0: _AXES[0]}}
    torch.onnx.register_custom_op_symbolic(_ANTIALIASED, _resized, OPSET)
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(
                network,
                (example,),
                held,
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes=names,
            )
    except Exception as error:  # the exporter and networks raise anything
        reason = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        raise ModelError(f"this network cannot be written as ONNX: {reason}. Leave it to torch.") from error
    finally:
        torch.onnx.unregister_custom_op_symbolic(_ANTIALIASED, OPSET)
    return held.getvalue()


def _refuse_as_in_training(network: torch.nn.Module) -> None:
    kinds = (BatchStatistics2d, SeededDropout)
    found = sorted({type(part).__name__ for part in network.modules() if isinstance(part, kinds)})
    if found:
        raise ModelError(
            f"this network cannot be written as ONNX: its {' and '.join(found)} predict as they are trained, by the "
            "statistics of the batch and with values dropped, which no operator of ONNX does alike. Train it with "
            "network.as_in_training=false, or leave it to torch."
        )


@torch.onnx.symbolic_helper.parse_args("v", "is", "i", "v", "v")
def _resized(
    g: Any, image: Any, size: list[int], corners: int, scale: Any = None, other_scale: Any = None
) -> Any:
    """Resizing with antialiasing, of images of one size, as two products with matrices.

    ONNX's own `Resize` differs from torch in its antialiasing, by up to 0.05 of images in [0, 1] (onnxruntime 1.32).
    """
    del scale, other_scale  # they follow from the sizes
    *_, height, width = image.type().varyingSizes() or (None, None)
    if corners or height is None or width is None:
        raise ValueError(f"{_ANTIALIASED} can be written for images of one size alone, without align_corners")
    rows, columns = (
        g.op("Constant", value_t=each)
        for each in (_shares(height, size[0]), _shares(width, size[1]).T.contiguous())
    )
    return g.op("MatMul", g.op("MatMul", rows, image), columns)


def _shares(before: int, after: int) -> torch.Tensor:
    """(after, before): how much each of the pixels before is in each of those after, along one axis."""
    each = torch.eye(before)[None, None]
    resized = torch.nn.functional.interpolate(
        each, size=(after, before), mode="bilinear", antialias=True, align_corners=False
    )
    return resized[0, 0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says by itself: that it is the older one, and a whole graph where it fails."""
    said = torch._C._jit_onnx_log  # noqa: SLF001  # it prints, whatever `verbose` is
    torch._C._jit_onnx_log = lambda *_: None  # noqa: SLF001
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch._C._jit_onnx_log = said  # noqa: SLF001
