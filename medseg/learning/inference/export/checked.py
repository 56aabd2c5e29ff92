"""An ONNX graph that is given out only after onnxruntime has computed what torch computes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from medseg.errors import ModelError
from medseg.learning.inference.export.packages import import_onnx, import_onnxruntime
from medseg.learning.inference.export.session import OnnxNetwork
from medseg.learning.inference.export.tracing import traced
from medseg.learning.networks.normalisation import Prepared

TOLERANCE = 1e-4
"""By how much logits may differ from torch's: of the largest of them, or of 1 where all are smaller."""

#: Steps of height and width that networks take; those of U-Nets are powers of two, or thrice such.
_STEPS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)


@dataclass(frozen=True)
class Graph:
    """A network as ONNX.

    Attributes:
        content: Of the file.
        divisor: Height and width may be any that a slice of the model's size grows to in steps of so many pixels;
            0 where the size of its slices is the only one.
        shapes: (B, C, H, W) of the batches on which it was compared with torch.
        difference: The largest that was found between its logits and torch's.
    """

    content: bytes
    divisor: int
    shapes: tuple[tuple[int, ...], ...]
    difference: float


def checked_graph(network: torch.nn.Module, shape: tuple[int, int, int]) -> Graph:
    """Write a network as ONNX, and compare it with torch on three shapes of batches.

    The number of images is free, and so are height and width where the network takes other ones and gives the same as
    torch there.

    Args:
        network: In eval mode, on the CPU.
        shape: (C, H, W) of the slices that it was trained on.

    Raises:
        ModelError: onnx or onnxruntime is not installed; the network cannot be written as ONNX; or its logits differ.
    """
    import_onnx()
    import_onnxruntime()
    divisor = _divisor(network, shape)
    channels, height, width = shape
    if divisor:
        others = (
            (1, channels, _larger(height, divisor), width),
            (3, channels, height, _larger(width, divisor)),
        )
        with suppress(ModelError):  # what depends on the size is written for the one size
            return _graph(network, (0, 2, 3), divisor, ((2, *shape), *others))
    return _graph(network, (0,), 0, ((2, *shape), (1, *shape), (3, *shape)))


def _graph(
    network: torch.nn.Module, free: tuple[int, ...], divisor: int, shapes: tuple[tuple[int, ...], ...]
) -> Graph:
    content = traced(network, _drawn(shapes)[0], free)
    return Graph(content, divisor, shapes, largest_difference(network, content, shapes))


def _drawn(shapes: Sequence[tuple[int, ...]]) -> list[torch.Tensor]:
    """Images with intensities in [0, 1], always the same."""
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(shape, generator=generator) for shape in shapes]


def _larger(length: int, step: int) -> int:
    """About one and a half times a length: what is written for one size is far off there."""
    return length + step * max(1, length // (2 * step))


def _divisor(network: torch.nn.Module, shape: tuple[int, int, int]) -> int:
    """The least step by which height and width may be larger; 0 for none, as where images are brought to one size."""
    if any(isinstance(part, Prepared) for part in network.modules()):
        return 0
    channels, height, width = shape
    for step in _STEPS:
        image = torch.zeros(1, channels, height + step, width + step)
        try:
            with torch.inference_mode():
                given = network(image)
        except Exception:  # noqa: BLE001, S112 - networks raise anything at a size that they do not take
            continue
        if given.ndim < image.ndim or given.shape[2:] == image.shape[2:]:  # else its map is of another size
            return step
    return 0


def largest_difference(
    network: torch.nn.Module, graph: bytes | Path, shapes: Sequence[tuple[int, ...]]
) -> float:
    """The largest difference between the logits of an ONNX file, or its content, and torch's.

    Args:
        network: In eval mode, on the CPU.
        graph: What onnxruntime computes.
        shapes: (B, C, H, W) of the batches.

    Raises:
        ModelError: It is larger than `TOLERANCE`, or onnxruntime cannot compute.
    """
    largest = 0.0
    for batch in _drawn(shapes):
        try:
            given = OnnxNetwork(graph)(batch)
        except Exception as error:  # onnxruntime raises classes of its own for each kind of failure
            reason = " ".join(str(error).split())[:300].rstrip(".")
            raise ModelError(
                f"onnxruntime cannot compute what was written of this network: {reason}."
            ) from error
        with torch.inference_mode():
            expected = network(batch)
        if not torch.isfinite(expected).all():
            raise ModelError(
                "the network gives NaN or infinity for a batch of noise: its training diverged. No engine predicts "
                "with it."
            )
        differs = float((given - expected).abs().max()) if given.shape == expected.shape else float("inf")
        if not differs <= TOLERANCE * max(1.0, float(expected.abs().max())):
            raise ModelError(
                f"this network cannot be written as ONNX: of a batch {tuple(batch.shape)} its logits differ from "
                f"torch's by {differs:.2g}, where {TOLERANCE:g} is the most. What it computes depends on more than "
                "its input and its weights: leave it to torch."
            )
        largest = max(largest, differs)
    return largest
